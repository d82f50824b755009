#!/usr/bin/env bash
#
# Serve the bind-mounted code with Django's development server, which restarts at each edit.
#
# LISTEN_ADDRESS    address and port to serve at (0.0.0.0:8000)
set -Eeuo pipefail

main() {
    echo "Starting server.."
    exec reload-on-request python manage.py runserver "${LISTEN_ADDRESS:-0.0.0.0:8000}"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
