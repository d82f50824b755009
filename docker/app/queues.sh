#!/usr/bin/env bash
#
# Look after the queues: queues.sh --help. The page is `queues.sh serve`.
#
# BERTH_LIB                                   folder of berth_queues (/usr/local/lib/berth)
# CELERY_BROKER_URL                           sqs://HOST:PORT, or sqs:// for Amazon's
# SQS_QUEUE_URLS                              the project's queues, as NAME=URL, comma separated
# AWS_REGION                                  us-east-1
# AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY    whom the server knows
# HEALTH_PORT                                 port of the page (9325), on all addresses
# LISTEN_ADDRESS                              address and port of the page, instead
set -Eeuo pipefail

main() {
    export PYTHONPATH=${BERTH_LIB:-/usr/local/lib/berth}${PYTHONPATH:+:$PYTHONPATH}
    exec python -m berth_queues "$@"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
