#!/usr/bin/env bash
#
# Drop the application's database with all it holds, and create it again, empty. Run inside the db container.
#
# DB_NAME, DB_USER, DB_PASSWORD    the application's database and role
# POSTGRES_USER                    the superuser (postgres), whom the local socket trusts
set -Eeuo pipefail

readonly INIT_SQL=${INIT_SQL:-/docker-entrypoint-initdb.d/db.sql}

# usage: query [PSQL-ARGUMENT...]
query() {
    # By variable, because psql takes a name that holds `=` or `://` for a connection string.
    PGUSER=${POSTGRES_USER:-postgres} PGDATABASE=postgres \
        psql --no-psqlrc --no-password --quiet --set ON_ERROR_STOP=1 "$@"
}

main() {
    if [[ -z ${DB_NAME:-} ]]; then
        printf 'reset-db.sh: DB_NAME is not set: set it in the environment of the db container\n' >&2
        exit 78
    fi
    if [[ ! -r $INIT_SQL ]]; then
        printf 'reset-db.sh: %s cannot be read, so the database could not be created again: mount it\n' "$INIT_SQL" >&2
        exit 66
    fi
    query <<'SQL'
\set SHOW_CONTEXT never
\set db_name `printf '%s.' "$DB_NAME"`
SELECT left(:'db_name', -1) AS db_name \gset
SELECT :'db_name' = 'postgres' OR EXISTS (SELECT FROM pg_database WHERE datname = :'db_name' AND datistemplate) AS refuse
\gset
\if :refuse
    DO $$ BEGIN RAISE EXCEPTION 'DB_NAME is a database of PostgreSQL itself, which is not dropped'; END $$;
\endif
DROP DATABASE IF EXISTS :"db_name" WITH (FORCE);
SQL
    query --file "$INIT_SQL"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
