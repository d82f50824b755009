#!/usr/bin/env bash
#
# Entry point of the Valkey image: options alone are those of the server, as with upstream's.
set -Eeuo pipefail

main() {
    if [[ ${1:-} == -* ]]; then
        set -- valkey-server "$@"
    fi
    exec "$@"
}

main "$@"
