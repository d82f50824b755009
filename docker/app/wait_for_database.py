#!/opt/venv/bin/python -I
"""Wait until the application can log in to its database, or say why it never will.

usage: wait-for-database

With the libpq of psycopg2 or of psycopg, whichever is installed.

Reads DB_HOST, DB_PORT (5432), DB_NAME, DB_USER, DB_PASSWORD or DB_PASSWORD_FILE, and DB_WAIT_TIMEOUT, the
whole seconds to wait at most (60).

Exit codes, after <sysexits.h>:
    0   the application can log in
    66  the server runs, and has no such database
    68  the host name cannot be resolved
    69  no driver of PostgreSQL is installed
    75  the server was not up in time
    76  what answers on the port is no PostgreSQL server
    77  the server runs, and refuses the role or its password
    78  a variable is missing or malformed
"""

from __future__ import annotations

import ctypes
import os
import queue
import re
import select
import socket
import sys
import threading
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

FIRST_PAUSE_S = 0.05
LAST_PAUSE_S = 0.1
LINES_EVERY_S = 1.0
ATTEMPT_LIMIT_S = 5.0
# Docker's DNS knows a service only while its container is on the network, so an unknown name may be one that
# is just (re)starting. That takes seconds; a name that is still unknown then is misspelt, and more waiting
# will not help.
RESOLUTION_LIMIT_S = 15.0

# libpq-fe.h
CONNECTION_BAD = 1
PGRES_POLLING_FAILED, PGRES_POLLING_READING, PGRES_POLLING_WRITING, PGRES_POLLING_OK = range(4)
PQERRORS_VERBOSE = 2

NO_POSTGRES = re.compile("invalid response to SSL negotiation|expected authentication request from server")


