#!/usr/bin/env bash
#
# Install a hash-checked lock into the virtualenv /opt/venv, while an image is built.
#
# usage: install-requirements.sh --bootstrap FILE       installs uv, apart from it
#        install-requirements.sh FILE [OPTION...]       options are those of `uv pip install`
#        install-requirements.sh --pick FILE NAME...    prints those packages of a lock, to install them before the others
set -Eeuo pipefail

readonly VENV=/opt/venv UV=/opt/uv
readonly CA_BUNDLE=/run/secrets/ca_bundle

trust_ca_bundle() {
    if [[ -s $CA_BUNDLE ]]; then
        export SSL_CERT_FILE=$CA_BUNDLE PIP_CERT=$CA_BUNDLE
    fi
}

bootstrap() {
    python3 -m venv "$UV"
    "$UV/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$1"
}

# usage: pick FILE NAME...
pick() {
    local lock=$1 names=" ${*:2} " line picked=no
    while IFS= read -r line; do
        if [[ $line =~ ^([[:alnum:]][[:alnum:]._-]*)== ]]; then
            picked=no
            if [[ $names == *" ${BASH_REMATCH[1]} "* ]]; then
                picked=yes
            fi
        fi
        # Without its comments, which say who else wants a package.
        if [[ $picked == yes && ! $line =~ ^\ *# ]]; then
            printf '%s\n' "$line"
        fi
    done <"$lock"
}

# usage: install FILE [OPTION...]
install() {
    [[ -d $VENV ]] || "$UV/bin/uv" venv --quiet --python "$(command -v python3)" "$VENV"
    "$UV/bin/uv" pip install --quiet --python "$VENV" --link-mode copy --compile-bytecode \
        --only-binary :all: --require-hashes "${@:2}" --requirement "$1"
    # Left by uv, and writable by everyone.
    rm -f "$VENV/.lock"
    # Sources of translations, which are read from the .mo files beside them, and examples that only botocore's own
    # documentation is made of.
    find "$VENV" \( -name '*.po' -o -path '*/botocore/data/*/examples-1.json*' \) -delete
}

main() {
    trust_ca_bundle
    # A DNS answer that got lost, as happens behind an engine's NAT, costs one second instead of five.
    export RES_OPTIONS="timeout:1 attempts:5"
    case $1 in
        --bootstrap) bootstrap "$2" ;;
        --pick) pick "${@:2}" ;;
        *) install "$@" ;;
    esac
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
