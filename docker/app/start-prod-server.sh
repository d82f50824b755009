#!/usr/bin/env bash
#
# Serve the project with gunicorn. gunicorn.conf.py lists the variables.
#
# WSGI_MODULE    module of the WSGI application (app.wsgi)
# ASGI_MODULE    module of an ASGI application, which is served in its place, by uvicorn's worker
set -Eeuo pipefail

main() {
    # gunicorn reads this one by itself, before its configuration, and of anything but a number it dies with a
    # traceback.
    [[ -n ${WEB_CONCURRENCY:-} ]] || unset WEB_CONCURRENCY
    if [[ ! ${WEB_CONCURRENCY:-1} =~ ^[0-9]+$ ]]; then
        printf 'start-prod-server.sh: %s\n' \
            "WEB_CONCURRENCY is \`$WEB_CONCURRENCY\`: set a whole number from 1" >&2
        exit 78
    fi
    exec gunicorn --config "${GUNICORN_CONFIG:-/usr/local/etc/gunicorn.conf.py}" "${ASGI_MODULE:-${WSGI_MODULE:-app.wsgi}}"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