class Problem(Exception):
    """What waiting cannot cure; *status* is the exit code."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotYet(Exception):
    """What waiting may cure."""


class NameUnknown(NotYet):
    """The host name cannot be resolved."""


class Settings(NamedTuple):
    """Where to log in, and for how long to try, in seconds."""

    host: str
    port: int
    name: str
    user: str
    password: str
    timeout: int

    @property
    def where(self) -> str:
        """The server, in the words of a message."""
        return f"on host `{self.host}`, port {self.port}"


def read_settings(environ: dict[str, str]) -> Settings:
    """Return the settings in *environ*; an empty variable counts as unset.

    Raises:
        Problem: variables are missing or malformed; names all of them.
    """
    values = {key: value for key, value in environ.items() if value}
    problems = [f"{name} is not set" for name in ("DB_HOST", "DB_NAME", "DB_USER") if name not in values]
    port, timeout = values.get("DB_PORT", "5432"), values.get("DB_WAIT_TIMEOUT", "60")
    if not (re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
        problems.append(f"DB_PORT is `{port}`: set a port number from 1 to 65535")
    if not re.fullmatch(r"[0-9]{1,9}", timeout):
        problems.append(f"DB_WAIT_TIMEOUT is `{timeout}`: set whole seconds, 0 for no wait")
    password = values.get("DB_PASSWORD", "")
    if path := values.get("DB_PASSWORD_FILE"):
        if password:
            problems.append("DB_PASSWORD and DB_PASSWORD_FILE are both set: unset one of them")
        try:
            with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
                password = re.sub(r"\r?\n\Z", "", file.read())
        except OSError as error:
            problems.append(f"DB_PASSWORD_FILE is `{path}`: {error.strerror}")
    for name, value in {**values, "DB_PASSWORD": password}.items():
        if name in ("DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD") and not is_text(value):
            problems.append(f"{name} is not valid UTF-8")
    if problems:
        raise Problem("\n".join(problems), os.EX_CONFIG)
    return Settings(values["DB_HOST"], int(port), values["DB_NAME"], values["DB_USER"], password, int(timeout))


def is_text(value: str) -> bool:
    """Return whether *value*, as Python reads it from the system, is valid UTF-8."""
    return not any("\udc80" <= character <= "\udcff" for character in value)


def resolve(settings: Settings) -> None:
    """Check that the host name can be resolved.

    Apart from connecting, because libpq reports an unknown name in words only.

    Raises:
        NameUnknown: not at the moment.
        Problem: it is no host name at all.
    """
    if settings.host.startswith("/") or "," in settings.host:
        return  # A directory of Unix sockets, or several hosts: libpq's own business.
    try:
        socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise unknown_host(settings, "not a host name") from None
    except socket.gaierror as error:
        raise NameUnknown(error.strerror) from None


@cache
def load_libpq() -> ctypes.CDLL:
    """Return PostgreSQL's client library, as the driver that is installed brings it along.

    Without importing that: what the two drivers have in common is this library, and neither offers what log_in() needs.

    Raises:
        Problem: there is none.
    """
    # Their extension modules are linked to it, so its functions are found there. psycopg without either of the last
    # two looks for the library of the system, and so does this.
    for package, module in (("psycopg2", "_psycopg"), ("psycopg_binary", "pq"), ("psycopg_c", "pq")):
        found = find_spec(package)
        folders = list(found.submodule_search_locations or []) if found else []
        for file in [path for folder in folders for path in Path(folder).glob(f"{module}.*.so")]:
            return typed(ctypes.CDLL(str(file)))
    try:
        return typed(ctypes.CDLL("libpq.so.5"))
    except OSError:
        raise Problem(
            "no driver of PostgreSQL is installed: add `psycopg2-binary` or `psycopg[binary]` to the requirements, "
            "or set DB_HOST to nothing where the project uses no database server",
            os.EX_UNAVAILABLE,
        ) from None


def typed(libpq: ctypes.CDLL) -> ctypes.CDLL:
    """Declare what the functions take and give that do not just take a connection and give a number."""
    strings = ctypes.POINTER(ctypes.c_char_p)
    libpq.PQconnectStartParams.argtypes = [strings, strings, ctypes.c_int]
    libpq.PQconnectStartParams.restype = ctypes.c_void_p
    libpq.PQerrorMessage.restype = ctypes.c_char_p
    for name in ("status", "connectPoll", "socket", "errorMessage", "connectionNeedsPassword", "finish"):
        getattr(libpq, f"PQ{name}").argtypes = [ctypes.c_void_p]
    libpq.PQsetErrorVerbosity.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return libpq


def log_in(settings: Settings) -> None:
    """Log in once, within ATTEMPT_LIMIT_S.

    The server's words alone tell the reasons of a refused login apart, in whatever language it speaks; with verbose
    errors they hold the SQLSTATE. A login by steps also bounds a server that accepts and never answers.
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PQCONNECTSTARTPARAMS

    Raises:
        NotYet: the server is not up.
        Problem: the server refuses.
    """
    libpq = load_libpq()
    deadline = time.monotonic() + ATTEMPT_LIMIT_S
    parameters = {
        "host": settings.host,
        "port": str(settings.port),
        "dbname": settings.name,
        "user": settings.user,
        "password": settings.password,
    }
    names, values = (
        (ctypes.c_char_p * (len(parameters) + 1))(*(word.encode() for word in words), None)
        for words in (parameters, parameters.values())
    )
    connection = libpq.PQconnectStartParams(names, values, 0)
    try:
        libpq.PQsetErrorVerbosity(connection, PQERRORS_VERBOSE)
        state = PGRES_POLLING_FAILED if libpq.PQstatus(connection) == CONNECTION_BAD else PGRES_POLLING_WRITING
        while state not in (PGRES_POLLING_OK, PGRES_POLLING_FAILED):
            sockets = [libpq.PQsocket(connection)]
            readers, writers = (sockets, []) if state == PGRES_POLLING_READING else ([], sockets)
            if not any(select.select(readers, writers, [], max(0.0, deadline - time.monotonic()))):
                raise NotYet(f"no answer within {ATTEMPT_LIMIT_S:.0f} s")
            state = libpq.PQconnectPoll(connection)
        if state == PGRES_POLLING_FAILED:
            if libpq.PQconnectionNeedsPassword(connection):
                raise Problem(
                    f"the server {settings.where} wants a password of role `{settings.user}`: "
                    "set DB_PASSWORD or DB_PASSWORD_FILE",
                    os.EX_NOPERM,
                )
            raise explain(libpq.PQerrorMessage(connection).decode(errors="replace"), settings)
    finally:
        libpq.PQfinish(connection)


def explain(report: str, settings: Settings) -> Problem | NotYet:
    """Return what libpq's verbose *report* of a failed login means."""
    report = re.sub(r"^LOCATION: .*", "", report, flags=re.MULTILINE).strip()
    code, words = re.fullmatch(r"(?s)(?:.*:  ([0-9A-Z]{5}): )?(.*)", report).groups(default="")
    words = words.partition("\n")[0]
    if code == "28P01":
        return Problem(
            f"the server {settings.where} refuses the password of role `{settings.user}`, or has no such "
            "role, it does not tell which: compare DB_USER and DB_PASSWORD with those the database was "
            f"created with ({words})",
            os.EX_NOPERM,
        )
    if code.startswith("28"):
        return Problem(
            f"the server {settings.where} refuses role `{settings.user}`: check DB_USER and its rights ({words})",
            os.EX_NOPERM,
        )
    if code == "3D000":
        return Problem(
            f"the server {settings.where} has no database `{settings.name}`: check DB_NAME or create it ({words})",
            os.EX_NOINPUT,
        )
    if NO_POSTGRES.search(words):
        return Problem(
            f"what answers {settings.where} is no PostgreSQL server: check DB_HOST and DB_PORT ({words})",
            os.EX_PROTOCOL,
        )
    return NotYet(words)


