#!/usr/bin/env bash
#
# Be the broker without a container: ElasticMQ with the same custom.conf, on 127.0.0.1.
#
# MOUNTS         folder of the files that the container would have mounted
# DATA           folder of the messages
# HEALTH_PORT    port to listen on
# SERVERS        folder of what install-broker.sh has fetched
# HOME           gets the file in-memory if messages live in memory only
set -Eeuo pipefail

main() {
    if [[ -e $SERVERS/broker-in-python ]]; then
        exec "$SERVERS/moto/bin/python" -I "$(dirname "${BASH_SOURCE[0]}")/start_broker_in_memory.py" \
            "$MOUNTS/opt/elasticmq.conf" "$HEALTH_PORT" "$HOME/in-memory"
    fi
    rm -f "$HOME/in-memory"
    cd "$SERVERS/elasticmq"
    # Properties of the JVM stand above the file.
    exec java @server.args @classpath.args -XX:AOTCache=elasticmq.aot \
        -Dconfig.file="$MOUNTS/opt/elasticmq.conf" \
        -Drest-sqs.bind-hostname=127.0.0.1 -Drest-sqs.bind-port="$HEALTH_PORT" \
        "-Dmessages-storage.uri=jdbc:h2:$DATA/elasticmq;WRITE_DELAY=0" \
        org.elasticmq.server.Main
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
