#!/usr/bin/env bash
#
# Send the tasks of the project's schedule when they are due: start-celery-beat.sh [OPTION...], options of `celery beat`.
# Of several, one sends and the others wait: see berth_beat.py.
#
# BERTH_LIB                folder of berth_beat.py (/usr/local/lib/berth)
# CELERY_APP               module of the Celery application (app)
# LOG_LEVEL                INFO
# WORKER_HEARTBEAT_FILE    file that tells check-worker.sh of a live beat (/tmp/celery-worker-heartbeat); the times of
#                          the last runs are kept beside it, unless `--schedule` or the scheduler says where
# WORKER_RELOAD            1: restart at each edit of the code (development)
set -Eeuo pipefail

readonly GRACE_S=5

usage_error() {
    printf 'start-celery-beat.sh: %s\n' "$@" >&2
    exit 64
}

check_settings() {
    local problems=()
    [[ ${LOG_LEVEL:-INFO} =~ ^(DEBUG|INFO|WARNING|ERROR|CRITICAL|FATAL)$ ]] \
        || problems+=("LOG_LEVEL is \`$LOG_LEVEL\`: set DEBUG, INFO, WARNING, ERROR or CRITICAL")
    [[ ${WORKER_RELOAD:-0} =~ ^[01]$ ]] || problems+=("WORKER_RELOAD is \`$WORKER_RELOAD\`: set 1 or 0")
    [[ ${#problems[@]} -eq 0 ]] || usage_error "${problems[@]}"
}

main() {
    check_settings
    local heartbeat=${WORKER_HEARTBEAT_FILE:-/tmp/celery-worker-heartbeat}
    local command=(python -m berth_beat --loglevel "${LOG_LEVEL:-INFO}")
    # No file of a process id: that of older versions of Celery outlives a process that was killed.
    command+=(--pidfile= --schedule "$(dirname -- "$heartbeat")/celerybeat-schedule" "$@")
    export PYTHONPATH=${BERTH_LIB:-/usr/local/lib/berth}${PYTHONPATH:+:$PYTHONPATH}
    echo "Starting beat.."
    if [[ ${WORKER_RELOAD:-0} == 1 ]]; then
        exec reload-on-edit "$GRACE_S" "${command[@]}"
    fi
    exec "${command[@]}"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
