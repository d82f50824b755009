#!/usr/bin/env bash
#
# Snapshots of the application's database: copies inside the server, made by template, without a dump. Run inside
# the db container.
#
# usage: snapshot.sh take NAME [FACTS]     copy it as NAME; FACTS, a JSON object, is kept with the copy
#        snapshot.sh restore NAME [KEPT]   put a copy of NAME in its place; what it was becomes the snapshot KEPT
#        snapshot.sh move NAME [KEPT]      the same without a copy, which takes no time: NAME is no snapshot any more
#        snapshot.sh drop NAME...          delete snapshots
#        snapshot.sh list                  show them, one line of JSON each
#        snapshot.sh describe              show what the database holds, as one line of JSON
#
# A snapshot is a database `snapshot:NAME` whose comment holds what is known of it. What is not finished yet is called
# `unfinished:...`, and the next command removes it: a copy gets its name when it is whole, and databases change places
# in one transaction, so an interruption at any moment leaves the old state or the new one.
#
# DB_NAME, DB_USER    the application's database and role
# POSTGRES_USER       the superuser (postgres), whom the local socket trusts
set -Eeuo pipefail

readonly PREFIX=snapshot: UNFINISHED=unfinished: PATIENCE_S=60
export PGCLIENTENCODING=UTF8 SNAPSHOT_SH=${BASH_SOURCE[0]}

die() {
    printf 'snapshot.sh: %s\n' "$*" >&2
    exit 1
}

# usage: query DATABASE PSQL-ARGUMENT...
query() {
    # By variable, because psql takes a name that holds `=` or `://` for a connection string.
    PGUSER=${POSTGRES_USER:-postgres} PGDATABASE=$1 psql --no-psqlrc --no-password --quiet --no-align --tuples-only \
        --set ON_ERROR_STOP=1 --set SHOW_CONTEXT=never --set "database=$DB_NAME" --set "role=$DB_USER" \
        --set "prefix=$PREFIX" --set "unfinished=$UNFINISHED" "${@:2}"
}

check_settings() {
    [[ -n ${DB_NAME:-} && -n ${DB_USER:-} ]] || die 'DB_NAME and DB_USER are to be set in the environment'
    case $DB_NAME in
        postgres | template0 | template1 | "$PREFIX"* | "$UNFINISHED"*)
            die "\`$DB_NAME\` is not the name of an application's database: check DB_NAME"
            ;;
    esac
}

wait_for_server() {
    until PGUSER=${POSTGRES_USER:-postgres} PGDATABASE=postgres pg_isready --quiet; do
        ((SECONDS < PATIENCE_S)) || die "the server does not answer within $PATIENCE_S s: look at its log"
        sleep 0.2
    done
}

# usage: exists DATABASE
exists() { [[ $(query postgres --set "name=$1" <<<"SELECT 1 FROM pg_database WHERE datname = :'name'") == 1 ]]; }

# usage: check_is_there NAME
check_is_there() { exists "$PREFIX$1" || die "no snapshot is called \`$1\`"; }

# usage: check_is_new NAME
check_is_new() {
    local name=$PREFIX$1
    [[ -n $1 ]] || die 'a snapshot needs a name'
    # PostgreSQL itself would cut it.
    (($(LC_ALL=C && printf %s "${#name}") <= 63)) || die "the name \`$1\` is too long: 54 bytes at most"
    ! exists "$name" || die "a snapshot \`$1\` exists already: choose another name, or drop it first"
}

