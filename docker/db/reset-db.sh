#!/usr/bin/env bash
#
# Drop the application's database with all it holds, and create it again, empty. Run inside the db container, whose
# server may be about to start. The new one is made beside the old one, and both change names in one transaction: an
# interruption at any moment leaves one of them, whole.
#
# DB_NAME, DB_USER, DB_PASSWORD    the application's database and role
# POSTGRES_USER                    the superuser (postgres), whom the local socket trusts
# RESET_WAIT_TIMEOUT               seconds to wait for the server (60)
set -Eeuo pipefail

readonly INIT_SQL=${INIT_SQL:-/docker-entrypoint-initdb.d/db.sql}
# As in snapshot.sh, which clears away what is called so.
readonly FRESH="unfinished:reset" OLD="unfinished:before the reset"

check_settings() {
    local problems=() name
    for name in DB_NAME DB_USER DB_PASSWORD; do
        [[ -n ${!name:-} ]] || problems+=("$name is not set: set it in the environment of the db container")
    done
    [[ ${RESET_WAIT_TIMEOUT:-60} =~ ^[0-9]{1,5}$ ]] \
        || problems+=("RESET_WAIT_TIMEOUT is \`$RESET_WAIT_TIMEOUT\`: set whole seconds")
    case ${DB_NAME:-} in
        postgres | template0 | template1)
            problems+=("\`$DB_NAME\` is a database of PostgreSQL itself, which is not dropped: check DB_NAME")
            ;;
    esac
    [[ -r $INIT_SQL ]] \
        || problems+=("$INIT_SQL cannot be read, so the database could not be created again: mount it")
    if [[ ${#problems[@]} -gt 0 ]]; then
        printf 'reset-db.sh: %s\n' "${problems[@]}" >&2
        exit 78
    fi
}

# usage: query PSQL-ARGUMENT...
query() {
    psql --no-psqlrc --no-password --quiet --set ON_ERROR_STOP=1 "$@"
}

# For the server, and not until the application can log in: that may be what is to be mended.
wait_for_server() {
    local limit=${RESET_WAIT_TIMEOUT:-60} refused=0 told="" reason
    local end=$((SECONDS + 10#$limit))
    until reason=$(is_up 2>&1); do
        [[ -n $told ]] || printf 'reset-db.sh: waiting for the server..\n' >&2
        told=1
        # More than once: between two servers, as below, one look says nothing.
        if [[ -n $reason ]] && ((refused += 1, refused >= 5)); then
            printf 'reset-db.sh: nothing was deleted, the superuser cannot log in: %s\n' "$reason" >&2
            exit 77
        fi
        if ((SECONDS >= end)); then
            printf 'reset-db.sh: nothing was deleted, the server was not up within %s s: look at its log\n' "$limit" >&2
            exit 75
        fi
        sleep 0.2
    done
}

# Says nothing unless the server takes connections, and refuses this one. The one that initialises an empty volume takes
# them on its socket alone, and is about to be stopped.
is_up() {
    local addresses
    pg_isready --quiet || return 1
    addresses=$(query --tuples-only --no-align --command 'SHOW listen_addresses') || return 1
    [[ -n $addresses ]]
}

# usage: drop DATABASE
drop() {
    query --set "name=$1" <<'SQL'
SET client_min_messages = 'warning';
DROP DATABASE IF EXISTS :"name" WITH (FORCE);
SQL
}

# Fails when somebody came back in between.
swap() {
    query --set "fresh=$FRESH" --set "old=$OLD" <<'SQL'
\set dotted_name `printf '%s.' "$DB_NAME"`
SELECT left(:'dotted_name', -1) AS name \gset
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :'name' \g /dev/null
BEGIN;
ALTER DATABASE :"name" RENAME TO :"old";
ALTER DATABASE :"fresh" RENAME TO :"name";
COMMIT;
SQL
}

main() {
    check_settings
    # By variable, because psql takes a name that holds `=` or `://` for a connection string.
    export PGUSER=${POSTGRES_USER:-postgres} PGDATABASE=postgres
    wait_for_server
    # What cannot be created, such as a name too long, must not be dropped.
    query --file "$INIT_SQL"
    drop "$FRESH"
    drop "$OLD"
    DB_NAME=$FRESH query --file "$INIT_SQL"
    swap 2>/dev/null || swap 2>/dev/null || swap
    drop "$OLD"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
