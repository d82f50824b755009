#!/usr/bin/env bash
#
# Write the certificate and the key that the balancer of `inv prod.up` shows: certificate.sh GIVEN TARGET. Those of the
# file GIVEN, or else, where it is empty, new ones that nobody vouches for.
#
# ALLOWED_HOSTS    host names that a new one is for, comma separated; localhost is always among them
set -Eeuo pipefail

# Prints the names of a certificate as openssl takes them.
names() {
    local host hosts names=DNS:localhost,IP:127.0.0.1,DNS:balancer
    IFS=, read -ra hosts <<<"${ALLOWED_HOSTS:-}"
    for host in "${hosts[@]}"; do
        # `.example.com` is any name below it, to Django.
        host=${host// /} host=${host/#./*.}
        [[ ! $host =~ ^(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$ || $host == localhost ]] || names+=,DNS:$host
    done
    printf '%s\n' "$names"
}

# usage: make TARGET
make() {
    local key=/tmp/key.pem certificate=/tmp/certificate.pem
    if ! command -v openssl >/dev/null; then
        printf 'certificate.sh: %s\n' "the image has no openssl to make a certificate with: set TLS_FILE" >&2
        exit 69
    fi
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=localhost" \
        -addext "subjectAltName=$(names)" -keyout "$key" -out "$certificate" 2>/tmp/said || {
        cat /tmp/said >&2
        exit 1
    }
    cat "$certificate" "$key" >"$1"
    echo "made a certificate for this trial, which no browser trusts: TLS_FILE names another"
}

main() {
    local given=$1 target=$2
    if [[ ! -s $given ]]; then
        make "$target"
        return
    fi
    if ! grep -q -e '-----BEGIN CERTIFICATE-----' "$given" || ! grep -q -e 'PRIVATE KEY-----' "$given"; then
        printf 'certificate.sh: %s\n' \
            "TLS_FILE has to hold the certificate, its chain and its key, as in \`cat fullchain.pem privkey.pem\`" >&2
        exit 65
    fi
    cat "$given" >"$target"
    echo "took the certificate of TLS_FILE"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
