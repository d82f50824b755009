"""Make the first `.env`, and write it safely."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from berth.env.dotenv import with_values
from berth.env.template import Variable, parse_template

Maker = Callable[[Variable], "str | int | None"]


def create(template: str, makers: Mapping[str, Maker]) -> str:
    """Return the text of the first `.env`.

    Args:
        template: the text of `.env.template`.
        makers: make the value of a variable, by its directive; None leaves its line as it is, and so does a directive
            that is not among them. Secrets are made without.

    Raises:
        EnvError: the template has faults.
    """
    makers = {"secret": lambda _: secret(), **makers}
    variables = [variable for variable in parse_template(template).values() if variable.directive in makers]
    made = {variable.name: makers[variable.directive or ""](variable) for variable in variables}
    return with_values(template, {name: str(value) for name, value in made.items() if value is not None})


def secret() -> str:
    """Return 256 random bits in 64 hexadecimal digits, safe in `.env`, SQL, URLs and arguments."""
    import secrets  # not at every start of `inv`

    return secrets.token_hex(32)


def project_name(folder: str) -> str:
    """Return a Compose project name for a folder; `project` if nothing is left.

    It begins the names of images, too, in which one separator stands between two words:
    https://github.com/distribution/reference/blob/main/reference.go
    """
    import unicodedata  # not at every start of `inv`

    ascii_only = unicodedata.normalize("NFKD", folder.casefold()).encode("ascii", "ignore").decode()
    words = re.sub("[^a-z0-9]+", lambda between: "_" if between[0] == "_" else "-", ascii_only)
    return words.strip("-_") or "project"


def write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet, whole or not at all, with mode 600 from its first byte.

    Raises:
        FileExistsError: there is something at the path already, if only a broken link; it stays as it is.
    """
    with _written_beside(path, text) as written:
        os.link(written, path)


def make_ignored(folder: Path) -> None:
    """Make a folder that git ignores by itself, whatever the project's own .gitignore says."""
    folder.mkdir(mode=0o755, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        write_new(folder / ".gitignore", "*\n")


def replace(path: Path, text: str) -> None:
    """Replace a file at once, or the file that a symbolic link leads to; owner and permissions stay.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = path.resolve(strict=True)
    before = path.stat()
    with _written_beside(path, text) as written:
        if os.name == "posix" and os.geteuid() == 0:  # only root can change the owner by accident
            os.chown(written, before.st_uid, before.st_gid)
        written.chmod(stat.S_IMODE(before.st_mode))
        written.replace(path)


@contextlib.contextmanager
def _written_beside(path: Path, text: str) -> Iterator[Path]:
    """Write a new file, mode 600, in the folder of `path`; it is gone afterwards unless it was renamed."""
    import tempfile  # not at every start of `inv`

    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    written = Path(name)
    try:
        with open(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(handle)
        yield written
    finally:
        written.unlink(missing_ok=True)
