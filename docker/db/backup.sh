#!/usr/bin/env bash
#
# Back up a database that is elsewhere, and rehearse the way back. Run in a container of PostgreSQL's image, of the
# server's version or a newer one, beside dump.sh, inspect-db.sh and snapshot.sh.
#
# usage: backup.sh dump FOLDER        write the dump FOLDER/YYYYMMDD-HHMMSS.dump, and what it holds into NAME.dump.json
#        backup.sh rehearse FOLDER    load the newest dump of a folder into a server that is started here for that, and
#                                     compare every number of rows, and the migrations, with what the dump is to hold
#
# A dump has its name once it is whole. A rehearsal opens no connection but to its own server, which is gone afterwards.
#
# DB_HOST, DB_PORT (5432), DB_NAME, DB_USER, DB_PASSWORD    the database, for `dump`
# PGSSLMODE and the like                                    how libpq is to connect
# TMPDIR (/tmp)                                             where the server of a rehearsal has its data
set -Eeuo pipefail

readonly HERE=${BASH_SOURCE[0]%/*} FOLDER=${TMPDIR:-/tmp}
export PGCLIENTENCODING=UTF8

die() {
    printf 'backup.sh: %s\n' "$*" >&2
    exit 1
}

# usage: query PSQL-ARGUMENT...
query() { psql --no-psqlrc --no-password --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 "$@"; }

checksum() { sha256sum <"$1" | cut -d ' ' -f 1; }

# usage: describe FACTS-FILE SHA256
# Print what is known of a dump, in the words of `inv db.dump`.
describe() {
    FACTS=$1 query --set "sha256=$2" <<'SQL'
\set facts `cat "$FACTS"`
WITH line AS (SELECT said::json AS said, position FROM unnest(string_to_array(:'facts', E'\n'))
    WITH ORDINALITY AS line (said, position) WHERE said <> '')
SELECT json_build_object('sha256', :'sha256', 'server', said->'server', 'database', said->'database',
    'size', said->'bytes', 'taken', said->'taken', 'branch', '', 'commit', '',
    'tables', (SELECT coalesce(json_object_agg(said->>1, said->2), '{}') FROM line
        WHERE position > 1 AND said->>0 = 'table'),
    'migrations', (SELECT coalesce(json_agg(said->1), '[]') FROM line WHERE position > 1 AND said->>0 = 'migration'))
FROM line WHERE position = 1;
SQL
}

# usage: dump FOLDER
dump() {
    local name token=$$
    : "${DB_HOST:?is to be set}" "${DB_NAME:?is to be set}" "${DB_USER:?is to be set}" "${DB_PASSWORD:?is to be set}"
    export PGHOST=$DB_HOST PGPORT=${DB_PORT:-5432} PGDATABASE=$DB_NAME PGUSER=$DB_USER PGPASSWORD=$DB_PASSWORD
    [[ -d $1 && -w $1 ]] || die "the folder $1 is not there, or cannot be written"
    name=$(date -u +%Y%m%d-%H%M%S).dump
    part=$1/.$name.unfinished
    umask 077
    trap 'rm -f "$part" "$part.json" "$part.facts"' EXIT
    trap 'exit 143' INT TERM HUP
    rm -f "$1"/.*.unfinished "$1"/.*.unfinished.*
    bash "$HERE/dump.sh" pull "$token" </dev/null >"$part" || die "there is no whole dump of $DB_NAME on $DB_HOST"
    bash "$HERE/dump.sh" facts "$token" >"$part.facts"
    describe "$part.facts" "$(checksum "$part")" >"$part.json"
    sync "$part" "$part.json"
    # Who stores it is another user of the same group.
    chmod 0640 "$part" "$part.json"
    mv "$part.json" "$1/$name.json"
    mv "$part" "$1/$name"
    printf '%s: %s bytes\n' "$1/$name" "$(stat -c %s "$1/$name")"
}

# usage: start_server FOLDER
# Start a server that nobody reaches but over a socket in that folder.
start_server() {
    initdb --pgdata="$1/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$1/log" \
        || { cat "$1/log" >&2 && die 'no server could be made for the rehearsal'; }
    pg_ctl --pgdata="$1/data" --silent --wait --log="$1/log" --options="-c listen_addresses='' -c fsync=off \
        -c full_page_writes=off -c unix_socket_directories='$1' -c port=5432" start \
        || { cat "$1/log" >&2 && die 'the server for the rehearsal did not start'; }
}

# usage: stop_server FOLDER
stop_server() {
    [[ ! -e $1/data/postmaster.pid ]] || pg_ctl --pgdata="$1/data" --silent --wait --mode=immediate stop
    rm -rf "$1"
}

# usage: create_extensions DUMP
# Some may be created by a superuser only. One that is missing here is told by the load.
create_extensions() {
    local name
    pg_restore --list "$1" | sed -n 's/^[0-9].* EXTENSION - \(.*[^ ]\) *$/\1/p' | while IFS= read -r name; do
        PGDATABASE=template1 query --set "name=$name" <<<'CREATE EXTENSION IF NOT EXISTS :"name" CASCADE' || true
    done
}

# usage: expected JSON-FILE
# Print what a dump is to hold, as `inspect-db.sh count` does.
expected() {
    KNOWN=$1 query <<'SQL'
\set known `cat "$KNOWN"`
SELECT json_build_array('table', key, value::bigint) FROM json_each_text(:'known'::json->'tables')
UNION ALL SELECT json_build_array('migration', value, 1) FROM json_array_elements_text(:'known'::json->'migrations');
SQL
}

# usage: rehearse FOLDER
rehearse() {
    local dumps=("$1"/*.dump) path known differences token=rehearsal
    path=${dumps[-1]}
    [[ -f $path && -f $path.json ]] || die "$1 holds no dump with its .json"
    # What leads to the database that is in use is not even known here.
    unset PGHOSTADDR PGSERVICE PGPASSWORD DB_HOST DB_PASSWORD_FILE
    scratch=$(mktemp -d "$FOLDER/rehearsal.XXXXXX")
    trap 'stop_server "$scratch"' EXIT
    trap 'exit 143' INT TERM HUP
    known=$(<"$path.json")
    [[ $known == *"\"$(checksum "$path")\""* ]] || die "$path is not as it was made: its checksum is another one"
    start_server "$scratch"
    export PGHOST=$scratch PGPORT=5432 PGUSER=postgres PGDATABASE=postgres POSTGRES_USER=postgres TMPDIR=$scratch
    export DB_NAME=${DB_NAME:-app} DB_USER=${DB_USER:-app} DB_PASSWORD=rehearsal
    query --file "${INIT_SQL:-/docker-entrypoint-initdb.d/db.sql}"
    create_extensions "$path"
    bash "$HERE/dump.sh" load "$token" <"$path"
    bash "$HERE/dump.sh" finish "$token"
    differences=$(diff <(expected "$path.json" | LC_ALL=C sort) <(bash "$HERE/inspect-db.sh" count | LC_ALL=C sort)) \
        || die "$path was not loaded as it was made; < is what it is to hold, > what it held:"$'\n'"$differences"
    printf '%s was loaded into a server of its own, and holds what it is to: %s tables and migrations\n' \
        "$path" "$(expected "$path.json" | wc -l)"
}

main() {
    case ${1:-}:$# in
        dump:2 | rehearse:2) "$1" "$2" ;;
        *)
            sed -n '/^# usage/,/^#$/s/^# \{0,1\}//p; /^set/q' "${BASH_SOURCE[0]}" >&2
            exit 64
            ;;
    esac
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
