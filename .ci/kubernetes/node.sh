#!/usr/bin/env bash
#
# The node of `cluster`: process 1 of its own namespaces. With it end all processes, mounts and interfaces of the cluster.
#
# PROGRAMS, STATE, RUN    folders, from `cluster`
set -Eeuo pipefail

readonly HERE=${BASH_SOURCE[0]%/*}
readonly NODE=node IP=10.88.0.2 PODS=10.244.0.0/24 SERVICES=10.96.0.0/16
readonly ROOT=$PROGRAMS/root/usr

# usage: start NAME COMMAND...
start() {
    "${@:2}" >"$STATE/log/$1.log" 2>&1 &
}

folders() {
    mount --make-rshared /
    mount -t tmpfs -o mode=755 tmpfs /run
    mount -t tmpfs tmpfs /var/log
    # On the disk, for overlayfs and for volumes.
    mkdir -p /run/netns /run/lock "$RUN/cni" "$RUN/volumes" "$STATE/"{containerd,kubelet,log,pods,volumes/1,volumes/2}
    mount --bind "$STATE/volumes" "$RUN/volumes"
}

# The kubelet writes these, which have no namespace: it gets copies.
settings() {
    local setting copy
    for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
        copy=$RUN/$(basename "${setting%=*}")
        echo "${setting#*=}" >"$copy"
        mount --bind "$copy" "/proc/sys/${setting%=*}"
    done
}

network() {
    hostname "$NODE"
    printf '127.0.0.1 localhost\n%s %s\n' "$IP" "$NODE" >"$RUN/hosts"
    mount --bind "$RUN/hosts" /etc/hosts
    echo "nameserver 127.0.0.1" >"$RUN/resolv.conf"
    ip link set lo up
    ip link add node0 type veth peer name node1
    ip addr add "$IP/24" dev node0
    ip link set node0 up
    ip link set node1 up
    # The API server wants a default route.
    ip route add default dev node0
    sysctl -qw net.ipv4.ip_forward=1
    # Where the kernel has no br_netfilter, traffic inside the bridge meets no rule at all, and there is none to set.
    [[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ]] || sysctl -qw net.bridge.bridge-nf-call-iptables=1
    cat >"$RUN/cni/pods.conflist" <<CNI
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipam": {
    "type": "host-local", "dataDir": "$RUN/ipam", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
CNI
}

containers() {
    cat >"$RUN/containerd.toml" <<CONTAINERD
version = 3
root = '$STATE/containerd'
state = '$RUN/containerd'
[grpc]
  address = '$RUN/containerd.sock'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'local/pause:1'
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  # Needed without CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['$ROOT/lib/cni']
    conf_dir = '$RUN/cni'
CONTAINERD
    start containerd containerd --config "$RUN/containerd.toml"
}

api() {
    local pki=$RUN/pki
    start etcd "$ROOT/bin/etcd" --data-dir "$RUN/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380
    start kube-apiserver "$PROGRAMS/kube-apiserver" --etcd-servers http://127.0.0.1:2379 \
        --advertise-address "$IP" --secure-port 6443 --service-cluster-ip-range "$SERVICES" \
        --client-ca-file "$pki/ca.crt" --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
        --kubelet-client-certificate "$pki/kubelet-client.crt" --kubelet-client-key "$pki/kubelet-client.key" \
        --kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$pki/accounts.pub" \
        --service-account-signing-key-file "$pki/accounts.key" \
        --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged=true
}

kubelet() {
    cat >"$RUN/kubelet.yaml" <<KUBELET
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
failSwapOn: false
containerRuntimeEndpoint: unix://$RUN/containerd.sock
authentication: {x509: {clientCAFile: $RUN/pki/ca.crt}, anonymous: {enabled: false}, webhook: {enabled: true}}
authorization: {mode: Webhook}
tlsCertFile: $RUN/pki/kubelet-server.crt
tlsPrivateKeyFile: $RUN/pki/kubelet-server.key
clusterDomain: cluster.local
clusterDNS: [$IP]
resolvConf: $RUN/resolv.conf
podLogsDir: $STATE/pods
volumePluginDir: $RUN/plugins
KUBELET
    # It ends at once where its runtime does not answer yet.
    until [[ -S $RUN/containerd.sock ]]; do sleep 0.05; done
    start kubelet "$PROGRAMS/kubelet" --config "$RUN/kubelet.yaml" --kubeconfig "$RUN/pki/kubelet.kubeconfig" \
        --root-dir "$STATE/kubelet" --hostname-override "$NODE" --node-ip "$IP"
}

# usage: configured NAME
# The options by which a part finds the API server, and knows who asks it.
configured() {
    local file=$RUN/pki/$1.kubeconfig
    printf '%s\n' --kubeconfig "$file" --authentication-kubeconfig "$file" --authorization-kubeconfig "$file"
}

controllers() {
    local options
    # The manager ends at once where the API server's first roles are not there yet.
    until "$ROOT/bin/kubectl" --kubeconfig "$RUN/pki/admin.kubeconfig" get --raw /readyz >/dev/null 2>&1; do
        sleep 0.1
    done
    mapfile -t options < <(configured controller-manager)
    start kube-controller-manager "$PROGRAMS/kube-controller-manager" "${options[@]}" --leader-elect=false \
        --service-account-private-key-file "$RUN/pki/accounts.key" --root-ca-file "$RUN/pki/ca.crt" \
        --use-service-account-credentials=true --pvclaimbinder-sync-period 2s
    mapfile -t options < <(configured scheduler)
    start kube-scheduler "$PROGRAMS/kube-scheduler" "${options[@]}" --leader-elect=false
}

services() {
    cat >"$RUN/proxy.yaml" <<PROXY
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: $RUN/pki/proxy.kubeconfig}
clusterCIDR: $PODS
hostnameOverride: $NODE
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
PROXY
    start kube-proxy "$PROGRAMS/kube-proxy" --config "$RUN/proxy.yaml"
    "$ROOT/bin/kubectl" --kubeconfig "$RUN/pki/admin.kubeconfig" apply --filename "$HERE/dns.yaml"
    cat >"$RUN/Corefile" <<DNS
.:53 {
  bind $IP
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $RUN/pki/dns.kubeconfig context
    ttl 5
  }
  cache 5
}
DNS
    start dns "$PROGRAMS/dns" -conf "$RUN/Corefile"
}

main() {
    folders
    settings
    network
    "$HERE/certificates.sh" "$RUN/pki" "$NODE" "$IP" "${SERVICES%.*.*}.0.1"
    containers
    api
    kubelet
    controllers
    services
    wait
}

main
