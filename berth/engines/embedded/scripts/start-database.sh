#!/usr/bin/env bash
#
# Be the database without a container: PostgreSQL, whose cluster is made first where there is none.
#
# MOUNTS                         folder of the files that the container would have mounted
# PGDATA, PGPORT                 the cluster, and its port on 127.0.0.1
# POSTGRES_USER                  name of the superuser (postgres)
# POSTGRES_PASSWORD              password of the superuser
# POSTGRES_DB                    first database (POSTGRES_USER)
# DB_NAME, DB_USER, DB_PASSWORD  the application's database and role, see db.sql
set -Eeuo pipefail

readonly SUPERUSER=${POSTGRES_USER:-postgres}
readonly FIRST=${POSTGRES_DB:-$SUPERUSER}
# Beside the cluster, for it to be there as a whole or not at all.
readonly KNOWN=$PGDATA.passwords
sockets=

say() {
    printf 'start-database.sh: %s\n' "$1" >&2
}

fail() {
    say "$1"
    exit 78
}

# usage: start_private_server DATA
# Where nobody but this script finds it: not on TCP, where a check of its health would take it for the one that stays.
start_private_server() {
    # Not below TMPDIR: the path of a socket has room for 107 bytes.
    sockets=$(mktemp -d /tmp/berth.XXXXXX)
    trap 'stop_private_server "$PGDATA.new" "$PGDATA"' EXIT
    # Only its owner reaches the socket.
    echo 'local all all trust' >"$sockets/hba.conf"
    pg_ctl --pgdata="$1" --silent --wait --log="$sockets/log" --options="-c listen_addresses='' \
        -c unix_socket_directories='$sockets' -c hba_file='$sockets/hba.conf'" start || {
        cat "$sockets/log" >&2
        return 1
    }
    # Scripts of the project find the server by these, too.
    export PGHOST=$sockets PGUSER=$SUPERUSER PGPASSWORD=${POSTGRES_PASSWORD:-}
}

# usage: stop_private_server DATA...
stop_private_server() {
    local data
    for data in "$@"; do
        [[ ! -e $data/postmaster.pid ]] || pg_ctl --pgdata="$data" --silent --wait --mode=fast stop
    done
    rm -rf "$sockets"
    trap - EXIT
}

# usage: docker_process_sql ARGUMENT...
# Run psql as superuser on the first database. Scripts that are sourced may use it; the name is that of Docker's image.
docker_process_sql() {
    PGDATABASE=$FIRST psql --set ON_ERROR_STOP=1 --no-psqlrc --no-password --quiet "$@"
}

# usage: unpacked PROGRAM FILE
unpacked() {
    command -v "$1" >/dev/null || fail "$2 needs \`$1\`, which is not installed: install it, or unpack the file"
    say "running $2"
    "$1" --decompress --stdout "$2" | docker_process_sql
}

# usage: process_init_files FILE...
# What the entry point of Docker's image does with them, in their order.
process_init_files() {
    local file
    for file in "$@"; do
        case $file in
            *.sh)
                if [[ -x $file ]]; then
                    say "running $file"
                    PGDATABASE=$FIRST "$file"
                else
                    say "sourcing $file"
                    # shellcheck source=/dev/null
                    source "$file"
                fi
                ;;
            *.sql) say "running $file" && docker_process_sql --file "$file" ;;
            *.sql.gz) unpacked gzip "$file" ;;
            *.sql.xz) unpacked xz "$file" ;;
            *.sql.zst) unpacked zstd "$file" ;;
            *) say "ignoring $file" ;;
        esac
    done
}

# A cluster counts once it has its name: one whose making was cut off is thrown away.
make_cluster() {
    local new=$PGDATA.new named=()
    rm -rf "$new"
    # initdb asks for the name of its user, and a user id may have none, as in a rootless container. In a namespace of
    # its own that id looks like one that has.
    if ! id -un >/dev/null 2>&1; then
        named=(unshare --user --map-user=65534 --map-group=65534)
        "${named[@]}" id -un >/dev/null 2>&1 \
            || fail "the user id $(id -u) has no name, which initdb needs: add it to /etc/passwd, or be another user"
    fi
    # The locale is PostgreSQL's own: it sorts alike on every machine.
    "${named[@]}" initdb --pgdata="$new" --username="$SUPERUSER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8 --no-sync
    start_private_server "$new"
    if [[ $FIRST != postgres ]]; then
        PGDATABASE=postgres psql --no-psqlrc --quiet --set "name=$FIRST" <<<'CREATE DATABASE :"name"'
    fi
    shopt -s nullglob
    process_init_files "$MOUNTS"/docker-entrypoint-initdb.d/*
    stop_private_server "$new"
    sync
    remember_passwords
    mv "$new" "$PGDATA"
}

passwords() {
    printf '%s\0' "$SUPERUSER" "${POSTGRES_PASSWORD:-}" "${DB_USER:-}" "${DB_PASSWORD:-}" | sha256sum
}

remember_passwords() {
    (umask 077 && passwords >"$KNOWN")
}

# The `.env` may be a new one beside old data: whoever starts a server on these files may set what they are opened with.
set_passwords() {
    [[ ! -e $KNOWN || $(<"$KNOWN") != "$(passwords)" ]] || return 0
    start_private_server "$PGDATA"
    # The statements hold passwords, and must not reach the log.
    PGDATABASE=postgres psql --no-psqlrc --no-password --quiet --set ON_ERROR_STOP=1 --set "superuser=$SUPERUSER" <<'SQL'
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
\getenv superuser_password POSTGRES_PASSWORD
\getenv name DB_USER
\getenv password DB_PASSWORD
SELECT format('ALTER ROLE %I PASSWORD %L', rolname, password)
FROM (VALUES (:'superuser', :'superuser_password'), (:'name', :'password')) AS role (name, password)
    JOIN pg_roles ON rolname = name
\gexec
SQL
    stop_private_server "$PGDATA"
    remember_passwords
    say "the passwords of the database are those of .env from now on; its data stays as it was"
}

# PostgreSQL takes any process with the number that a killed server left for that server, and refuses to start.
forget_killed_server() {
    local pid
    [[ -s $PGDATA/postmaster.pid ]] || return 0
    read -r pid <"$PGDATA/postmaster.pid"
    ps -p "$pid" -o command= 2>/dev/null | grep -q postgres || rm -f "$PGDATA/postmaster.pid"
}

main() {
    local have want
    if [[ ! -d $PGDATA ]]; then
        (make_cluster)
    fi
    have=$(<"$PGDATA/PG_VERSION")
    want=$(postgres --version | sed -E 's/.* ([0-9]+).*/\1/')
    [[ $have == "$want" ]] || fail "$PGDATA was made by PostgreSQL $have, and this is $want: dump it with the old one"
    forget_killed_server
    (set_passwords)
    exec postgres -D "$PGDATA" -c listen_addresses=127.0.0.1 -c port="$PGPORT" -c unix_socket_directories=''
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
