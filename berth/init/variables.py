"""Decide the environment of the project: what it insists on, what its samples say, and the secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from berth.init.answers import VARIABLE
from berth.init.databases import WITHHELD
from berth.init.plan import Variable
from berth.init.reading import place, table, text, words
from berth.inspect import Fact, Facts
from berth.redaction import is_secret

INSIST = ":?set it in .env, or type inv up}"
PLACEHOLDER = "placeholder"
BUILD_SECRET = "only-to-build-0123456789-abcdefghijklmnopqrstuvwxyz"
OURS = {
    "DJANGO_SETTINGS_MODULE", "DJANGO_CONFIGURATION", "HEALTH_PATH", "DB_HOST", "DB_PORT", "DB_NAME", "DB_USER",
    "DB_PASSWORD", "DB_WAIT_TIMEOUT", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "HOST_UID", "HOST_GID",
    "POSTGRES_PASSWORD", "PATH", "HOME", "USER", "PWD", "PYTHONPATH", "VIRTUAL_ENV", "HOSTNAME",
    "CI", "TERM", "SHELL", "LANG", "TZ",
    "BERTH_ENGINE", "APP_IMAGE", "PYTHON_IMAGE", "POSTGRES_IMAGE", "BUILD_TARGET",
}  # fmt: skip
"""Names that Berth's files give a meaning of their own, or every process has."""
TRUE = {"true", "1", "yes", "on", "t", "y"}
SAFE = re.compile(r"[\w./:@%+,=*~^-]*")


def decide(
    facts: Facts, answers: Mapping[str, str], decided: Iterable[Variable], keyless: bool
) -> tuple[tuple[Variable, ...], tuple[str, ...]]:
    """Return the variables of the project, and remarks on those that nobody knows a value of.

    :param answers: those named `variable.NAME` give values.
    :param decided: what the choice of database and services has said of some.
    :param keyless: the settings of the project have no SECRET_KEY.
    """
    found = {variable.name: variable for variable in _given(answers)}
    for variable in decided:
        found.setdefault(variable.name, variable)
    remarks: list[str] = []
    if keyless:
        found.setdefault("SECRET_KEY", _secret("SECRET_KEY", "Django's key for signing, which no file in git sets"))
    for name in _secret_keys(facts):
        found.setdefault(name, _secret(name, f"Django's key for signing, as {_origin(facts, name)} reads it"))
    for variable in _development(facts):
        found.setdefault(variable.name, variable)
    for fact in facts.family("variable"):
        name = fact.name.partition(".")[2]
        if name not in found and name not in OURS and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            variable, remark = _of(name, fact)
            found[name] = variable
            remarks += [remark] * bool(remark)
    return tuple(found.values()), tuple(remarks)


def _given(answers: Mapping[str, str]) -> Iterator[Variable]:
    """Give the values that somebody has answered."""
    for name, value in answers.items():
        if name.startswith(VARIABLE):
            yield Variable(
                name.removeprefix(VARIABLE), f"${{{name.removeprefix(VARIABLE)}:-{value}}}", value or "...",
                optional=True, build=value, why="An answer to `berth init`",
            )  # fmt: skip


def _secret(name: str, why: str) -> Variable:
    return Variable(name, f"${{{name}{INSIST}", "", directive="secret", build=BUILD_SECRET, why=why)


def _secret_keys(facts: Facts) -> tuple[str, ...]:
    """Return the variables of SECRET_KEY that have to be set: one that has a default in the settings may stay unset."""
    names = words(table(facts.value("setting.SECRET_KEY")).get("variables"))
    return names[:1]


