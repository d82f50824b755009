#!/usr/bin/env bash
#
# Wait for the database, then become the command that the container was given.
#
# DB_HOST            host of the database; unset or empty: there is nothing to wait for
# DB_WAIT_TIMEOUT    seconds to wait (60); 0: do not wait
#
# `wait-for-database --help` lists the other variables and the exit codes.
#
# A variable NAME_FILE that names a file in /run/secrets, where a cluster shows what must not stand in an
# environment, becomes NAME with the file's content.
set -Eeuo pipefail

readonly SECRETS=${SECRETS_FOLDER:-/run/secrets}

# Export what the files hold, without the newline at their end.
read_secrets() {
    local name file
    for name in $(compgen -e); do
        file=${!name}
        [[ $name == ?*_FILE && $file == "$SECRETS"/* ]] || continue
        if [[ ! -r $file ]]; then
            printf '%s\n' "entrypoint.sh: $name is \`$file\`, which cannot be read" >&2
            exit 78
        fi
        export "${name%_FILE}=$(<"$file")"
        unset "$name"
    done
}

needs_database() {
    [[ -n ${DB_HOST:-} && ! ${DB_WAIT_TIMEOUT:-60} =~ ^0+$ ]]
}

# Runs in the background because bash handles a signal only once its foreground command has ended, and as PID
# 1 it would not even die of one.
wait_for_database() {
    local waiter="" status=0
    trap 'stop_waiting "$waiter" TERM 143' TERM
    trap 'stop_waiting "$waiter" INT 130' INT
    wait-for-database &
    waiter=$!
    wait "$waiter" || status=$?
    trap - TERM INT
    return "$status"
}

# usage: stop_waiting PID SIGNAL STATUS
stop_waiting() {
    # It may have ended by itself just now, and there is nothing to be stopped then.
    [[ -z $1 ]] || kill -TERM "$1" 2>/dev/null || true
    printf 'entrypoint.sh: stopped by SIG%s while waiting for the database\n' "$2" >&2
    exit "$3"
}

main() {
    if [[ $# -eq 0 ]]; then
        printf '%s\n' "entrypoint.sh: no command given: name one, such as \`start-dev-server.sh\`" >&2
        exit 64
    fi
    read_secrets
    if needs_database; then
        wait_for_database || exit
    fi
    exec "$@"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
