#!/usr/bin/env bash
#
# Make the certificates and kubeconfigs of a cluster of one node: certificates.sh FOLDER NODE IP SERVICE-IP
set -Eeuo pipefail

readonly FOLDER=$1 NODE=$2 IP=$3 SERVICE_IP=$4
readonly CLIENT=extendedKeyUsage=clientAuth

# usage: key NAME
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

# usage: sign NAME SUBJECT EXTENSIONS...
sign() {
    key "$1"
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
    printf '%s\n' keyUsage=critical,digitalSignature "${@:3}" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out "$1.crt" -extfile "$1.ext" \
        2>/dev/null
}

# usage: client NAME SUBJECT
# A certificate that a client shows, and the kubeconfig that names it.
client() {
    sign "$1" "$2" "$CLIENT"
    cat >"$1.kubeconfig" <<KUBECONFIG
apiVersion: v1
kind: Config
clusters: [{name: cluster, cluster: {server: "https://$IP:6443", certificate-authority: $FOLDER/ca.crt}}]
users: [{name: user, user: {client-certificate: $FOLDER/$1.crt, client-key: $FOLDER/$1.key}}]
contexts: [{name: context, context: {cluster: cluster, user: user}}]
current-context: context
KUBECONFIG
}

main() {
    mkdir -p "$FOLDER"
    cd "$FOLDER"
    key ca
    openssl req -x509 -new -key ca.key -subj /CN=ca -days 2 -out ca.crt \
        -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>/dev/null
    sign apiserver /CN=kube-apiserver extendedKeyUsage=serverAuth \
        "subjectAltName=DNS:kubernetes,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:$SERVICE_IP,IP:$IP"
    sign kubelet-server "/CN=$NODE" extendedKeyUsage=serverAuth "subjectAltName=DNS:$NODE,IP:$IP"
    sign kubelet-client "/O=system:masters/CN=kubelet-client" "$CLIENT"
    client admin "/O=system:masters/CN=admin"
    client controller-manager /CN=system:kube-controller-manager
    client scheduler /CN=system:kube-scheduler
    client proxy /CN=system:kube-proxy
    client dns /CN=dns
    client kubelet "/O=system:nodes/CN=system:node:$NODE"
    openssl genrsa -out accounts.key 2048 2>/dev/null
    openssl rsa -in accounts.key -pubout -out accounts.pub 2>/dev/null
}

main
