#!/usr/bin/env bash
#
# Install a hash-checked lock into the virtualenv /opt/venv, while an image is built.
#
# usage: install-requirements.sh --bootstrap FILE    installs uv, apart from it
#        install-requirements.sh FILE
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

install() {
    [[ -d $VENV ]] || "$UV/bin/uv" venv --quiet --python "$(command -v python3)" "$VENV"
    "$UV/bin/uv" pip install --quiet --python "$VENV" --link-mode copy --compile-bytecode \
        --only-binary :all: --require-hashes --requirement "$1"
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
    if [[ $1 == --bootstrap ]]; then
        bootstrap "$2"
    else
        install "$1"
    fi
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
