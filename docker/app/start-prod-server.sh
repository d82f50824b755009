#!/usr/bin/env bash
#
# Serve the project with gunicorn. gunicorn.conf.py lists the variables.
#
# WSGI_MODULE    module of the WSGI application (app.wsgi)
set -Eeuo pipefail

main() {
    # gunicorn reads this one by itself, before its configuration, and dies with a traceback of an empty value.
    [[ -n ${WEB_CONCURRENCY:-} ]] || unset WEB_CONCURRENCY
    exec gunicorn --config "${GUNICORN_CONFIG:-/usr/local/etc/gunicorn.conf.py}" "${WSGI_MODULE:-app.wsgi}"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
