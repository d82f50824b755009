#!/usr/bin/env bash
#
# Health of a worker container: its main loop has touched the heartbeat file lately. Otherwise says why.
#
# WORKER_HEARTBEAT_FILE    file that the worker touches every 3 seconds once it is ready
set -Eeuo pipefail

# With two checks 15 s apart, a worker that stands still is unhealthy within 45 s: three of their intervals.
readonly MAX_AGE_S=12

main() {
    local file=${WORKER_HEARTBEAT_FILE:-/tmp/celery-worker-heartbeat} touched age
    if ! touched=$(stat --format %Y -- "$file" 2>/dev/null); then
        printf 'no heartbeat: %s does not exist, so the worker is not ready yet\n' "$file"
        return 1
    fi
    age=$((EPOCHSECONDS - touched))
    if ((age >= MAX_AGE_S)); then
        printf 'no heartbeat for %s s: the main loop of the worker hangs (%s)\n' "$age" "$file"
        return 1
    fi
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
