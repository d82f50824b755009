"""Hold what one branch of the settings says of the default database."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from berth.inspect.model import Place, Value

LIBPQ = {"NAME": "PGDATABASE", "USER": "PGUSER", "PASSWORD": "PGPASSWORD", "HOST": "PGHOST", "PORT": "PGPORT"}
KINDS = (
    ("postgresql", re.compile(r"postg|pgsql|psql|timescale")),
    ("mysql", re.compile(r"mysql|maria")),
    ("sqlite", re.compile(r"sqlite|spatialite")),
    ("oracle", re.compile(r"oracle")),
    ("mssql", re.compile(r"mssql|sqlserver|sql_server")),
)


@dataclass(frozen=True)
class Database:
    """One way in which the settings may describe the default database.

    :param engine: postgresql, mysql, sqlite, oracle, mssql; None when it is not to be read.
    :param form: url, separate, computed when a function of the project makes it, or fixed when no variable drives it.
    :param variables: by field, the variables that decide it; of a URL by "URL". The first is the one that is read
        first, the others are what it falls back on.
    :param conditions: when it is this one.
    :param default_engine: the engine with no variable set, where that is another one.
    :param is_text: the settings give Django the URL itself, which it cannot use.
    """

    place: Place
    engine: str | None = None
    backend: str = ""
    form: str = "fixed"
    variables: dict[str, list[str]] = field(default_factory=dict)
    defaults: dict[str, Value] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()
    default_engine: str | None = None
    is_text: bool = False

    def value(self) -> dict[str, Value]:
        found: dict[str, Value] = {"engine": self.engine, "form": self.form}
        if self.default_engine:
            found["default_engine"] = self.default_engine
        if self.backend:
            found["backend"] = self.backend
        found["variables"] = {name: list(each) for name, each in self.variables.items()}
        found["defaults"] = dict(self.defaults)
        if self.engine == "postgresql" and self.form != "url":
            # What settings leave out, or set to nothing, the driver takes from its own variables.
            left = [name for name in LIBPQ if name not in self.variables and not self.defaults.get(name)]
            found["libpq"] = {name: LIBPQ[name] for name in left}
        return found


def kind(text: str | None) -> str | None:
    """Return the sort of database that an engine, a URL or its scheme speaks of, or None."""
    scheme = (text or "").partition("://")[0].lower()
    return next((name for name, pattern in KINDS if pattern.search(scheme)), None)
