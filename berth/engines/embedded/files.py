"""Write what the processes read, below `.berth/embedded`.

Root writes into its own folders only: what a server's user left in theirs, such as a link, leads nowhere.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from berth.engines.embedded import lines, programs, supervisor
from berth.engines.embedded.plan import Plan
from berth.engines.embedded.programs import Program
from berth.engines.embedded.state import Ids, State, unprivileged

IMAGE_PYTHON = "#!/opt/venv/bin/python"


def owner(state: State, program: Program) -> Ids | None:
    """Return whom a service runs as when root starts it; None: root, as our Python may be root's alone."""
    if program.privileged or (program.role and state.is_python(program.role)):
        return None
    return unprivileged()


def description(state: State, program: Program) -> str:
    """Return what scripts/enter.py reads of a service."""
    return program.description(owner(state, program))


def differs(state: State, program: Program) -> bool:
    """Tell whether a service is to run otherwise than it was last written down, and therefore starts anew."""
    file = state.services / f"{program.service}.json"
    return file.exists() and file.read_text(encoding="utf-8") != description(state, program)


def write(plan: Plan) -> bool:
    """Write everything; tell whether the supervisor has to read its configuration again."""
    state = plan.state
    modes = {state.services: 0o700, state.passwords: 0o711}
    for folder in (state.bin, state.data, state.logs, state.mounts, state.passwords, state.run, state.services):
        folder.mkdir(exist_ok=True)
        folder.chmod(modes.get(folder, 0o755))
    _write_commands(plan)
    descriptions = {program.service: description(state, program) for program in plan.programs}
    for program in plan.programs:
        user = owner(state, program)
        _write(state.services / f"{program.service}.json", descriptions[program.service], mode=0o600)
        for name in program.processes:
            _folder_for_one_run(state.run / name, user)
        if not program.privileged:
            _folder(state.data / program.service, user)
            _mount(state.mounts / program.service, program, user)
        if path := program.environment.get("PGPASSFILE"):
            _write(Path(path), programs.passwords(program), mode=0o600, owner=user)
    text = supervisor.configuration(plan.programs, state.socket, descriptions)
    return _write(state.supervisor, text, mode=0o600)


def _write_commands(plan: Plan) -> None:
    state = plan.state
    for name, text in commands(plan.stack.dockerfile(plan.app).parent, state).items():
        _write(state.bin / name, text, mode=0o755)
    for script in lines.SCRIPTS.iterdir():
        if script.name.startswith(("start-", "start_", "ready-")):
            _write(state.bin / script.name, script.read_bytes(), mode=0o755)
    _write(state.bin / "enter", enter(lines.SCRIPTS / "enter.py", state), mode=0o755)


def commands(folder: Path, state: State) -> dict[str, str]:
    """Return the text of the commands that an image has from ``folder``: its scripts, and Python by another name."""
    found = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sh"))}
    python = _quoted(state.packages / "bin" / "python")
    for path in sorted(folder.glob("*.py")):
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        if first.startswith(IMAGE_PYTHON):
            line = f"exec {python}{first.removeprefix(IMAGE_PYTHON)} {_quoted(path)}"
            found[path.stem.replace("_", "-")] = f'#!/bin/sh\n{line} "$@"\n'
    return found


def enter(script: Path, state: State) -> str:
    """Return the text of the command `enter`."""
    line = f"exec {_quoted(state.tools / 'bin' / 'python')} -I {_quoted(script)} {_quoted(state.folder)}"
    return f'#!/bin/sh\n{line} "$@"\n'


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"


def _folder(path: Path, user: Ids | None) -> None:
    """Make a folder in one of ours for a user, into which nobody else looks."""
    path.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(path, *(user or (0, 0)))


def _folder_for_one_run(path: Path, user: Ids | None) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_uid != (user[0] if user else os.geteuid()):
            shutil.rmtree(path)
    _folder(path, user)


def _mount(folder: Path, program: Program, user: Ids | None) -> None:
    """Copy what a container would have mounted to where the service's user may read it, and nobody else."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o750)
    if user:
        os.chown(folder, 0, user[1])
    wanted = {
        folder / target.lstrip("/") / name: source
        for path, target in program.files
        for name, source in _tree(Path(path))
    }
    for copy, source in wanted.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        _write(copy, source.read_bytes(), mode=0o755 if os.access(source, os.X_OK) else 0o644)
    for path in list(folder.rglob("*")):
        if path.is_file() and path not in wanted:
            path.unlink()


def _tree(path: Path) -> Iterator[tuple[Path, Path]]:
    """Give the files of a folder, or the one file, with their paths in it."""
    if path.is_file():
        yield Path(), path
    for folder, _, names in os.walk(path, followlinks=True):
        for name in names:
            found = Path(folder, name)
            if found.is_file():
                yield found.relative_to(path), found


def _write(path: Path, content: str | bytes, *, mode: int, owner: Ids | None = None) -> bool:
    """Write a file at once, into a folder of ours, unless it is there already; tell whether it had to be."""
    data = content.encode() if isinstance(content, str) else content
    uid, gid = owner or (os.geteuid(), -1)
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat()
        if (found.st_uid, stat.S_IMODE(found.st_mode)) == (uid, mode) and path.read_bytes() == data:
            return False
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    # A process of the same number may have been killed here.
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(data)
        if owner:
            os.fchown(file.fileno(), uid, gid)
        os.fchmod(file.fileno(), mode)
    beside.replace(path)
    return True
