#!/bin/sh
#
# Health of the redis container: the server answers, and is not loading its data any more. Otherwise says why.
#
# For sh, and either name of the client: images of Redis and Valkey differ in both.
set -eu

main() {
    client=$(command -v valkey-cli || command -v redis-cli)
    # An error, such as LOADING, is an answer with exit code 0.
    answer=$("$client" -h 127.0.0.1 -p 6379 ping 2>&1) || true
    [ "$answer" = PONG ] || {
        printf 'PING was answered by: %s\n' "$answer"
        return 1
    }
}

main