def _development(facts: Facts) -> Iterator[Variable]:
    """Give what the development services need where the settings are made for production by default."""
    names = words(table(facts.value("setting.DEBUG")).get("variables"))
    for name in names[:1]:
        known = table(facts.value(f"variable.{name}"))
        default, sample = str(known.get("default", "")), text(known.get("sample"))
        if "DEBUG" in name.upper() and default.lower() not in TRUE:
            value = sample if sample.lower() in TRUE else "True"
            yield Variable(
                name, f"${{{name}:-{value}}}", value, optional=True, build=value,
                why=f"Whether Django shows errors in full, as {_origin(facts, name)} reads it",
            )  # fmt: skip
    for name in words(table(facts.value("setting.SECURE_SSL_REDIRECT")).get("variables"))[:1]:
        if "SSL_REDIRECT" in name.upper():
            yield Variable(
                name, f"${{{name}:-False}}", "False", optional=True, build="False",
                why=f"Whether pages redirect to HTTPS, which the stack has not, as {_origin(facts, name)} reads it",
            )  # fmt: skip
    hosts = table(facts.value("setting.ALLOWED_HOSTS"))
    for name in words(hosts.get("variables"))[:1]:
        known = table(facts.value(f"variable.{name}"))
        sample = text(known.get("sample"))
        if name == "HOSTNAME":
            # Every shell and every container has one; that of the caller is never meant.
            yield Variable(name, "localhost", build="localhost", why="A host name the site answers to")
        value = sample if sample and ("localhost" in sample or sample.strip("[]\"'") == "*") else "localhost,127.0.0.1"
        if "HOST" in name.upper() and SAFE.fullmatch(value) and name not in OURS:
            yield Variable(
                name, f"${{{name}:-{value}}}", value, optional=True, build=value,
                why=f"Host names the site answers to, as {_origin(facts, name)} reads them",
            )  # fmt: skip


def _of(name: str, fact: Fact) -> tuple[Variable, str]:
    """Return a variable of the project's own, and a remark when its value had to be made up."""
    known: Mapping[str, object] = table(fact.value)
    sample, default = known.get("sample"), known.get("default")
    why = f"Read at {place(fact)}" + (f"; {known['sample_origin']} has a sample" if known.get("sample_origin") else "")
    if not known.get("required") or fact.certainty == "guess":
        shown = _plain(sample) or _plain(default) or "..."
        return Variable(name, None, shown, optional=True, why=why), ""
    if sample == "":
        return Variable(name, f"${{{name}:-}}", "...", optional=True, build="", why=why), ""
    if is_secret(name) or sample == WITHHELD:
        return _secret(name, why), ""
    if value := _plain(sample):
        return Variable(name, f"${{{name}:-{value}}}", value, optional=True, build=value, why=why), ""
    made = made_up(name)
    stand_in = f"`{made}`" if made else "an empty text"
    remark = f"{name} has no value in the project's files ({place(fact)} insists on one): {stand_in} stands for it"
    return Variable(name, f"${{{name}:-{made}}}", made or "...", optional=True, build=made, why=why), remark


def made_up(name: str) -> str:
    """Return a value for a variable that nobody knows one of; its name says of which sort."""
    upper = name.upper()
    if re.search(r"DSN$|_KEY_?FILE$|_PATH$", upper):
        return ""
    if re.search(r"URL|URI|ENDPOINT", upper):
        return "http://localhost"
    if re.search(r"PORT|TIMEOUT|SECONDS|LIMIT|COUNT|SIZE|_ID$", upper):
        return "1"
    if re.search(r"HOST|DOMAIN", upper):
        return "localhost"
    if re.search(r"^(USE|ENABLE|IS|HAS|DISABLE)_|_(ENABLED|DISABLED)$", upper):
        return "False"
    return "user@example.com" if re.search(r"EMAIL|FROM", upper) else PLACEHOLDER


def _plain(value: object) -> str:
    """Return a value that `.env` and Compose hold without quotes, or an empty text."""
    if value in (None, WITHHELD):
        return ""
    written = ("True" if value else "False") if isinstance(value, bool) else str(value)
    if isinstance(value, (list, dict)) or not SAFE.fullmatch(written) or "{" in written:
        return ""
    return written


def _origin(facts: Facts, name: str) -> str:
    return place(facts.get(f"variable.{name}")) if facts.get(f"variable.{name}") else "the settings"
