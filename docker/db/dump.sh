#!/usr/bin/env bash
#
# Dumps of the application's database: what leaves the server, and comes back. Run inside the db container.
#
# usage: dump.sh dump NAME             write a dump to stdout, in pg_dump's custom format
#        dump.sh pull NAME             the same of another server, whose PGHOST=... and so on are on stdin, each ended
#                                      by a NUL
#        dump.sh facts NAME            show what such a dump holds: a line of JSON, then those of `inspect-db.sh count`
#        dump.sh load NAME [FORMAT]    load a dump from stdin into the new database `unfinished:load NAME`: of pg_dump's
#                                      formats custom, tar and plain, also below gzip, xz or zstd; FORMAT `directory`
#                                      is a tar archive of such a folder
#        dump.sh copy NAME [SNAPSHOT]  make that new database a copy of the application's, or of a snapshot of it
#        dump.sh apply NAME            run SQL from stdin in it, as the application's role
#        dump.sh finish NAME [KEPT]    put it in the place of the application's database, which becomes the snapshot KEPT
#        dump.sh forget NAME           delete it
#
# A dump is loaded by a role that owns that new database and nothing else, so that no statement in it reaches the
# application's. In the end all belongs to the application's role, whoever owned it where the dump was made.
#
# DB_NAME, DB_USER    the application's database and role
# POSTGRES_USER       the superuser (postgres), whom the local socket trusts
set -Eeuo pipefail