describe() {
    query "$DB_NAME" <<'SQL'
SET search_path = pg_catalog;
SELECT coalesce(
    (SELECT format(
        'SELECT coalesce((SELECT app || ''.'' || name FROM %1$s ORDER BY id DESC LIMIT 1), '''') AS migration,
        (SELECT count(*) FROM %1$s) AS migrations', oid::regclass)
    FROM pg_class WHERE relname = 'django_migrations' AND relkind = 'r' ORDER BY oid LIMIT 1),
    'SELECT '''' AS migration, 0 AS migrations') AS question
\gset
:question
\gset
SELECT json_build_object(
    'database', current_database(),
    'bytes', pg_database_size(current_database()),
    'tables', count(*),
    'rows', coalesce(sum(greatest(class.reltuples, pg_stat_get_live_tuples(class.oid), 0))::bigint, 0),
    'migration', :'migration',
    'migrations', :migrations)
FROM pg_class AS class JOIN pg_namespace AS schema ON schema.oid = relnamespace
WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema');
SQL
}

list() {
    query postgres <<'SQL'
-- Their size is kept, as to look at thousands of files of each takes seconds.
SELECT json_build_object('name', substr(datname, length(:'prefix') + 1),
    'bytes', coalesce(substring(facts FROM '"bytes": ?([0-9]{1,18})[,}]')::bigint, pg_database_size(oid)), 'facts', facts)
FROM pg_database, coalesce(shobj_description(oid, 'pg_database'), '') AS facts
WHERE starts_with(datname, :'prefix') AND datconnlimit <> -2 ORDER BY datname;
SQL
}

# usage: space
# Print what is free where the data is, in KiB, and whether files can share their blocks there: `copy` or `clone`.
space() {
    # The server's own eyes: where it runs as another user, we could not look there.
    query postgres <<'SQL'
CREATE TEMPORARY TABLE answer (line text);
COPY answer FROM PROGRAM 'df -Pk . | sed -n ''$s/.* \([0-9][0-9]*\)  *[0-9]*% .*/\1/p''';
COPY answer FROM PROGRAM
    'cp --reflink=always PG_VERSION .snapshot.probe 2>/dev/null && echo clone || echo copy; rm -f .snapshot.probe';
UPDATE answer SET line = 'copy' WHERE line = 'clone' AND current_setting('file_copy_method', true) IS NULL;
SELECT line FROM answer;
SQL
}

# usage: room_for DATABASE
# Print how a copy of that database is made; end where the disk cannot hold it.
room_for() {
    local free method needed
    { read -r free && read -r method; } < <(space)
    needed=$(query postgres --set "name=$1" <<<"SELECT pg_database_size(:'name') / 1024")
    if [[ $method == copy ]] && ((free < needed + needed / 20 + 65536)); then
        die "the copy needs $((needed / 1024)) MB and some room to work, $((free / 1024)) MB are free:" \
            "make room, or drop snapshots"
    fi
    printf '%s\n' "$method"
}

# usage: begin
# Write what every change begins with: one at a time, and what an interrupted one left goes away.
begin() {
    cat <<'SQL'
SET client_min_messages = 'warning';
SELECT clock_timestamp() AS started \gset
DO $$ BEGIN PERFORM pg_advisory_lock(hashtext('snapshot.sh'), 1); END $$;
SELECT format('DROP DATABASE %I', datname) FROM pg_database AS found
WHERE starts_with(datname, :'unfinished') AND datname <> :'new' AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE datid = found.oid)
    OR starts_with(datname, :'prefix') AND datconnlimit = -2
\gexec
SELECT format('DROP ROLE %I', rolname) FROM pg_roles
WHERE starts_with(rolname, 'loading ') AND NOT EXISTS (SELECT FROM pg_database WHERE datdba = pg_roles.oid)
    AND NOT EXISTS (SELECT FROM pg_stat_activity
        WHERE usesysid = pg_roles.oid OR datname = replace(rolname, 'loading ', :'unfinished' || 'load '))
\gexec
-- A server that is killed while it copies forgets the database, and leaves its files. While nobody else creates or drops
-- one, files that belong to none are such. Each query has to see what was there when the lock was granted, whatever
-- default_transaction_isolation says: with an older view a database that was made just then would lose its files.
BEGIN ISOLATION LEVEL READ COMMITTED;
DO $$ BEGIN LOCK pg_database IN SHARE MODE NOWAIT; EXCEPTION WHEN lock_not_available THEN NULL; END $$;
SELECT format('COPY (SELECT 1) TO PROGRAM %L', 'cat >/dev/null; rm -rf ' || string_agg('base/' || name, ' ') || '; true')
FROM pg_ls_dir('base') AS name
WHERE name ~ '^[1-9][0-9]*$' AND NOT EXISTS (SELECT FROM pg_database WHERE oid::text = name)
    AND EXISTS (SELECT FROM pg_locks
        WHERE pid = pg_backend_pid() AND relation = 'pg_database'::regclass AND mode = 'ShareLock' AND granted)
HAVING count(*) > 0
\gexec
COMMIT;
SQL
}

# usage: alone DATABASE-VARIABLE
# Write what stands in front of a statement that wants no other session in a database; `shared` stands behind it.
alone() {
    cat <<SQL
DO \$\$ BEGIN PERFORM pg_advisory_lock(hashtext('snapshot.sh'), 2); END \$\$;
SELECT pg_backend_pid() AS backend \gset
\setenv BACKEND :backend
\setenv BUSY :$1
\! bash "\$SNAPSHOT_SH" end-sessions >/dev/null &
SQL
}

shared() { echo "DO \$\$ BEGIN PERFORM pg_advisory_unlock(hashtext('snapshot.sh'), 2); END \$\$;"; }

# usage: BUSY=DATABASE BACKEND=PID end_sessions
# End all sessions of a database until the statement of that backend has it for itself: it holds the lock that new
# sessions wait for. They go on when it is done.
end_sessions() {
    query postgres --set "busy=$BUSY" --set "backend=$BACKEND" <<'SQL'
SELECT set_config('snapshot.busy', :'busy', false), set_config('snapshot.backend', :'backend', false) \g /dev/null
DO $$
DECLARE
    busy oid := (SELECT oid FROM pg_database WHERE datname = current_setting('snapshot.busy'));
    backend int := current_setting('snapshot.backend');
BEGIN
    LOOP
        EXIT WHEN NOT EXISTS (
            SELECT FROM pg_locks WHERE pid = backend AND locktype = 'advisory'
                AND classid::int8 = (hashtext('snapshot.sh')::int8 & 4294967295) AND objid = 2);
        PERFORM pg_stat_clear_snapshot();
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datid = busy;
        EXIT WHEN NOT FOUND AND EXISTS (
            SELECT FROM pg_locks WHERE pid = backend AND granted AND locktype = 'object'
                AND classid = 'pg_database'::regclass AND objid = busy
                AND mode IN ('ShareLock', 'AccessExclusiveLock'));
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;
SQL
}

# usage: copy SOURCE-VARIABLE
# Write what copies a database to the name of one that is unfinished, of which nobody but superusers are let in.
copy() {
    echo '\set new :unfinished copy'
    echo "SELECT set_config('file_copy_method', :'method', false) WHERE :'method' = 'clone' \\g /dev/null"
    alone "$1"
    cat <<SQL
SELECT format('CREATE DATABASE %I TEMPLATE %I %s CONNECTION LIMIT 0', :'new', :'$1',
    CASE WHEN current_setting('server_version_num')::int >= 150000 THEN 'STRATEGY file_copy' END)
\gexec
SQL
    shared
}

# usage: swap
# Write what puts :new in the place of the application's database: its owner, rights and settings stay. What it was
# becomes the snapshot :kept, or goes away if that is empty.
swap() {
    cat <<'SQL'
SELECT EXISTS (SELECT FROM pg_database WHERE datname = :'database') AS there \gset
SELECT format('ALTER DATABASE %I CONNECTION LIMIT %s', :'new', coalesce(
    (SELECT datconnlimit FROM pg_database WHERE datname = :'database' AND datconnlimit > 0), -1))
UNION ALL SELECT format('ALTER DATABASE %I OWNER TO %I', :'new', coalesce(
    (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = :'database'), :'role'))
UNION ALL SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', :'new')
    FROM pg_database WHERE datname = :'database' AND datacl IS NOT NULL
\gexec
SELECT format('GRANT %s ON DATABASE %I TO %s%s', privilege_type, :'new',
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END)
FROM pg_database, aclexplode(datacl) WHERE datname = :'database'
\gexec
SELECT format('ALTER %s SET %I TO %s', CASE setrole WHEN 0 THEN format('DATABASE %I', :'new')
        ELSE format('ROLE %I IN DATABASE %I', pg_get_userbyid(setrole), :'new') END,
    split_part(setting, '=', 1),
    -- These are kept as lists of quoted names already.
    CASE WHEN split_part(setting, '=', 1) IN ('search_path', 'temp_tablespaces', 'session_preload_libraries',
        'local_preload_libraries') THEN value ELSE quote_literal(value) END)
FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase, unnest(setconfig) AS setting,
    substr(setting, strpos(setting, '=') + 1) AS value
WHERE datname = :'database'
\gexec
SELECT CASE :'kept' WHEN '' THEN :'unfinished' || 'old' ELSE :'prefix' || :'kept' END AS old \gset
SQL
    alone database
    cat <<'SQL'
BEGIN;
\if :there
    ALTER DATABASE :"database" RENAME TO :"old";
    ALTER DATABASE :"old" CONNECTION LIMIT 0;
    SELECT format('COMMENT ON DATABASE %I IS %L', :'old', :'facts') WHERE :'kept' <> '' \gexec
\endif
ALTER DATABASE :"new" RENAME TO :"database";
SELECT format('COMMENT ON DATABASE %I IS NULL', :'database') \gexec
COMMIT;
SQL
    shared
    echo "SELECT format('DROP DATABASE %I WITH (FORCE)', :'old') WHERE :'there' AND :'kept' = '' \\gexec"
}

# usage: facts [FACTS]
# Print FACTS with what the database holds and when.
facts() {
    local described
    described=$(describe)
    query postgres --set "facts=${1:-{\}}" --set "described=$described" <<'SQL'
SELECT :'facts'::jsonb || :'described'::jsonb
    || jsonb_build_object('taken', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
SQL
}

take() {
    local facts method
    check_is_new "$1"
    facts=$(facts "${2:-}")
    method=$(room_for "$DB_NAME")
    {
        begin
        copy database
        cat <<'SQL'
\set done :prefix :name
BEGIN;
SELECT format('COMMENT ON DATABASE %I IS %L', :'new', :'facts') \gexec
ALTER DATABASE :"new" RENAME TO :"done";
COMMIT;
SELECT format('the database %s is kept as the snapshot %s: %s in %s s (%s)', :'database', :'name',
    pg_size_pretty(pg_database_size(:'done')), round(extract(epoch FROM clock_timestamp() - :'started'), 1), :'method');
SQL
    } | query postgres --set new= --set "name=$1" --set "facts=$facts" --set "method=$method"
    tell_space
}

# usage: replace DATABASE KEPT SQL-FUNCTION...
# Put a database in the place of the application's, which becomes the snapshot KEPT.
replace() {
    local facts=
    if [[ -n $2 ]]; then
        check_is_new "$2"
        # There may be none, which is why somebody restores.
        ! exists "$DB_NAME" || facts=$(facts '{"reason": "replaced", "automatic": true}')
    fi
    {
        begin
        "${@:3}"
        swap
        cat <<'SQL'
SELECT format('the database %s is what %s was: %s in %s s', :'database', :'name',
    pg_size_pretty(pg_database_size(:'database')), round(extract(epoch FROM clock_timestamp() - :'started'), 1));
SELECT format('what it was before is the snapshot %s', :'kept') WHERE :'there' AND :'kept' <> '';
SQL
    } | query postgres --set "new=$1" --set "name=${LABEL:-${1#"$PREFIX"}}" --set "source=$1" --set "kept=$2" --set "facts=$facts" \
        --set "method=${METHOD:-}"
    tell_space
}

restore() {
    local METHOD
    check_is_there "$1"
    METHOD=$(room_for "$PREFIX$1")
    replace "$PREFIX$1" "${2:-}" copy source
}

move() {
    check_is_there "$1"
    replace "$PREFIX$1" "${2:-}" true
}

drop() {
    local name
    for name; do
        check_is_there "$name"
        { begin && echo "DROP DATABASE :\"name\" WITH (FORCE);"; } | query postgres --set new= --set "name=$PREFIX$name"
        printf 'the snapshot %s is deleted\n' "$name"
    done
}

tell_space() {
    local free
    read -r free < <(space)
    printf '%s MB are free\n' $((free / 1024))
}

main() {
    local command=${1:-}
    check_settings
    case $command:$# in
        end-sessions:1) end_sessions ;;
        list:1 | describe:1) wait_for_server && "$command" ;;
        take:[23] | restore:[23] | move:[23]) wait_for_server && "$command" "${@:2}" ;;
        drop:*) wait_for_server && drop "${@:2}" ;;
        *)
            sed -n '/^# usage/,/^#$/s/^# \{0,1\}//p; /^set/q' "$SNAPSHOT_SH" >&2
            exit 64
            ;;
    esac
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
