#!/usr/bin/env bash
#
# Entry point of the PostgreSQL image: sets up an empty data directory, then runs the command.
#
# Environment, each with a twin NAME_FILE that names a file holding the value:
#   POSTGRES_PASSWORD           password of the superuser, needed on the first start
#   POSTGRES_USER               name of the superuser (postgres)
#   POSTGRES_DB                 first database (POSTGRES_USER)
#   POSTGRES_INITDB_ARGS        further arguments of initdb, separated by spaces
#   POSTGRES_HOST_AUTH_METHOD   how clients from outside authenticate (scram-sha-256)
# and PGDATA, the data directory.
set -Eeuo pipefail

# Inside the data directory from the first step of its set-up to the last one, so that a set-up that was
# interrupted is never taken for a finished one.
readonly unfinished=.initialising

log() { printf '%s: %s\n' "${0##*/}" "$*"; }

die() {
    log "error: $*" >&2
    exit 1
}

# usage: file_env NAME [DEFAULT]
# Export NAME, from its twin NAME_FILE where that is set.
file_env() {
    local name=$1 twin=$1_FILE value
    [[ -z ${!name:-} || -z ${!twin:-} ]] || die "both $name and $twin are set: keep one of them"
    value=${!name:-${2:-}}
    if [[ -n ${!twin:-} ]]; then
        [[ -r ${!twin} ]] || die "cannot read ${!twin}, the value of $twin"
        value=$(<"${!twin}")
    fi
    export "$name=$value"
    unset "$twin"
}

setup_env() {
    file_env POSTGRES_PASSWORD
    file_env POSTGRES_USER postgres
    file_env POSTGRES_DB "$POSTGRES_USER"
    file_env POSTGRES_INITDB_ARGS
    file_env POSTGRES_HOST_AUTH_METHOD
}

verify_env() {
    [[ $POSTGRES_PASSWORD != *$'\n'* ]] || die 'POSTGRES_PASSWORD holds a line break, of which initdb reads one line'
    if [[ -z $POSTGRES_PASSWORD && $POSTGRES_HOST_AUTH_METHOD != trust ]]; then
        cat >&2 <<'MESSAGE'
error: the database is uninitialized and the superuser password is not specified:
       set POSTGRES_PASSWORD to a non-empty value, for example `docker run -e POSTGRES_PASSWORD=...`,
       or POSTGRES_PASSWORD_FILE to the path of a file that holds it.
       POSTGRES_HOST_AUTH_METHOD=trust lets everybody in without a password: not recommended.
MESSAGE
        exit 1
    fi
    if [[ $POSTGRES_HOST_AUTH_METHOD == trust ]]; then
        log 'warning: POSTGRES_HOST_AUTH_METHOD is trust: anyone who reaches the port is let in' >&2
    fi
}

is_first_start() { [[ -e $PGDATA/$unfinished || ! -s $PGDATA/PG_VERSION ]]; }

# usage: holds_files DIRECTORY
holds_files() { [[ -n $(find "$1" -mindepth 1 -maxdepth 1 \! -name lost+found -print -quit) ]]; }

# usage: prepare_directories
# Make the data and the socket directory, owned by the database user when started as root.
prepare_directories() {
    if [[ ! $PGDATA -ef /var/lib/postgresql/data ]] && mountpoint --quiet /var/lib/postgresql/data; then
        die "a volume is mounted at /var/lib/postgresql/data, but the data directory is $PGDATA:" \
            "mount it at /var/lib/postgresql, or set PGDATA"
    fi
    [[ -d $PGDATA ]] || install -d -m 700 "$PGDATA"
    # Before anything of it is changed, its owner included.
    if is_first_start && [[ ! -e $PGDATA/$unfinished ]] && holds_files "$PGDATA"; then
        die "$PGDATA holds files, but no database: empty it, or set PGDATA to a directory of its own"
    fi
    [[ $(id -u) -eq 0 ]] || return 0
    find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres:postgres {} +
}

# usage: start_over
# Empty the data directory of an interrupted set-up; what marks it as such goes last.
start_over() {
    log "the last set-up of $PGDATA was interrupted, starting over"
    find "$PGDATA" -mindepth 1 -maxdepth 1 \! -name "$unfinished" -exec rm -r {} +
    rm -r "${PGDATA:?}/$unfinished"
}

