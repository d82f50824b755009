#!/usr/bin/env bash
#
# Apply the migrations and end. One container does this for all replicas, before they start.
#
# UNSAFE_MIGRATIONS    what is done about migrations that the code which runs cannot live with: `refuse` applies none,
#                      `warn` names them; unset or empty: nobody looks. What no code runs on yet is no such thing.
set -Eeuo pipefail

refuse() {
    cat >&2 <<'TEXT'
migrate.sh: the running version cannot live with these migrations, so that none was applied: make the change in two
releases, or go on by `inv deploy --allow-unsafe-migrations`, which sets UNSAFE_MIGRATIONS=warn
TEXT
    exit 1
}

check() {
    local status=0
    case ${UNSAFE_MIGRATIONS:-} in
        "") return ;;
        refuse | warn) ;;
        *)
            printf 'migrate.sh: UNSAFE_MIGRATIONS is "%s": set refuse or warn\n' "$UNSAFE_MIGRATIONS" >&2
            exit 64
            ;;
    esac
    check-migrations --release || status=$?
    case $status in
        0) ;;
        3) [[ $UNSAFE_MIGRATIONS == warn ]] || refuse ;;
        *) exit "$status" ;;
    esac
}

main() {
    check
    echo "Running migrations.."
    exec python manage.py migrate --noinput
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main
fi
