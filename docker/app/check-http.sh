#!/usr/bin/env bash
#
# Health of the app container: GET $HEALTH_PATH answers 200. Otherwise says why, for `docker inspect`.
#
# In bash alone: it runs every few seconds, and starting Python for it would cost more than the answer.
#
# HEALTH_PATH    path to ask for (/status/ready/)
# HEALTH_PORT    port that the server listens on (8000)
# HEALTH_HOST    host name to ask for, one that ALLOWED_HOSTS names (localhost)
set -Eeuo pipefail

readonly LIMIT_S=3

# usage: fetch PORT PATH
# Prints the response, status line first.
fetch() {
    local connection
    exec {connection}<>"/dev/tcp/127.0.0.1/$1"
    # HTTP/1.0: the server closes the connection after its answer, so the answer ends with the file. As a proxy in front
    # would, it says that TLS is done: a site that insists on it answers this with a redirect otherwise.
    printf 'GET %s HTTP/1.0\r\nHost: %s\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n' "$2" \
        "${HEALTH_HOST:-localhost}" >&"$connection"
    cat <&"$connection"
}

main() {
    local path=${HEALTH_PATH:-/status/ready/} port=${HEALTH_PORT:-8000} response status=0 line
    # The limit is on a process of its own because bash cannot interrupt its own connect().
    # shellcheck disable=SC2016  # expanded by that process
    response=$(timeout "$LIMIT_S" bash -c 'source "$1" && fetch "$2" "$3"' \
        fetch "${BASH_SOURCE[0]}" "$port" "$path" 2>/dev/null) || status=$?
    line=${response%%$'\r\n'*}
    case $status:$line in
        0:HTTP/1.?\ 200\ *) return 0 ;;
        124:*) printf 'no whole answer to GET %s within %s s\n' "$path" "$LIMIT_S" ;;
        *:HTTP/*) printf 'GET %s: %s\n%.500s\n' "$path" "$line" "${response#*$'\r\n\r\n'}" ;;
        *) printf 'nothing answers HTTP on port %s\n' "$port" ;;
    esac
    return 1
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
