#!/usr/bin/env bash
#
# Health of the db container: the application's role finds the application's database. Otherwise says why.
#
# Over TCP, because while the container initialises an empty volume, the server listens on its socket alone;
# and down to the database, because an initialisation that failed leaves a server without one behind, which
# later starts just fine.
#
# DB_NAME, DB_USER, DB_PASSWORD    the application's database and role
set -Eeuo pipefail

main() {
    # For pg_isready as well: under the name of the container's user it would leave a line in the server's log.
    export PGHOST=127.0.0.1 PGCONNECT_TIMEOUT=3 PGUSER=$DB_USER PGDATABASE=$DB_NAME PGPASSWORD=$DB_PASSWORD
    pg_isready --quiet || pg_isready
    if ! psql --no-psqlrc --no-password --quiet --output /dev/null --command 'SELECT'; then
        printf 'check-db.sh: the application cannot log in to its database: %s\n' \
            "look at the log of the first start, or type \`reset-db.sh\` in this container for an empty one"
        return 1
    fi
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
