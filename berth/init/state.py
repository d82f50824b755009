"""Remember what was written into a project, and from what: the file `berth.json` beside its compose file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.version import InvalidVersion, Version

from berth import __version__
from berth.errors import Refused
from berth.init import changelog
from berth.inspect import Facts, rendering
from berth.project import TASKS

NAME = "berth.json"
FOLDERS = ("docker", "berth-docker")


@dataclass(frozen=True)
class State:
    """What is known of an earlier run.

    :param version: of Berth, then.
    :param answers: of the user, the defaults that were taken among them.
    :param texts: of the written files, as Berth wrote them, by path: what `berth upgrade` merges with.
    :param facts: as `berth inspect --json` gives them.
    :param folder: that the file was found in, below the root.
    :param project: the name of the project; "" where an older Berth has not noted it.
    :param news: the entries of the changelog that belong to that version, see `berth.init.changelog`.
    """

    version: str
    answers: Mapping[str, str]
    texts: Mapping[str, str]
    facts: object = field(default=None)
    folder: str = FOLDERS[0]
    project: str = ""
    news: frozenset[str] = frozenset()

    @property
    def names(self) -> dict[str, str]:
        """Return the names of what Berth writes: they stay, whatever the project gets or loses afterwards."""
        env_file = ".env.berth" if ".env.berth.template" in self.texts else ".env"
        tasks = TASKS if TASKS in self.texts else "tasks.py"
        return {"folder": self.folder, "tasks": tasks, "env_file": env_file, "env_template": f"{env_file}.template"}


def dump(facts: Facts, answers: Mapping[str, str], texts: Mapping[str, str], project: str) -> str:
    """Return the text of the state file."""
    state = {
        "berth": __version__,
        "about": "Written by `berth init`, read by `berth init` and `berth upgrade`: keep it in git.",
        "project": project,
        "changelog": " ".join(changelog.digests(changelog.text(), __version__)),
        "answers": dict(sorted(answers.items())),
        "facts": json.loads(rendering.as_json(facts))["facts"],
        "files": {path: {"sha256": digest(text), "text": text} for path, text in sorted(texts.items())},
    }
    return json.dumps(state, indent=1, ensure_ascii=False) + "\n"


def load(text: str, path: str) -> State:
    """Read a state file.

    :param path: for the message.
    :raises Refused: it is none.
    """
    try:
        found = json.loads(text)
        files = {name: each["text"] for name, each in found["files"].items()}
        return State(
            *(found["berth"], found["answers"], files, found["facts"]),
            folder=path.rpartition("/")[0],
            project=found.get("project", ""),
            news=frozenset(found.get("changelog", "").split()),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"{path} is not what `berth init` writes ({error}): take it back from git") from None


def check_version(known: State, state_path: str) -> None:
    """:raises Refused: the state is of a Berth that is newer than this one, or of none."""
    try:
        is_newer = Version(known.version) > Version(__version__)
    except InvalidVersion:
        raise Refused(f"{state_path} names no version of Berth ({known.version}): take it back from git") from None
    if is_newer:
        raise Refused(
            f"{state_path} was written by Berth {known.version}, and this is {__version__}, which is older: "
            f"install Berth {known.version} or newer"
        )


def digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
