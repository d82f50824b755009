#!/usr/bin/env bash
#
# Apply the migrations and end. One container does this for all replicas, before they start.
set -Eeuo pipefail

main() {
    echo "Running migrations.."
    exec python manage.py migrate --noinput
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
