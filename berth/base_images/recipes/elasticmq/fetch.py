"""Fetch ElasticMQ: the jars of a jgo lock, each one checked against its sha256.

    python fetch.py LOCK TARGET

It exits with 69 if nothing is wrong but that jars cannot be had.

Needs the packages of requirements.txt. The image and the server that runs without Docker use this very script.
Afterwards TARGET holds `lib/` with the jars, `server.args` and `classpath.args`, so that

    cd TARGET && java @classpath.args @server.args -Dconfig.file=CONF org.elasticmq.server.Main

starts the server.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jgo.config import GlobalSettings
from jgo.env import LockedDependency, LockFile
from jgo.maven import MavenContext
from jgo.maven._core import DEFAULT_REMOTE_REPOS  # jgo publishes no name for Maven Central

UNAVAILABLE = 69
"""What sysexits.h calls so."""


class Unavailable(ValueError):
    """Jars are neither in the cache nor to be had from a repository; those that are there are right."""


def fetch(lock: Path, target: Path) -> list[str]:
    """Copy the jars of `lock` into `target`/lib, from the Maven cache or else from the repositories that jgo knows.

    Jars that are there and right are kept, other files in lib/ are removed.

    Returns the names of the jars in the order of the lock, which is that of the class path.
    Raises ValueError, naming every jar that is missing, has no checksum in the lock or does not match it; Unavailable
    if all that is wrong is that they are missing.
    """
    settings = GlobalSettings.load()
    context = MavenContext(
        repo_cache=settings.repo_cache, remote_repos={**DEFAULT_REMOTE_REPOS, **settings.repositories}
    )
    lib = target / "lib"
    lib.mkdir(parents=True, exist_ok=True)

    def fetch_one(locked: LockedDependency) -> tuple[str, ValueError | None]:
        component = context.project(locked.groupId, locked.artifactId).at_version(locked.version)
        artifact = component.artifact(locked.classifier or "", locked.packaging)
        name = artifact.filename
        if not locked.sha256:
            return name, ValueError(f"{name}: no sha256 in the lock")
        if (lib / name).exists() and sha256(lib / name) == locked.sha256:
            return name, None
        try:
            source = artifact.resolve()
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
            return name, Unavailable(f"{name}: {error}")
        if (found := sha256(source)) != locked.sha256:
            return name, ValueError(
                f"{source}: sha256 is {found}, locked is {locked.sha256}: delete the file if it is damaged"
            )
        shutil.copyfile(source, lib / name)
        return name, None

    with ThreadPoolExecutor(max_workers=8) as pool:
        results = list(pool.map(fetch_one, LockFile.load(lock).dependencies))
    if problems := [problem for _, problem in results if problem]:
        kind = Unavailable if all(isinstance(problem, Unavailable) for problem in problems) else ValueError
        raise kind("\n".join(map(str, problems)))
    names = [name for name, _ in results]
    for other in {path.name for path in lib.iterdir()} - set(names):
        (lib / other).unlink()
    return names


def sha256(path: Path) -> str:
    """Return the checksum of a file in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: fetch.py LOCK TARGET", file=sys.stderr)
        return 2
    lock, target = map(Path, arguments)
    try:
        names = fetch(lock, target)
    except Unavailable as error:
        first, *others = str(error).splitlines()
        print(f"cannot fetch the jars of {lock}:\n{first}", file=sys.stderr)
        if others:
            print(f"and {len(others)} more", file=sys.stderr)
        return UNAVAILABLE
    except ValueError as error:
        print(f"cannot fetch the jars of {lock}:\n{error}", file=sys.stderr)
        return 1
    # By name: a wildcard takes the order of the directory, and the archive of classes holds for one order only.
    (target / "classpath.args").write_text("-cp " + ":".join(f"lib/{name}" for name in names) + "\n")
    shutil.copyfile(Path(__file__).with_name("server.args"), target / "server.args")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