readonly HERE=${BASH_SOURCE[0]%/*} SECTOR=512 RESERVE_MB=256 FOLDER=${TMPDIR:-/tmp}
# Their databases and places of databases are made as those of snapshots.
# shellcheck source=/dev/null
source "$HERE/snapshot.sh"

die() {
    printf 'dump.sh: %s\n' "$*" >&2
    exit 1
}

# usage: check_token NAME
check_token() { [[ $1 =~ ^[A-Za-z0-9._-]{1,40}$ ]] || die "\`$1\` is no name for a load or a dump: use letters and digits"; }

facts_file() { printf '%s/dump.sh.%s\n' "$FOLDER" "$1"; }

# usage: make_work
# Make the folder `$work`, named after this process, which is gone with it; those of killed ones go now, and facts that
# nobody has asked for within an hour.
make_work() {
    local path pid
    for path in "$FOLDER"/dump.sh.work.*; do
        pid=${path##*.work.} pid=${pid%%.*}
        [[ ! -O $path ]] || kill -0 "$pid" 2>/dev/null || rm -rf "$path"
    done
    find "$FOLDER" -maxdepth 1 -type f -user "$(id -u)" -name 'dump.sh.*' -mmin +60 -delete
    work=$(mktemp -d "$FOLDER/dump.sh.work.$$.XXXXXX")
}

scratch() { printf '%sload %s\n' "$UNFINISHED" "$1"; }
loader() { printf 'loading %s\n' "$1"; }

# usage: compression
# Print what pg_dump compresses with: zstd is faster and smaller than gzip, but not every version or build has it.
compression() {
    local said
    # It looks at its options before it looks for a server, of which there is none there: so it fails either way, and
    # only why counts, in English.
    said=$(LC_ALL=C PGHOST=/nonexistent pg_dump --compress=zstd --format=custom 2>&1) || true
    case $said in
        # gzip, as pg_dump 15 and older know it, too.
        *[Cc]ompress*) echo 6 ;;
        *) echo zstd ;;
    esac
}

# usage: write_dump NAME
# Write the dump of the database that PGDATABASE names; what it holds is counted meanwhile, in the same snapshot.
write_dump() {
    local compress reader snapshot writer code=0
    compress=$(compression)
    umask 077
    make_work
    trap 'rm -rf "$work"' EXIT
    trap 'exit 143' INT TERM HUP
    coproc WATCH { psql --no-psqlrc --no-password --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --set "facts=$work/facts"; }
    reader=${WATCH[0]} writer=${WATCH[1]} watch=$WATCH_PID
    echo 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_export_snapshot();' >&"$writer"
    read -r snapshot <&"$reader" || die 'the database cannot be read'
    {
        cat <<'SQL'
\o :facts
SELECT json_build_object('database', current_database(), 'bytes', pg_database_size(current_database()),
    'server', current_setting('server_version_num')::int / 10000, 'version', current_setting('server_version'),
    'taken', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
SQL
        # shellcheck source=/dev/null
        (source "$HERE/inspect-db.sh" && count_sql)
    } >&"$writer"
    pg_dump --no-password --format=custom --compress="$compress" --snapshot="$snapshot" --lock-wait-timeout=60s || code=$?
    exec {writer}>&-
    wait "$watch" || code=$?
    ((code == 0)) || die 'there is no whole dump'
    mv "$work/facts" "$(facts_file "$1")"
}

dump() {
    exists "$DB_NAME" || die "there is no database \`$DB_NAME\`"
    PGUSER=${POSTGRES_USER:-postgres} PGDATABASE=$DB_NAME write_dump "$1"
}

pull() {
    local setting
    while IFS= read -r -d '' setting; do
        [[ $setting == PG[A-Z]*=* ]] || die 'stdin is to hold PGHOST=... and so on, each ended by a NUL'
        export "${setting?}"
    done
    # The passwords of this server are not for others.
    export PGPASSFILE=/dev/null PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-10}
    write_dump "$1"
}

known() {
    local file
    file=$(facts_file "$1")
    [[ -s $file ]] || die "nothing is known of a dump \`$1\`"
    cat "$file"
    rm "$file"
}

# usage: forget NAME
forget() {
    query postgres --set "scratch=$(scratch "$1")" --set "loader=$(loader "$1")" <<'SQL'
SET client_min_messages = 'warning';
DROP DATABASE IF EXISTS :"scratch" WITH (FORCE);
DROP ROLE IF EXISTS :"loader";
SQL
}

# usage: check_role
check_role() {
    [[ $(query postgres <<<"SELECT 1 FROM pg_roles WHERE rolname = :'role'") == 1 ]] \
        || die "the role \"$DB_USER\" is not there, to which all is to belong: set-password.sh creates it"
}

# usage: make_scratch NAME
# Make the new database, and the role that alone may load it; what killed loads left goes away.
make_scratch() {
    {
        begin
        cat <<'SQL'
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
\set password `printf %s "$LOADER_PASSWORD"`
CREATE ROLE :"loader" LOGIN PASSWORD :'password';
CREATE DATABASE :"new" OWNER :"loader";
SQL
    } | query postgres --set "new=$(scratch "$1")" --set "loader=$(loader "$1")"
    # Those that only a superuser may create; a dump says `IF NOT EXISTS`.
    ! exists "$DB_NAME" || query "$DB_NAME" <<'SQL' | query "$(scratch "$1")"
SELECT format('CREATE SCHEMA IF NOT EXISTS %I; CREATE EXTENSION IF NOT EXISTS %I SCHEMA %1$I CASCADE;', nspname, extname)
FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
    JOIN pg_available_extension_versions AS available ON name = extname AND version = extversion
WHERE available.superuser AND NOT available.trusted AND NOT nspname LIKE 'pg\_%';
SQL
}

# usage: judged ACCEPTED-FILE
# Read what psql or pg_restore says of its errors: those of owners and rights are none, as all will belong to one role.
# Ends with 1 at the first other one, which it prints.
judged() {
    awk -v count="$1" '
        /(STATEMENT|Command was): / && error != "" {
            if ($0 ~ /: +(ALTER .* OWNER TO |GRANT |REVOKE |ALTER DEFAULT PRIVILEGES |COMMENT ON EXTENSION |SET default_with_oids )/) {
                error = ""; accepted++; next
            }
            exit failed = 1
        }
        /(ERROR|FATAL|PANIC|error|fatal):/ { if (error != "") exit failed = 1; error = $0 }
        END { if (error != "") { print error; exit 1 } printf "%d", accepted >count }
    ' >&2
}

# usage: as_loader PROGRAM...
# Run psql or pg_restore; what it says that matters goes to stderr.
as_loader() {
    local code
    set +e
    { "$@" 2>&1 >/dev/null; echo $? >"$work/code"; } | judged "$work/accepted"
    code=${PIPESTATUS[1]}
    set -e
    ((code == 0)) || return 1
    code=$(<"$work/code")
    # That of pg_restore after errors, all of which were accepted.
    ((code == 0)) || { [[ $1 == pg_restore && $code == 1 ]] && (($(<"$work/accepted") > 0)); }
}

# usage: plain HEAD-FILE
# Run the SQL of stdin. No command of psql in it is run: it could lead into another database, or into the shell.
plain() {
    local end="$work/end" psql=(psql --no-psqlrc --no-password --quiet --echo-errors --set VERBOSITY=terse)
    mkfifo "$work/copy"
    tail -c 2000 <"$work/copy" >"$end" &
    {
        if ! grep -aq '^\\restrict ' "$1" && (unset PGPASSWORD && query postgres <<<'\restrict x') 2>/dev/null; then
            printf '\\restrict %s\n' "$RANDOM$RANDOM$RANDOM"
        fi
        tee "$work/copy"
    } | as_loader "${psql[@]}" || return 1
    wait $!
    if grep -aq '^-- PostgreSQL database dump' "$1" && ! grep -aq '^-- PostgreSQL database dump complete' "$end"; then
        echo 'the end of the file is missing' >&2
        return 1
    fi
}

# usage: from_stdin
# Load the dump of stdin, whatever it is.
from_stdin() {
    local head pg_restore=(pg_restore --no-password --no-owner --no-acl --dbname "$PGDATABASE")
    head=$(mktemp -p "$work")
    dd bs="$SECTOR" count=1 iflag=fullblock of="$head" status=none
    case $(od -An -v -tx1 "$head" | tr -d ' \n') in
        1f8b*) cat "$head" - | unpacked gzip ;;
        28b52ffd*) cat "$head" - | unpacked zstd ;;
        fd377a585a00*) cat "$head" - | unpacked xz ;;
        5047444d50*) cat "$head" - | as_loader "${pg_restore[@]}" --format custom ;;
        746f632e64617400*) cat "$head" - | as_loader "${pg_restore[@]}" --format tar ;;
        '') echo 'the file is empty' >&2 && return 1 ;;
        *) cat "$head" - | plain "$head" ;;
    esac
}

# usage: unpacked PROGRAM
unpacked() {
    command -v "$1" >/dev/null || { echo "the file needs \`$1\`, which is not in this image: unpack it first" >&2 && return 1; }
    "$1" --decompress --stdout | from_stdin
}

# usage: directory
directory() {
    mkdir "$work/folder"
    tar --extract --file - --directory "$work/folder" --no-same-owner
    as_loader pg_restore --no-password --no-owner --no-acl --dbname "$PGDATABASE" --format directory --jobs 2 "$work/folder"
}

# usage: has_room
# Tell whether the disk of the server has room for more: one that is full ends the server, and with it all that runs here.
has_room() {
    local free
    # A server that does not answer is no full disk: what loads meets that itself, and says so.
    read -r free < <(space) || return 0
    ((free / 1024 >= RESERVE_MB))
}

# usage: watch_room NAME
# End what loads before the disk is full.
watch_room() {
    while sleep 0.5; do
        has_room && continue
        touch "$work/full"
        query postgres --set "loader=$(loader "$1")" <<'SQL' >/dev/null
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :'loader';
SQL
    done
}

stop_watching() {
    # It may have ended by itself, with the server.
    [[ -z $watcher ]] || kill "$watcher" 2>/dev/null || true
    watcher=
}

load() {
    local tables
    check_role
    token=$1 watcher=
    make_work
    # Whatever goes wrong from here on, the application's database is as it was.
    trap 'code=$?; stop_watching; rm -rf "$work"; ((code == 0)) || forget "$token"' EXIT
    trap 'exit 143' INT TERM HUP
    LOADER_PASSWORD=$(od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n')
    export LOADER_PASSWORD
    has_room || die "less than $RESERVE_MB MB are free on the disk of the server: make room, or drop snapshots"
    make_scratch "$1"
    watch_room "$1" &>/dev/null &
    watcher=$!
    # Its end is no news.
    disown
    if ! PGUSER=$(loader "$1") PGPASSWORD=$LOADER_PASSWORD PGDATABASE=$(scratch "$1") \
        PGOPTIONS='-c synchronous_commit=off -c client_min_messages=error' \
        "${2:-from_stdin}" 2>"$work/said"; then
        [[ ! -e $work/full ]] || die "what the file holds does not fit onto the disk of the server, of which" \
            "$RESERVE_MB MB stay free: make room, or drop snapshots; the database $DB_NAME is as it was"
        cat "$work/said" >&2
        die "the file cannot be loaded; the database $DB_NAME is as it was"
    fi
    cat "$work/said" >&2
    stop_watching
    settle "$1"
    tables=$(query "$(scratch "$1")" <<<"SELECT count(*) FROM pg_stat_user_tables")
    ((tables > 0)) || die "the file holds no table; the database $DB_NAME is as it was"
    printf '%s tables are loaded beside the database %s\n' "$tables" "$DB_NAME"
}

# usage: copy_of SOURCE-DATABASE NAME
copy_of() {
    local method
    method=$(room_for "$1")
    {
        begin
        copy source
        cat <<'SQL'
BEGIN;
ALTER DATABASE :"new" OWNER TO :"role";
ALTER DATABASE :"new" CONNECTION LIMIT -1;
ALTER DATABASE :"new" RENAME TO :"scratch";
COMMIT;
SQL
    } | query postgres --set new= --set "source=$1" --set "scratch=$(scratch "$2")" --set "method=$method"
}

# usage: copied NAME [SNAPSHOT]
copied() {
    check_role
    if [[ -n ${2:-} ]]; then
        check_is_there "$2"
        copy_of "$PREFIX$2" "$1"
    else
        exists "$DB_NAME" || die "there is no database \`$DB_NAME\`"
        copy_of "$DB_NAME" "$1"
    fi
}

# usage: settle NAME
# Give all that was loaded to the application's role.
settle() {
    query "$(scratch "$1")" --set "loader=$(loader "$1")" <<'SQL'
SET client_min_messages = 'warning';
REASSIGN OWNED BY :"loader" TO :"role";
DROP OWNED BY :"loader";
DROP ROLE :"loader";
ANALYZE;
SQL
}

# usage: check_is_loaded NAME
check_is_loaded() {
    exists "$(scratch "$1")" || die "what was loaded is gone, as another task has cleared it away: load the file again"
}

apply() {
    check_is_loaded "$1"
    {
        # What it makes is the application's.
        echo 'SET SESSION AUTHORIZATION :"role";'
        cat
    } | query "$(scratch "$1")" --single-transaction
}

finish() {
    check_is_loaded "$1"
    LABEL="the dump" replace "$(scratch "$1")" "${2:-}" true
}

main() {
    local command=${1:-}
    check_settings
    case $command:$# in
        dump:2 | pull:2 | facts:2 | apply:2 | forget:2 | load:2 | finish:[23] | copy:[23]) ;;
        load:3) [[ $3 == directory ]] || die "\`$3\` is no format: leave it out, or write \`directory\`" ;;
        *)
            sed -n '/^# usage/,/^#$/s/^# \{0,1\}//p; /^set/q' "${BASH_SOURCE[0]}" >&2
            exit 64
            ;;
    esac
    check_token "$2"
    wait_for_server
    case $command in
        facts) known "$2" ;;
        copy) copied "${@:2}" ;;
        *) "$command" "${@:2}" ;;
    esac
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
