#!/usr/bin/env bash
#
# Health of the broker container: it lists at least one queue. Otherwise says why.
#
# Not GET /health, which ElasticMQ answers before its queues and their messages are restored, and for good when
# it cannot write its volume and therefore has none.
#
# HEALTH_PORT    port that it listens on (9324)
set -Eeuo pipefail

readonly LIMIT_S=3

# usage: fetch PORT
# Prints the response.
fetch() {
    local connection
    exec {connection}<>"/dev/tcp/127.0.0.1/$1"
    printf 'GET /?Action=ListQueues&Version=2012-11-05 HTTP/1.0\r\nHost: localhost\r\n\r\n' >&"$connection"
    cat <&"$connection"
}

main() {
    local port=${HEALTH_PORT:-9324} response status=0
    # The limit is on a process of its own because bash cannot interrupt its own connect().
    # shellcheck disable=SC2016  # expanded by that process
    response=$(timeout "$LIMIT_S" bash -c 'source "$1" && fetch "$2"' \
        fetch "${BASH_SOURCE[0]}" "$port" 2>/dev/null) || status=$?
    case $status:$response in
        0:HTTP/1.?\ 200\ *'<QueueUrl>'*) return 0 ;;
        0:HTTP/1.?\ 200\ *) printf 'the broker has no queue: its log says why\n' ;;
        124:*) printf 'no answer to ListQueues within %s s\n' "$LIMIT_S" ;;
        *:HTTP/*) printf 'ListQueues: %s\n' "${response%%$'\r'*}" ;;
        *) printf 'nothing answers HTTP on port %s\n' "$port" ;;
    esac
    return 1
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
