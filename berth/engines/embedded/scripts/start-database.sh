#!/usr/bin/env bash
#
# Be the database without a container: PostgreSQL, whose cluster is made first where there is none.
#
# MOUNTS               folder of the files that the container would have mounted
# PGDATA, PGPORT       the cluster, and its port on 127.0.0.1
# POSTGRES_PASSWORD    password of the superuser, `postgres`
# DB_*                 see db.sql
set -Eeuo pipefail

readonly SUPERUSER=postgres
sockets=

fail() {
    printf 'start-database.sh: %s\n' "$1" >&2
    exit 78
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
    sockets=$(mktemp -d /tmp/berth.XXXXXX)
    trap 'rm -rf "$sockets"' EXIT
    # Not on TCP, where a check of its health would take it for the one that stays.
    pg_ctl --pgdata="$new" --silent --wait \
        --options="-c listen_addresses='' -c unix_socket_directories='$sockets'" start
    PGHOST=$sockets PGUSER=$SUPERUSER PGDATABASE=postgres PGPASSWORD=$POSTGRES_PASSWORD \
        psql --no-psqlrc --no-password --file "$MOUNTS/docker-entrypoint-initdb.d/db.sql"
    pg_ctl --pgdata="$new" --silent --wait --mode=fast stop
    rm -rf "$sockets"
    trap - EXIT
    sync
    mv "$new" "$PGDATA"
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
        make_cluster
    fi
    have=$(<"$PGDATA/PG_VERSION")
    want=$(postgres --version | sed -E 's/.* ([0-9]+).*/\1/')
    [[ $have == "$want" ]] || fail "$PGDATA was made by PostgreSQL $have, and this is $want: dump it with the old one"
    forget_killed_server
    exec postgres -D "$PGDATA" -c listen_addresses=127.0.0.1 -c port="$PGPORT" -c unix_socket_directories=''
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
