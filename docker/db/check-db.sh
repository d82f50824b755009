#!/usr/bin/env bash
#
# Health of the db container: the application's role finds the application's database. Otherwise says why.
#
# Over TCP, because while the container initialises an empty volume, the server listens on its socket alone; and down to
# the database, because an initialisation that failed leaves a server without one behind, which later starts just fine.
set -Eeuo pipefail

main() {
    PGHOST=127.0.0.1 PGUSER=${DB_USER:?} PGDATABASE=${DB_NAME:?} PGPASSWORD=${DB_PASSWORD:-} PGCONNECT_TIMEOUT=3 \
        psql --no-psqlrc --no-password --quiet --output /dev/null --command 'SELECT'
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
