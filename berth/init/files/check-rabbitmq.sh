#!/usr/bin/env bash
#
# Health of the rabbitmq container: the server begins the AMQP handshake, which it does once all of it has started.
#
# In bash alone: `rabbitmq-diagnostics` starts a virtual machine of its own each time, for seconds.
set -Eeuo pipefail

readonly LIMIT_S=3

handshake() {
    local connection
    exec {connection}<>/dev/tcp/127.0.0.1/5672
    printf 'AMQP\x00\x00\x09\x01' >&"$connection"
    # A frame of method 10.10, Connection.Start: type 1, channel 0, four bytes of length, then class and method.
    head --bytes 11 <&"$connection" | od --address-radix n --format x1 | tr -d ' \n'
}

main() {
    local answer
    answer=$(timeout "$LIMIT_S" bash -c 'source "$1" && handshake' handshake "${BASH_SOURCE[0]}" 2>/dev/null) || true
    if [[ ! $answer =~ ^010000........000a000a$ ]]; then
        printf 'no AMQP handshake on port 5672 within %s s\n' "$LIMIT_S"
        return 1
    fi
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
