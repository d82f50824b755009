#!/usr/bin/env bash
#
# Drop the application's database with all it holds, and create it again, empty. Run inside the db container.
#
# DB_NAME, DB_USER, DB_PASSWORD    the application's database and role
# POSTGRES_USER                    the superuser (postgres), whom the local socket trusts
set -Eeuo pipefail

readonly INIT_SQL=${INIT_SQL:-/docker-entrypoint-initdb.d/db.sql}

check_settings() {
    local problems=() name
    for name in DB_NAME DB_USER DB_PASSWORD; do
        [[ -n ${!name:-} ]] || problems+=("$name is not set: set it in the environment of the db container")
    done
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
    # By variable, because psql takes a name that holds `=` or `://` for a connection string.
    PGUSER=${POSTGRES_USER:-postgres} PGDATABASE=postgres \
        psql --no-psqlrc --no-password --quiet --set ON_ERROR_STOP=1 "$@"
}

drop_database() {
    query <<'SQL'
\set dotted_name `printf '%s.' "$DB_NAME"`
SET client_min_messages = 'warning';
SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', left(:'dotted_name', -1)) \gexec
SQL
}

main() {
    check_settings
    # Before the database is dropped as well: what cannot be created, such as a name too long, must not be
    # dropped.
    query --file "$INIT_SQL"
    drop_database
    query --file "$INIT_SQL"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
