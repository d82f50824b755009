#!/usr/bin/env bash
#
# Work on tasks: start-celery-worker.sh [QUEUE...]. Without a queue, on the queues that the project itself declares,
# which is its default queue unless it has set `task_queues`.
#
# BERTH_LIB                       folder of berth_worker.py (/usr/local/lib/berth)
# CELERY_APP                      module of the Celery application (app)
# QUEUES_URL                      URL of the page of the queues, which gets the tracebacks of tasks that fail
# CELERY_CONCURRENCY              worker processes; unset: Celery's choice
# LOG_LEVEL                       INFO
# SQS_TRANSPORT                   kombu: receive and acknowledge by kombu's own transport instead of Berth's fast_sqs
# WORKER_HEARTBEAT_FILE           file that tells check-worker.sh of a live worker (/tmp/celery-worker-heartbeat)
# WORKER_GRACE_PERIOD             seconds from SIGTERM to SIGKILL; compose has its stop_grace_period from it, too (40)
# WORKER_RELOAD                   1: restart the worker at each edit of the code (development)
# WORKER_SOFT_SHUTDOWN_TIMEOUT    seconds that running tasks get to end once the worker is to stop; unset: 15 less than
#                                 WORKER_GRACE_PERIOD, half of it at least, so that what is left is handed back
set -Eeuo pipefail

usage_error() {
    printf 'start-celery-worker.sh: %s\n' "$@" >&2
    exit 64
}

# usage: check_settings QUEUE...
# Stops with all that is wrong at once.
check_settings() {
    local problems=() queue
    for queue in "$@"; do
        # The characters and the length that SQS allows; also keeps a comma or an option from being smuggled
        # in.
        [[ $queue =~ ^[A-Za-z0-9_][A-Za-z0-9_-]{0,79}$ ]] \
            || [[ $queue =~ ^[A-Za-z0-9_][A-Za-z0-9_-]{0,74}\.fifo$ ]] \
            || problems+=("\`$queue\` is not a queue name: use up to 80 letters, digits, \`-\` and \`_\`")
    done
    [[ ${CELERY_CONCURRENCY:-1} =~ ^([1-9][0-9]*|auto)$ ]] \
        || problems+=("CELERY_CONCURRENCY is \`$CELERY_CONCURRENCY\`: set a whole number from 1, or \`auto\`")
    [[ ${LOG_LEVEL:-INFO} =~ ^(DEBUG|INFO|WARNING|ERROR|CRITICAL|FATAL)$ ]] \
        || problems+=("LOG_LEVEL is \`$LOG_LEVEL\`: set DEBUG, INFO, WARNING, ERROR or CRITICAL")
    [[ ${WORKER_GRACE_PERIOD:-40} =~ ^[1-9][0-9]*$ ]] \
        || problems+=("WORKER_GRACE_PERIOD is \`$WORKER_GRACE_PERIOD\`: set a whole number of seconds")
    [[ ${WORKER_SOFT_SHUTDOWN_TIMEOUT:-20} =~ ^[0-9]+(\.[0-9]+)?$ ]] \
        || problems+=("WORKER_SOFT_SHUTDOWN_TIMEOUT is \`$WORKER_SOFT_SHUTDOWN_TIMEOUT\`: set seconds")
    [[ ${SQS_TRANSPORT:-fast_sqs} =~ ^(fast_sqs|kombu)$ ]] \
        || problems+=("SQS_TRANSPORT is \`$SQS_TRANSPORT\`: set fast_sqs or kombu")
    [[ ${WORKER_RELOAD:-0} =~ ^[01]$ ]] || problems+=("WORKER_RELOAD is \`$WORKER_RELOAD\`: set 1 or 0")
    [[ ${#problems[@]} -eq 0 ]] || usage_error "${problems[@]}"
}

# Prints the seconds that tasks get of those until SIGKILL.
task_time() {
    local grace=${WORKER_GRACE_PERIOD:-40}
    echo "$((grace - 15 > grace / 2 ? grace - 15 : grace / 2))"
}

main() {
    check_settings "$@"
    export WORKER_SOFT_SHUTDOWN_TIMEOUT=${WORKER_SOFT_SHUTDOWN_TIMEOUT:-$(task_time)}
    local queues
    queues=$(IFS=, && printf '%s' "$*")
    local lib=${BERTH_LIB:-/usr/local/lib/berth} modules=berth_worker
    # The page of the queues, which an image has where the broker is SQS.
    [[ ! -d $lib/berth_queues ]] || modules+=,berth_queues.failures
    local command=(celery -A "${CELERY_APP:-app}" worker --include "$modules" --loglevel "${LOG_LEVEL:-INFO}")
    [[ -z $queues ]] || command+=(--queues "$queues")
    [[ -z ${CELERY_CONCURRENCY:-} ]] || command+=(--concurrency "$CELERY_CONCURRENCY")
    # SIGTERM then means: take no more, give running tasks their time, hand the rest back to the broker.
    export REMAP_SIGTERM=SIGQUIT
    export PYTHONPATH=$lib${PYTHONPATH:+:$PYTHONPATH}
    echo "Starting worker for ${queues:-the queues of the project}.."
    if [[ ${WORKER_RELOAD:-0} == 1 ]]; then
        # Above the time for tasks, what the worker needs to hand messages back and to end.
        exec reload-on-edit "$((${WORKER_SOFT_SHUTDOWN_TIMEOUT%.*} + 9))" "${command[@]}"
    fi
    exec "${command[@]}"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
