#!/usr/bin/env bash
#
# Tell whether the database takes commands, also when the application cannot log in: `reset-db.sh` is to cure just that.
set -Eeuo pipefail

main() {
    exec pg_isready --quiet
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
