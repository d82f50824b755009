#!/usr/bin/env bash
#
# Health of the broker container: ElasticMQ's GET /health answers 200. Otherwise says why.
#
# HEALTH_PORT    port that it listens on (9324)
set -Eeuo pipefail

readonly LIMIT_S=3

# usage: fetch PORT
# Prints the first line of the response.
fetch() {
    local connection line
    exec {connection}<>"/dev/tcp/127.0.0.1/$1"
    printf 'GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&"$connection"
    IFS= read -r line <&"$connection"
    printf '%s' "${line%$'\r'}"
}

main() {
    local port=${HEALTH_PORT:-9324} line status=0
    # The limit is on a process of its own because bash cannot interrupt its own connect().
    # shellcheck disable=SC2016  # expanded by that process
    line=$(timeout "$LIMIT_S" bash -c 'source "$1" && fetch "$2"' \
        fetch "${BASH_SOURCE[0]}" "$port" 2>/dev/null) || status=$?
    case $status:$line in
        0:HTTP/1.?\ 200\ *) return 0 ;;
        124:*) printf 'no answer to GET /health within %s s\n' "$LIMIT_S" ;;
        *:HTTP/*) printf 'GET /health: %s\n' "$line" ;;
        *) printf 'nothing answers HTTP on port %s\n' "$port" ;;
    esac
    return 1
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
