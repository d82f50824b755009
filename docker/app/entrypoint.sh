#!/usr/bin/env bash
#
# Read secrets, wait for the database, then become the command that the container was given.
#
# NAME_FILE          a file of secrets, below SECRETS_FOLDER, that holds the value of the variable NAME
# SECRETS_FOLDER     where the engine mounts secrets (/run/secrets); a NAME_FILE elsewhere is none of them
# DB_HOST            host of the database; unset or empty: there is nothing to wait for
# DB_WAIT_TIMEOUT    seconds to wait (60); 0: do not wait
#
# `wait-for-database --help` lists the other variables and the exit codes.
set -Eeuo pipefail

# Sets NAME for each NAME_FILE, as official images do, so that any project can read it. All that is wrong is said at once.
read_secrets() {
    local variable name file problems=()
    for variable in $(compgen -e); do
        name=${variable%_FILE} file=${!variable}
        [[ $name != "$variable" && -n $name && $file == "${SECRETS_FOLDER:-/run/secrets}"/* ]] || continue
        if [[ -n ${!name:-} ]]; then
            problems+=("$name and $variable are both set: unset one of them")
        elif [[ ! -f $file || ! -r $file ]]; then
            problems+=("$variable is \`$file\`, which cannot be read: mount the secret, readable by user $(id -u)")
        elif [[ ! -s $file ]]; then
            problems+=("$variable names an empty file: write the value of $name into it")
        else
            # Less the line feeds at its end.
            export "$name=$(<"$file")"
            unset "$variable"
        fi
    done
    [[ ${#problems[@]} -eq 0 ]] || {
        printf 'entrypoint.sh: %s\n' "${problems[@]}" >&2
        exit 78
    }
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
