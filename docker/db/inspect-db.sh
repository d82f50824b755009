#!/usr/bin/env bash
#
# Look into the application's database. Run inside the db container.
#
# usage: inspect-db.sh shell [PSQL-ARGUMENT...]       psql as the application's role
#        inspect-db.sh superuser [PSQL-ARGUMENT...]   psql as the superuser
#        inspect-db.sh ps                             show its sessions, what they run and whom they wait for
#        inspect-db.sh kill PID                       end one of them
#        inspect-db.sh stats                          show what is large, what is never used, what is slow
#        inspect-db.sh count [DATABASE]               count the rows of every table, and list the migrations: a line of
#                                                     JSON each, ["table" or "migration", NAME, ROWS or 1]
#
# DB_NAME, DB_USER, DB_PASSWORD    the application's database and role
# POSTGRES_USER                    the superuser (postgres), whom the local socket trusts
set -Eeuo pipefail

export PGCLIENTENCODING=UTF8

# usage: as_superuser PSQL-ARGUMENT...
as_superuser() { PGUSER=${POSTGRES_USER:-postgres} psql "$@"; }

# usage: query PSQL-ARGUMENT...
query() { as_superuser --no-psqlrc --no-password --quiet --pset pager=off --set ON_ERROR_STOP=1 "$@"; }

ps() {
    query --set "database=$DB_NAME" <<'SQL'
SELECT pid, usename AS role, application_name AS program, state,
    date_trunc('second', clock_timestamp() - coalesce(query_start, backend_start)) AS since,
    nullif(array_to_string(pg_blocking_pids(pid), ' '), '') AS "waits for",
    left(regexp_replace(query, '\s+', ' ', 'g'), 80) AS "last query"
FROM pg_stat_activity WHERE datname = :'database' AND pid <> pg_backend_pid()
ORDER BY state, query_start;
SELECT pid, relation::regclass AS "lock on", mode, CASE WHEN granted THEN 'held' ELSE 'waited for' END AS "is"
FROM pg_locks WHERE locktype = 'relation' AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = :'database')
    AND (NOT granted OR mode LIKE '%Exclusive%')
ORDER BY relation, granted DESC, pid;
SQL
}

# usage: kill_session PID
kill_session() {
    local ended
    ended=$(query --no-align --tuples-only --set "database=$DB_NAME" --set "pid=$1" <<'SQL'
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :'database' AND pid::text = :'pid';
SQL
    )
    if [[ $ended != t ]]; then
        echo "inspect-db.sh: no session of the database \`$DB_NAME\` has the pid $1" >&2
        return 1
    fi
    echo "the session $1 is ended, and its transaction rolled back"
}

stats() {
    query <<'SQL'
SELECT current_database() AS database, pg_size_pretty(pg_database_size(current_database())) AS size;
SELECT relid::regclass AS "largest tables", pg_size_pretty(pg_total_relation_size(relid)) AS size,
    pg_size_pretty(pg_indexes_size(relid)) AS "of it indexes",
    -- Of a table that was just copied nothing is counted yet.
    greatest(n_live_tup, reltuples) AS "about rows", n_dead_tup AS "dead rows"
FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid
ORDER BY pg_total_relation_size(relid) DESC, 1 LIMIT 10;
\echo 'What is used is counted since the database was created, or put back from a snapshot.'
SELECT indexrelid::regclass AS "indexes never used", relid::regclass AS "table",
    pg_size_pretty(pg_relation_size(indexrelid)) AS size
FROM pg_stat_user_indexes JOIN pg_index USING (indexrelid)
WHERE idx_scan = 0 AND NOT indisunique AND NOT indisreplident
ORDER BY pg_relation_size(indexrelid) DESC, 1 LIMIT 10;
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements')
    AND 'pg_stat_statements' = ANY (string_to_array(replace(current_setting('shared_preload_libraries'), ' ', ''), ','))
    AS watched
\gset
\if :watched
    SELECT calls, round(total_exec_time) AS "ms in all", round(mean_exec_time::numeric, 1) AS "ms each",
        left(regexp_replace(query, '\s+', ' ', 'g'), 80) AS "slow statements"
    FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY total_exec_time DESC LIMIT 10;
\else
    \echo 'slow statements: not known, as pg_stat_statements is not on'
\endif
SQL
}

# Write the questions of `count`; dump.sh asks them, too.
count_sql() {
    cat <<'SQL'
SELECT format('SELECT json_build_array(''table'', %L, count(*)) FROM %I.%I', nspname || '.' || relname, nspname, relname)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\_t%'
ORDER BY nspname, relname
\gexec
SELECT format('SELECT json_build_array(''migration'', app || ''.'' || name, 1) FROM %s', oid::regclass)
FROM pg_class WHERE relname = 'django_migrations' AND relkind = 'r' ORDER BY oid LIMIT 1
\gexec
SQL
}

count() { { echo 'SET default_transaction_read_only = on;' && count_sql; } | query --no-align --tuples-only; }

main() {
    # By variable, because psql takes a name that holds `=` or `://` for a connection string.
    export PGDATABASE=$DB_NAME
    case ${1:-} in
        shell) PGUSER=$DB_USER PGPASSWORD=$DB_PASSWORD exec psql "${@:2}" ;;
        superuser) as_superuser "${@:2}" ;;
        kill) kill_session "${2:?which PID}" ;;
        ps | stats) "$1" ;;
        count) PGDATABASE=${2:-$DB_NAME} && count ;;
        *)
            sed -n '/^# usage/,/^#$/s/^# \{0,1\}//p; /^set/q' "${BASH_SOURCE[0]}" >&2
            exit 64
            ;;
    esac
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
