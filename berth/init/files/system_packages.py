#!/usr/bin/env python3
"""Know and install the Debian packages that Python packages need, while an image is built.

usage: system-packages add [NAME...]    installs them; a name that this Debian does not have is told, and left out

The tables hold what no measurement finds: headers, for packages that are built because they have no wheel; libraries
that are opened by name once a program runs; and programs.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

# The names are those of Debian 12 and 13.
HEADERS: dict[str, str] = {
    "argon2-cffi-bindings": "libffi-dev",
    "bcrypt": "cargo",
    "cairocffi": "libffi-dev",
    "cffi": "libffi-dev",
    "cryptography": "cargo libssl-dev pkg-config",
    "dlib": "cmake",
    "fiona": "libgdal-dev",
    "gdal": "libgdal-dev",
    "gssapi": "libkrb5-dev",
    "h5py": "libhdf5-dev pkg-config",
    "jsonnet": "",
    "kerberos": "libkrb5-dev",
    "lxml": "libxml2-dev libxslt1-dev zlib1g-dev",
    "m2crypto": "libssl-dev swig",
    "matplotlib": "libfreetype-dev pkg-config",
    "mysqlclient": "default-libmysqlclient-dev pkg-config",
    "netcdf4": "libnetcdf-dev libhdf5-dev",
    "numpy": "gfortran libopenblas-dev pkg-config",
    "orjson": "cargo",
    "pillow": "libjpeg-dev zlib1g-dev libfreetype-dev libtiff-dev libwebp-dev liblcms2-dev libopenjp2-7-dev",
    "psycopg-c": "libpq-dev",
    "psycopg2": "libpq-dev",
    "psycopg2-binary": "libpq-dev",
    "pycairo": "libcairo2-dev pkg-config",
    "pycups": "libcups2-dev",
    "pycurl": "libcurl4-openssl-dev libssl-dev",
    "pydantic-core": "cargo",
    "pygobject": "libcairo2-dev libgirepository1.0-dev pkg-config",
    "pygraphviz": "libgraphviz-dev pkg-config",
    "pyicu": "libicu-dev pkg-config",
    "pylibmc": "libmemcached-dev zlib1g-dev",
    "pymssql": "freetds-dev",
    "pynacl": "libsodium-dev libffi-dev",
    "pyodbc": "unixodbc-dev",
    "pyproj": "libproj-dev proj-bin",
    "pysqlite3": "libsqlite3-dev",
    "python-ldap": "libldap-dev libsasl2-dev",
    "python-snappy": "libsnappy-dev",
    "pyyaml": "libyaml-dev",
    "rasterio": "libgdal-dev",
    "rpds-py": "cargo",
    "sasl": "libsasl2-dev",
    "scipy": "gfortran libopenblas-dev pkg-config",
    "shapely": "libgeos-dev",
    "systemd-python": "libsystemd-dev pkg-config",
    "tokenizers": "cargo pkg-config",
    "uwsgi": "libpcre2-dev",
    "xmlsec": "libxml2-dev libxmlsec1-dev pkg-config",
}
OPENED: dict[str, str] = {
    "cairocffi": "libcairo2",
    "cairosvg": "libcairo2",
    "ffmpeg-python": "ffmpeg",
    "gitpython": "git",
    "opencv-python": "libgl1 libglib2.0-0",
    "pdf2image": "poppler-utils",
    "psycopg": "libpq5",
    "pydub": "ffmpeg",
    "pypandoc": "pandoc",
    "pytesseract": "tesseract-ocr",
    "python-magic": "libmagic1",
    "python-xmlsec": "libxmlsec1-openssl",
    "pyvips": "libvips42",
    "pyzbar": "libzbar0",
    "wand": "libmagickwand-6.q16",
    "weasyprint": "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core",
}
# What makes the library that the first needs come with its wheel.
INSTEAD = {"psycopg": "psycopg-binary", "pyvips": "pyvips-binary"}
# What a build says that it misses, where the package is not in the table.
SAID = (
    (r"pg_config|libpq-fe\.h", "libpq-dev"),
    (r"mysql_config|mysql\.h", "default-libmysqlclient-dev pkg-config"),
    (r"ffi\.h", "libffi-dev"),
    (r"openssl/\w+\.h", "libssl-dev"),
    (r"libxml/\w+\.h|xml2-config|libxslt", "libxml2-dev libxslt1-dev"),
    (r"zlib\.h", "zlib1g-dev"),
    (r"jpeglib\.h|jpeg could not be found", "libjpeg-dev"),
    (r"lber\.h|ldap\.h", "libldap-dev libsasl2-dev"),
    (r"sasl/sasl\.h", "libsasl2-dev"),
    (r"gdal-config|gdal\.h", "libgdal-dev"),
    (r"geos-config|geos_c\.h", "libgeos-dev"),
    (r"sqlite3\.h", "libsqlite3-dev"),
    (r"curl-config", "libcurl4-openssl-dev libssl-dev"),
    (r"snappy-c\.h", "libsnappy-dev"),
    (r"yaml\.h", "libyaml-dev"),
    (r"xmlsec1", "libxmlsec1-dev pkg-config"),
    (r"[Rr]ust(c| compiler)|cargo", "cargo"),
    (r"pkg-config|pkgconfig", "pkg-config"),
    (r"[Cc][Mm]ake", "cmake"),
    (r"gfortran|Fortran", "gfortran"),
    (r"git: not found|'git'|git executable", "git"),
)


def apt(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["apt-get", "-qq", *words],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip


@contextlib.contextmanager
def users_of_files_only(path: Path = Path("/etc/nsswitch.conf")) -> Iterator[None]:
    """Hide users that libnss-unknown makes up: with one for every number, a package finds none left for its own."""
    made_up, databases = r"(?m)^((?:passwd|group):.*?)[ \t]+unknown\b", r"(?m)^((?:passwd|group):.*)$"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    hidden = re.sub(made_up, r"\1", text)
    if hidden == text:
        yield
        return
    path.write_text(hidden, encoding="utf-8")
    try:
        yield
    finally:
        # A package may have written into it.
        path.write_text(re.sub(databases, r"\1 unknown", path.read_text(encoding="utf-8")), encoding="utf-8")


def add(names: Iterable[str]) -> None:
    """Install Debian packages."""
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return
    updated = apt("update")
    if updated.returncode:
        sys.exit(f"{updated.stdout}\nsystem-packages: the list of Debian's packages could not be fetched")
    install = ["install", "--yes", "--no-install-recommends"]
    if apt(*install, "--simulate", *wanted).returncode:
        known = [name for name in wanted if apt(*install, "--simulate", name).returncode == 0]
        left = [name for name in wanted if name not in known]
        print(f"system-packages: this Debian does not have {', '.join(left)}: left out", file=sys.stderr, flush=True)
        wanted = known
    with users_of_files_only():
        done = apt(*install, *wanted) if wanted else None
    if done and done.returncode:
        sys.exit(f"{done.stdout}\nsystem-packages: {' '.join(wanted)} could not be installed")


def installed() -> set[str]:
    """Return the names of the Debian packages of this image."""
    text = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${Package}\n"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    return set(text.split())


def to_build(package: str, text: str, offered: Iterable[str], known: set[str]) -> list[str]:
    """Return the Debian packages that a build which failed is to be tried again with; none when nothing is new.

    :param text: what the build has printed.
    :param offered: packages that the project's own files install.
    :param known: packages that are there by now.
    """
    basic = ["gcc", "g++", "libc6-dev", "make"]
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        basic.append("python3-dev")
    named = HEADERS.get(package, "").split()
    # Those of the project only once the short list did not do.
    offers = [name for name in offered if name.endswith("-dev")] if "gcc" in known else []
    said = [name for pattern, names in SAID if re.search(pattern, text) for name in names.split()] if known else []
    return [name for name in dict.fromkeys([*basic, *named, *offers, *said]) if name not in known]


def at_run_time(names: set[str]) -> set[str]:
    """Return the Debian packages that these Python packages open by name or run."""
    found = {name for name in names if name in OPENED and INSTEAD.get(name) not in names}
    return {debian for name in found for debian in OPENED[name].split()}


def libraries(venv: Path) -> set[str]:
    """Return the Debian packages whose libraries the built files of a virtualenv name as needed, directly.

    Not what those need in turn: Debian knows that. A library in a wheel stands beside the file that needs it.
    """
    files = [path for path in venv.rglob("*.so*") if path.is_file()]
    own = {path.name for path in files}
    needed: set[str] = set()
    for path in files:
        text = subprocess.run(["readelf", "--dynamic", str(path)], capture_output=True, text=True, check=False).stdout
        needed |= set(re.findall(r"\(NEEDED\).*\[(.+?)\]", text))
    listed = subprocess.run(["/sbin/ldconfig", "-p"], stdout=subprocess.PIPE, text=True, check=True).stdout
    paths = dict(reversed(re.findall(r"^\s(\S+) .*=> (\S+)$", listed, re.M)))
    found: set[str] = set()
    for name in needed - own:
        if name not in paths:
            continue
        real = os.path.realpath(paths[name])
        # A Debian 12 knows a file of /usr/lib by the name that it has below /lib.
        for candidate in (real, real.replace("/usr/lib/", "/lib/", 1), paths[name]):
            asked = subprocess.run(["dpkg-query", "--search", candidate], capture_output=True, text=True, check=False)
            if asked.returncode == 0:
                found.add(asked.stdout.split(":")[0])
                break
    return found


if __name__ == "__main__":
    if sys.argv[1:2] != ["add"]:
        sys.exit("usage: system-packages add [NAME...]")
    add(sys.argv[2:])
