#!/opt/venv/bin/python -I
"""Wait until the application can log in to its database, or say why it never will.

usage: wait-for-database

Reads DB_HOST, DB_PORT (5432), DB_NAME, DB_USER, DB_PASSWORD or DB_PASSWORD_FILE, and DB_WAIT_TIMEOUT, the
whole seconds to wait at most (60).

Exit codes, after <sysexits.h>:
    0   the application can log in
    66  the server runs, and has no such database
    68  the host name cannot be resolved
    75  the server was not up in time
    76  what answers on the port is no PostgreSQL server
    77  the server runs, and refuses the role or its password
    78  a variable is missing or malformed
"""

import ctypes
import os
import queue
import re
import select
import socket
import sys
import threading
import time
from typing import NamedTuple

import psycopg2
import psycopg2._psycopg
from psycopg2.extensions import POLL_OK, POLL_READ

FIRST_PAUSE_S = 0.05
LAST_PAUSE_S = 0.1
LINES_EVERY_S = 1.0
ATTEMPT_LIMIT_S = 5.0
# Docker's DNS knows a service only while its container is on the network, so an unknown name may be one that
# is just (re)starting. That takes seconds; a name that is still unknown then is misspelt, and more waiting
# will not help.
RESOLUTION_LIMIT_S = 15.0

PQERRORS_VERBOSE = 2  # libpq-fe.h
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


def log_in(settings: Settings) -> None:
    """Log in once, within ATTEMPT_LIMIT_S.

    The server's words alone tell the reasons of a refused login apart, in whatever language it speaks, for
    `pgcode` is empty. With verbose errors the words hold the SQLSTATE, but psycopg2 offers no
    PQsetErrorVerbosity: hence libpq by ctypes, and a login by steps, which also bounds a server that accepts
    and never answers.

    Raises:
        NotYet: the server is not up.
        Problem: the server refuses.
    """
    libpq = ctypes.CDLL(psycopg2._psycopg.__file__)
    deadline = time.monotonic() + ATTEMPT_LIMIT_S
    connection = None
    try:
        connection = psycopg2.connect(
            host=settings.host,
            port=settings.port,
            dbname=settings.name,
            user=settings.user,
            password=settings.password,
            async_=True,
        )
        pgconn = ctypes.c_void_p(connection.pgconn_ptr)
        libpq.PQsetErrorVerbosity(pgconn, PQERRORS_VERBOSE)
        while (state := connection.poll()) != POLL_OK:
            readers, writers = ([connection], []) if state == POLL_READ else ([], [connection])
            if not any(select.select(readers, writers, [], max(0.0, deadline - time.monotonic()))):
                raise NotYet(f"no answer within {ATTEMPT_LIMIT_S:.0f} s")
    except psycopg2.OperationalError as error:
        if connection is not None and libpq.PQconnectionNeedsPassword(pgconn):
            raise Problem(
                f"the server {settings.where} wants a password of role `{settings.user}`: "
                "set DB_PASSWORD or DB_PASSWORD_FILE",
                os.EX_NOPERM,
            ) from None
        raise explain(str(error), settings) from None
    finally:
        if connection is not None:
            connection.close()


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
