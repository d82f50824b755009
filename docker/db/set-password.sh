#!/usr/bin/env bash
#
# Give the roles of the server the passwords of the environment; all data stays. Run inside the db container, for a
# volume that was made with other ones, or with another name of the application's role or database.
#
# DB_NAME, DB_USER, DB_PASSWORD    the application's database and role, which are created where they are missing
# POSTGRES_USER                    the superuser (postgres), whom the local socket trusts
# POSTGRES_PASSWORD                its password; without one the superuser keeps its own
set -Eeuo pipefail

readonly INIT_SQL=${INIT_SQL:-/docker-entrypoint-initdb.d/db.sql} PATIENCE_S=60

# usage: query PSQL-ARGUMENT...
query() { psql --no-psqlrc --no-password --quiet --set ON_ERROR_STOP=1 "$@"; }

wait_for_server() {
    until pg_isready --quiet; do
        if ((SECONDS >= PATIENCE_S)); then
            echo "set-password.sh: the server does not answer within $PATIENCE_S s: look at its log" >&2
            exit 1
        fi
        sleep 0.2
    done
}

set_password_of_superuser() {
    [[ -n ${POSTGRES_PASSWORD:-} ]] || return 0
    query <<'SQL'
-- The statement must not reach the server's log.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
\set password `printf '%s.' "$POSTGRES_PASSWORD"`
SELECT format('ALTER ROLE CURRENT_USER PASSWORD %L', left(:'password', -1)) \gexec
SQL
}

main() {
    export PGCLIENTENCODING=UTF8 PGUSER=${POSTGRES_USER:-postgres} PGDATABASE=postgres
    wait_for_server
    # It is re-runnable, and a role that exists gets the password.
    query --file "$INIT_SQL"
    set_password_of_superuser
    echo "the role $DB_USER has the password of the environment, and the superuser, too"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