# usage: create_cluster
create_cluster() {
    local arguments=() words method
    # Quoted as in a shell, but nothing in it is run.
    words=$(xargs --no-run-if-empty --max-args 1 printf '%s\n' <<<"$POSTGRES_INITDB_ARGS")
    [[ -z $words ]] || mapfile -t arguments <<<"$words"
    # initdb wants an account for the uid it runs as.
    if ! getent passwd "$(id -u)" >/dev/null; then
        NSS_WRAPPER_PASSWD=$(mktemp) NSS_WRAPPER_GROUP=$(mktemp)
        export NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP LD_PRELOAD=libnss_wrapper.so
        echo "postgres:x:$(id -u):$(id -g)::$PGDATA:/bin/false" >"$NSS_WRAPPER_PASSWD"
        echo "postgres:x:$(id -g):" >"$NSS_WRAPPER_GROUP"
    fi
    # All files are synchronised once, at the end of the set-up. That none is yet is what the output would warn of.
    initdb --pgdata "$PGDATA/$unfinished" --username "$POSTGRES_USER" --auth trust --no-sync --no-instructions \
        --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD") "${arguments[@]}" >/dev/null
    if [[ -n ${NSS_WRAPPER_PASSWD:-} ]]; then
        rm "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
        unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
    fi
    method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -D "$PGDATA/$unfinished" -C password_encryption)}
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/$unfinished/pg_hba.conf"
    chmod --reference "$PGDATA/$unfinished" "$PGDATA"
    find "$PGDATA/$unfinished" -mindepth 1 -maxdepth 1 -exec mv -t "$PGDATA" {} +
}

# usage: start_private_server COMMAND...
# Start the server with the options of COMMAND where nobody but this script finds it: no TCP, and its socket out
# of the way, so that a health check waits for the real one.
start_private_server() {
    export PGHOST=/var/run/postgresql/initialising PGPASSWORD=$POSTGRES_PASSWORD
    install -d -m 700 "$PGHOST"
    "$@" -c listen_addresses='' -c unix_socket_directories="$PGHOST" \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off &
    private_server=$!
    until pg_isready --quiet --username "$POSTGRES_USER"; do
        kill -0 "$private_server" 2>/dev/null || die 'the server did not start'
        sleep 0.02
    done
}

stop_private_server() {
    kill -INT "$private_server"
    wait "$private_server"
    rmdir "$PGHOST"
    unset PGHOST PGPASSWORD
}

# usage: docker_process_sql ARGUMENTS...
# Run psql as superuser on the first database. Scripts that are sourced may use it; the name is upstream's.
docker_process_sql() {
    # By variable, as psql takes `--dbname a=b` for a connection string.
    PGDATABASE=$POSTGRES_DB psql --set ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER" "$@"
}

create_database() {
    [[ $POSTGRES_DB != postgres ]] || return 0
    docker_process_sql --dbname postgres --quiet --set "name=$POSTGRES_DB" <<<'CREATE DATABASE :"name"'
}

# usage: process_init_files FILE...
process_init_files() {
    local file
    for file in "$@"; do
        case $file in
            *.sh)
                if [[ -x $file ]]; then
                    log "running $file"
                    "$file"
                else
                    log "sourcing $file"
                    # shellcheck source=/dev/null
                    source "$file"
                fi
                ;;
            *.sql) log "running $file" && docker_process_sql --file "$file" ;;
            *.sql.gz) log "running $file" && gunzip --stdout "$file" | docker_process_sql ;;
            *.sql.xz) log "running $file" && xz --decompress --stdout "$file" | docker_process_sql ;;
            *.sql.zst) log "running $file" && zstd --decompress --stdout "$file" | docker_process_sql ;;
            *) log "ignoring $file" ;;
        esac
    done
}

# usage: initialise COMMAND...
initialise() {
    [[ ! -e $PGDATA/$unfinished ]] || start_over
    log "setting up $PGDATA"
    create_cluster
    start_private_server "$@"
    create_database
    shopt -s nullglob
    process_init_files /docker-entrypoint-initdb.d/*
    stop_private_server
    initdb --pgdata "$PGDATA" --sync-only >/dev/null
    rmdir "$PGDATA/$unfinished"
    log "$PGDATA is set up"
}

# usage: wants_server COMMAND...
wants_server() {
    local argument
    [[ $1 == postgres ]] || return 1
    for argument in "$@"; do
        case $argument in
            '-?' | --help | --describe-config | -V | --version | -C) return 1 ;;
        esac
    done
}

main() {
    [[ ${1:-} != -* ]] || set -- postgres "$@"
    if wants_server "$@"; then
        prepare_directories
        if [[ $(id -u) -eq 0 ]]; then
            export HOME=/var/lib/postgresql
            exec setpriv --reuid postgres --regid postgres --init-groups "${BASH_SOURCE[0]}" "$@"
        fi
        setup_env
        if is_first_start; then
            verify_env
            # In the background, as a shell that waits for a program in the foreground hears no signal.
            trap 'log "stopped during the set-up, which will start over" && exit 143' INT TERM
            initialise "$@" &
            wait $!
            trap - INT TERM
        fi
        unset POSTGRES_PASSWORD
    fi
    exec "$@"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
