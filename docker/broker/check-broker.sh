#!/usr/bin/env bash
#
# Health of the broker container: ElasticMQ's GET /health answers 200. Otherwise says why.
set -Eeuo pipefail

readonly LIMIT_S=3

# Prints the first line of the response.
fetch() {
    local connection line
    exec {connection}<>/dev/tcp/127.0.0.1/9324
    printf 'GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&"$connection"
    IFS= read -r line <&"$connection"
    printf '%s' "${line%$'\r'}"
}

main() {
    local line status=0
    # The limit is on a process of its own because bash cannot interrupt its own connect().
    # shellcheck disable=SC2016  # expanded by that process
    line=$(timeout "$LIMIT_S" bash -c 'source "$0" && fetch' "${BASH_SOURCE[0]}" 2>/dev/null) || status=$?
    case $status:$line in
        0:HTTP/1.?\ 200\ *) return 0 ;;
        124:*) printf 'no answer to GET /health within %s s\n' "$LIMIT_S" ;;
        *:HTTP/*) printf 'GET /health: %s\n' "$line" ;;
        *) printf 'nothing answers HTTP on port 9324\n' ;;
    esac
    return 1
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