def unknown_host(settings: Settings, words: str) -> Problem:
    """Return the Problem of a host name that cannot be resolved."""
    return Problem(
        f"the host name `{settings.host}` cannot be resolved: check DB_HOST, and that the database runs ({words})",
        os.EX_NOHOST,
    )


class Waiter:
    """Tries to log in until it works or is of no use; *reason* is why it does not work yet."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reason = NotYet("no answer")
        self.outcome: queue.Queue[BaseException | None] = queue.Queue()

    def run(self) -> None:
        """Put None into the outcome once the login works, else what made it end."""
        try:
            self.outcome.put(self.log_in())
        except BaseException as error:
            self.outcome.put(error)

    def log_in(self) -> None:
        """Log in, however often it takes.

        Raises:
            Problem: waiting is of no use.
        """
        resolvable_until = time.monotonic() + RESOLUTION_LIMIT_S
        pause, next_line = FIRST_PAUSE_S, 0.0
        while True:
            try:
                resolve(self.settings)
                return log_in(self.settings)
            except NotYet as reason:
                self.reason = reason
            if isinstance(self.reason, NameUnknown) and time.monotonic() > resolvable_until:
                raise unknown_host(self.settings, str(self.reason))
            if time.monotonic() >= next_line:
                next_line = time.monotonic() + LINES_EVERY_S
                print("Postgres is unavailable - sleeping", flush=True)
            time.sleep(pause)
            pause = min(pause * 1.5, LAST_PAUSE_S)

    def give_up(self) -> Problem:
        """Return the Problem of a server that was not up in time."""
        if isinstance(self.reason, NameUnknown):
            return unknown_host(self.settings, str(self.reason))
        return Problem(
            f"the server {self.settings.where} was not up within {self.settings.timeout} s: "
            f"look at its log, or raise DB_WAIT_TIMEOUT ({self.reason})",
            os.EX_TEMPFAIL,
        )


def main() -> int:
    """Wait as the environment says; return the exit code."""
    try:
        settings = read_settings(dict(os.environ))
        print(f"Trying to connect to database '{settings.name}' on host '{settings.host}'..", flush=True)
        waiter = Waiter(settings)
        # In a thread of its own, because nothing else bounds a resolver that hangs.
        threading.Thread(target=waiter.run, daemon=True).start()
        try:
            failure = waiter.outcome.get(timeout=settings.timeout)
        except queue.Empty:
            failure = waiter.give_up()
        if failure:
            raise failure
    except Problem as problem:
        for line in str(problem).splitlines():
            print(f"wait-for-database: {line}", file=sys.stderr)
        return problem.status
    print("Postgres is up - continuing...", flush=True)
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
