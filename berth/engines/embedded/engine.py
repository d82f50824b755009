"""Run the services without containers: the same commands, on servers from wheels, below a supervisor."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from invoke import Context, Exit

from berth import leftovers, ports, process, programs, project, queued, services, supervisor
from berth.engines import ready
from berth.programs import Program
from berth.project import Project, State

UNPRIVILEGED = "nobody"
"""Whom a server runs as that root starts; PostgreSQL's initdb insists on a user with a name."""
FAR_AWAY = Path("/var/lib/berth")
"""Where the state of a checkout lies that this user may not enter."""
PAUSE_S = 0.1
LOG_LINES = "20"
RUNNING = "RUNNING"
STAMP = "berth.stamp"


@dataclass(frozen=True)
class Plan:
    """The services as they run here."""

    here: Project
    stack: services.Stack
    programs: Sequence[Program]
    app: str

    @property
    def state(self) -> State:
        return self.here.state

    @property
    def socket(self) -> Path:
        return supervisor.socket(self.state)

    def of(self, names: Collection[str]) -> list[Program]:
        """Return the programs of these services, all of them if there are none, in the order of their start."""
        return [program for program in self.programs if not names or program.service in names]

    def with_needs(self, names: Collection[str]) -> list[Program]:
        """Return the programs of these services and of what they depend on."""
        wanted = set(names)
        for program in reversed(self.programs):
            if program.service in wanted:
                wanted |= set(program.waits)
        return self.of(wanted)

    def user(self, program: Program) -> tuple[int, int] | None:
        """Return whom a service runs as when root starts it; None: root, as our Python may be root's alone."""
        role = self.stack.role(program.service)
        return None if program.privileged or (role and self.state.is_python(role)) else _unprivileged()

    def control(self, *words: str) -> list[str]:
        return supervisor.control(self.here, *words)


def _runs(here: Project) -> bool:
    """Tell whether the supervisor of this checkout answers."""
    return supervisor.answers(supervisor.socket(here.state))


# --- What the tasks ask for --------------------------------------------------


def up(c: Context, names: Sequence[str], *, build: bool, attach: bool) -> None:
    here = ready.environment(c, create=True)
    if build:
        _say("`--build` has no effect: without containers there is no image to build")
    _install(c, here)
    plan = _plan(c, here, names)
    _up(c, plan, names)
    if c.config.run.dry:
        return
    for file in here.state.in_memory().values():
        _say(queued.notice(file))
    print(services.table(plan.stack, _containers(c, plan)))
    if attach:
        try:
            follow = process.run(c, _tail(plan, names, follow=True, tail=None), cwd=here.root, check=False)
        finally:
            with _locked(c, plan.state):
                _leave(c, plan, plan.of(names))
        raise Exit(code=0 if follow == process.INTERRUPTED else follow)


def build(c: Context, names: Sequence[str], *, prod: bool, no_cache: bool, pull: bool) -> None:
    ready.environment(c, create=True)
    _say("nothing to build: without containers there is no image; `up` installs the packages when their lock changes")


def logs(c: Context, names: Sequence[str], *, follow: bool, tail: str | None) -> None:
    here = ready.environment(c)
    if tail is not None and tail != "all" and not re.fullmatch("[0-9]+", tail):
        raise Exit(f"`--tail` takes a number of lines or `all`, not `{tail}`")
    if not _installed(here):
        return
    plan = _plan(c, here, names)
    line = _tail(plan, names, follow=follow, tail=None if tail == "all" else tail)
    if line:
        process.run(c, line, cwd=plan.here.root)


def ps(c: Context, names: Sequence[str]) -> None:
    here = ready.environment(c)
    if _installed(here):
        plan = _plan(c, here, names)
        if not _runs(here) and (left := leftovers.find(here.state.folder)):
            _say(f"the supervisor was killed, and left {_told(left)}: type `{here.command()} up`, or `down`")
        shown = [one for one in _containers(c, plan) if not names or one.service in names]
        print(services.table(plan.stack, shown))


def config(c: Context) -> None:
    here = ready.environment(c, create=True)
    _install_first(c, here)
    process.run(c, _compose(here, "config"), cwd=here.root)


def exec_(c: Context, service: str, command: Sequence[str], *, user: str | None) -> None:
    here = ready.environment(c)
    _install_first(c, here)
    plan = _plan(c, here, [service])
    if user == project.caller():
        _say("without containers a command runs as you anyway, but for root's servers")
    elif user and os.geteuid() != 0:
        raise Exit(f"without containers only root can run a command as `{user}`: leave `--user` out")
    _check_running(c, plan, service)
    process.run(c, _enter(plan, service, command, user=user), cwd=plan.here.root)


def shell(c: Context, service: str | None) -> None:
    here = ready.environment(c)
    _install_first(c, here)
    plan = _plan(c, here, [service] if service else [])
    service = service or plan.app
    _check_running(c, plan, service)
    line = _enter(plan, service, ["sh", "-c", "exec $(command -v bash || command -v sh)"])
    process.run(c, line, cwd=plan.here.root)


def stop(c: Context, names: Sequence[str], *, yes: bool) -> None:
    here = ready.environment(c)
    if _installed(here):
        plan = _plan(c, here, names)
        with _locked(c, plan.state):
            chosen = plan.of(names)
            if not yes:
                _check_messages(c, here, [program.service for program in chosen], "stop", *names)
            _stop(c, plan, chosen)


def restart(c: Context, names: Sequence[str], *, yes: bool) -> None:
    here = ready.environment(c)
    if not c.config.run.dry and not _runs(here):
        raise Exit(f"nothing runs here: type `{here.command()} up`")
    plan = _plan(c, here, names)
    chosen = [program for program in plan.of(names) if not program.once]
    with _locked(c, plan.state):
        if not yes:
            _check_messages(c, here, [program.service for program in chosen], "restart", *names)
        _stop(c, plan, chosen)
        if chosen:
            process.run(c, plan.control("start", *_words(chosen)), cwd=plan.here.root)


def down(c: Context, *, yes: bool) -> None:
    here = ready.environment(c)
    state = here.state
    path = supervisor.socket(state)
    if not _installed(here):
        _say("nothing runs here")
        return
    if not yes:
        _check_messages(c, here, state.in_memory(), "down")
    if not supervisor.answers(path):
        if c.config.run.dry:
            return
        left = leftovers.find(state.folder)
        _say(f"ends what a killed supervisor has left: {_told(left)}" if left else "nothing runs here")
        leftovers.end(left)
    else:
        plan = _plan(c, here)
        with _locked(c, state):
            if not c.config.run.dry:
                _settle(plan)
            _stop(c, plan, plan.programs)
            pid = supervisor.pid(path)
            process.run(c, plan.control("shutdown"), cwd=here.root)
            if c.config.run.dry:
                return
            if not leftovers.wait_for_end(pid, leftovers.LIMIT_S):
                raise Exit(f"the supervisor (pid {pid}) does not end: type `kill -9 {pid}`, then repeat the command")
            leftovers.end(leftovers.find(state.folder))
    # As with containers, what was printed goes with them.
    for folder in (state.run, state.logs):
        shutil.rmtree(folder, ignore_errors=True)


def manage(c: Context, command: Sequence[str]) -> None:
    here = ready.environment(c)
    _install_first(c, here)
    plan = _plan(c, here)
    # What a command may need of the stack, and no more: the other dependencies would apply migrations.
    database = ready.role(plan.stack, "database")
    if database not in _running(c, plan):
        _up(c, plan, [database])
    process.run(c, _enter(plan, plan.app, ["python", "manage.py", *command], user=project.caller()), cwd=plan.here.root)


def test(c: Context, command: Sequence[str]) -> None:
    here = ready.environment(c, create=True)
    _install(c, here)
    plan = _plan(c, here)
    _up(c, plan, [])
    process.run(c, _enter(plan, plan.app, ["pytest", *command]), cwd=here.root)


def reset_db(c: Context, *, yes: bool) -> None:
    here = ready.environment(c)
    _install_first(c, here)
    plan = _plan(c, here)
    database = ready.role(plan.stack, "database")
    if not yes and not c.config.run.dry:
        ready.consent(plan.stack, database, plan.here)
    _up(c, plan, [database])
    with _locked(c, plan.state):
        _stop(c, plan, plan.of(plan.stack.dependents(database)))
    process.run(c, _enter(plan, database, ["reset-db.sh"]), cwd=plan.here.root)
    _up(c, plan, [])


# --- Lines -------------------------------------------------------------------


def _enter(
    plan: Plan, service: str, command: Sequence[str], *, user: str | None = None, name: str | None = None
) -> list[str]:
    return [
        plan.here.short(plan.state.bin / "enter"),
        *(["--user", user] if user else []),
        *(["--process", name] if name else []),
        service,
        *command,
    ]


def _compose(here: Project, *words: str) -> list[str]:
    """Compose itself, from a wheel: it resolves files without an engine."""
    return [here.short(here.state.tools / "bin" / "docker-compose"), *words]


def _tail(plan: Plan, names: Sequence[str], *, follow: bool, tail: str | None) -> list[str]:
    """Return the line that shows the logs there are, or nothing."""
    paths = [plan.state.logs / f"{name}.log" for program in plan.of(names) for name in program.processes]
    found = [plan.here.short(path) for path in paths if path.exists()]
    if not found:
        return []
    return ["tail", "-n", "+1" if tail is None else tail, *["-F"] * follow, *found]


def _words(chosen: Sequence[Program]) -> list[str]:
    return [word for program in chosen for word in program.words]


# --- Before anything is started ----------------------------------------------


def _plan(c: Context, here: Project, names: Sequence[str] = ()) -> Plan:
    """Return the services as they run here.

    :raises Exit: Compose refuses the files, a name is no service, or a service cannot run here.
    """
    answer = process.capture(c, _compose(here, "config", "--format", "json"), cwd=here.root)
    if answer.returncode != 0:
        raise Exit(answer.stderr.strip(), code=answer.returncode)
    stack = services.Stack(answer.stdout)
    app = ready.role(stack, "app")
    try:
        stack.check(names)
        found = programs.programs(
            stack,
            app,
            here.state,
            scripts=sorted(path.name for path in here.without_containers.glob("start-*.sh")),
            paths=[str(path) for path in _servers(here.state)],
        )
    except (services.Unknown, programs.Unusable) as error:
        raise Exit(str(error)) from None
    missing = programs.left_out(stack, found)
    if unable := [name for name in missing if name in names]:
        raise Exit(f"`{unable[0]}` needs a container: type BERTH_ENGINE=docker in front of the command")
    if missing:
        _say(f"left out, as only containers can run it: {', '.join(missing)}")
    return Plan(here, stack, found, app)


def _servers(state: State) -> list[Path]:
    """Return the folders of the commands that the wheels of servers hold: PostgreSQL's, the newest, and Java's."""
    library = next(state.tools.glob("lib/python*/site-packages"), state.tools)
    newest = sorted(library.glob("*/pginstall*/bin"))[-1:]
    return [*newest, *library.glob("*/java-runtime/bin")]


def _installed(here: Project) -> bool:
    """Tell whether there is what services run on, be it up to date or not."""
    return all((folder / STAMP).exists() for folder in (here.state.tools, here.state.packages))


def _install_first(c: Context, here: Project) -> None:
    """Install what services run on, where there is none."""
    if not _installed(here):
        _install(c, here)


def _install(c: Context, here: Project) -> None:
    """Install the servers and the project's packages, unless that is done, and the locks are the same.

    :raises Exit: a step failed, or this Python is too old for it.
    """
    if not c.config.run.dry:
        _make_folder(here)
    state = here.state
    tools, packages = here.requirements / "embedded.txt", _lock(here)
    todo = [
        (folder, lock, stamp)
        for folder, lock, others in (
            (
                state.tools,
                tools,
                [
                    *here.without_containers.glob("install-*.sh"),
                    *here.base_images.glob("*/*.lock.toml"),
                    *here.requirements.glob("embedded-*.txt"),
                ],
            ),
            (state.packages, packages, []),
        )
        if not _is_stamped(folder, stamp := _stamp([lock, *others]))
    ]
    if not todo:
        return
    if sys.version_info < (3, 11):
        version = ".".join(map(str, sys.version_info[:2]))
        raise Exit(
            f"without containers Python 3.11 or newer is needed, and this is {version}: install a newer one, remove "
            ".venv and repeat the command"
        )
    if state.run.exists() and not c.config.run.dry:
        _say("the services are stopped first, as what they run on is to change")
        down(c, yes=False)
    with _locked(c, state):
        for folder, lock, stamp in todo:
            if _is_stamped(folder, stamp):
                continue  # by another command, meanwhile
            short, name = here.short(folder), here.short(lock)
            _say(f"installing {name} into {short}; only this time")
            if not c.config.run.dry:
                shutil.rmtree(folder, ignore_errors=True)
            python = f"{short}/bin/python"
            process.run(c, [sys.executable, "-m", "virtualenv", "--quiet", short], cwd=here.root)
            quiet = [] if sys.stderr.isatty() else ["--quiet"]
            options = ["--disable-pip-version-check", "--only-binary", ":all:", "--require-hashes"]
            # -I: what PYTHONPATH leads to would count as installed.
            line = [python, "-I", "-m", "pip", "install", *quiet, *options, "--requirement", name]
            process.run(c, line, cwd=here.root)
            if folder == state.tools:
                servers = here.short(state.servers)
                for script in sorted(here.without_containers.glob("install-*.sh")):
                    process.run(c, [here.short(script), python, servers], cwd=here.root)
            if not c.config.run.dry:
                # Last, so that an installation that was cut off counts as none.
                (folder / STAMP).write_text(stamp)
    if c.config.run.dry and not _installed(here):
        raise Exit("what comes next depends on what would be installed", code=0)


def _lock(here: Project) -> Path:
    """Return the lock of the project's packages in development."""
    return here.requirements / f"{ready.value(here, 'DEV_LOCK') or 'dev'}.txt"


def _stamp(files: Sequence[Path]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(files):
        if not path.is_file():
            raise Exit(f"there is no {path}: without containers it is what the services are installed from")
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_stamped(folder: Path, stamp: str) -> bool:
    try:
        return (folder / STAMP).read_text() == stamp and (folder / "bin" / "python").exists()
    except FileNotFoundError:
        return False


def _make_folder(here: Project) -> None:
    """Make the folder of the state; elsewhere, if root's servers could not get at it here."""
    link = here.root / project.STATE
    if here.state.folder.exists():
        return
    user = _unprivileged()
    if user is None or _may_enter(here.root, user):
        link.mkdir(mode=0o755)
        return
    digest = hashlib.sha256(str(here.root).encode()).hexdigest()[:12]
    elsewhere = FAR_AWAY / f"{here.root.name}-{digest}"
    elsewhere.mkdir(parents=True, exist_ok=True, mode=0o755)
    if not link.is_symlink():
        link.symlink_to(elsewhere)
    _say(f"{UNPRIVILEGED}, as whom PostgreSQL runs, may not enter {here.root}: .berth is a link to {elsewhere}")


def _may_enter(folder: Path, user: tuple[int, int]) -> bool:
    """Tell whether ``user`` may pass through ``folder`` and all above it; groups other than its own do not count."""
    for path in [folder.resolve(), *folder.resolve().parents]:
        found = path.stat()
        bit = 0o100 if found.st_uid == user[0] else 0o010 if found.st_gid == user[1] else 0o001
        if not found.st_mode & bit:
            return False
    return True


def _unprivileged() -> tuple[int, int] | None:
    """Return the ids of whom servers run as, None for the caller's own.

    :raises Exit: root has nobody to be.
    """
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise Exit(
            f"PostgreSQL does not run as root, and there is no user `{UNPRIVILEGED}`: use another user"
        ) from None
    return found.pw_uid, found.pw_gid


def _prepare(plan: Plan) -> bool:
    """Write what the processes read; tell whether the supervisor has to read its configuration again."""
    state = plan.state
    for folder in (state.bin, state.data, state.logs, state.mounts, state.run, state.services):
        folder.mkdir(exist_ok=True)
    state.services.chmod(0o700)
    build = plan.stack.definition(plan.app)["build"]
    for name, text in programs.commands((Path(build["context"]) / build["dockerfile"]).parent, state).items():
        _write(state.bin / name, text, mode=0o755)
    for script in plan.here.without_containers.glob("start[-_]*"):
        _write(state.bin / script.name, script.read_text(encoding="utf-8"), mode=0o755)
    _write(state.bin / "enter", programs.enter(plan.here.without_containers / "enter.py", state), mode=0o755)
    descriptions = {program.service: program.description(plan.user(program)) for program in plan.programs}
    for program in plan.programs:
        owner = plan.user(program)
        _write(state.services / f"{program.service}.json", descriptions[program.service], mode=0o600)
        for name in program.processes:
            _folder(state.run / name, owner)
        for source, target in program.files:
            _mount(Path(source), state.mounts / program.service / target.lstrip("/"))
        if not program.privileged:
            _folder(state.data / program.service, owner)
        if "PGPASSFILE" in program.environment:
            _write(Path(program.environment["PGPASSFILE"]), programs.passwords(program), mode=0o600, owner=owner)
    return _write(state.supervisor, programs.supervisor(plan.programs, plan.socket, descriptions), mode=0o600)


def _differs(plan: Plan, program: Program) -> bool:
    """Tell whether a service is to run otherwise than it was last written down, and therefore starts anew."""
    file = plan.state.services / f"{program.service}.json"
    return file.exists() and file.read_text(encoding="utf-8") != program.description(plan.user(program))


def _folder(path: Path, owner: tuple[int, int] | None) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    if owner:
        os.chown(path, *owner)


def _mount(source: Path, target: Path) -> None:
    """Copy what a container would have mounted, with the mode that everybody may read."""
    pairs = [(source, target)] if source.is_file() else [(path, target / path.name) for path in source.glob("*")]
    for one, copy in pairs:
        copy.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o755 if os.access(one, os.X_OK) else 0o644
        _write(copy, one.read_text(encoding="utf-8"), mode=mode)


def _write(path: Path, text: str, *, mode: int, owner: tuple[int, int] | None = None) -> bool:
    """Write a file at once, unless it says so already; tell whether it had to be."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_text(encoding="utf-8") == text:
            return False
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    beside.chmod(mode)
    if owner:
        os.chown(beside, *owner)
    beside.replace(path)
    return True


@contextlib.contextmanager
def _locked(c: Context, state: State) -> Iterator[None]:
    """Let one command at a time change what runs here."""
    if c.config.run.dry:
        yield
        return
    with open(state.folder / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another command in this checkout")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- Starting and stopping ---------------------------------------------------


def _up(c: Context, plan: Plan, names: Sequence[str]) -> None:
    """Start services with what they need, and wait until they are healthy.

    :raises Exit: a port is taken, or a service failed, or Ctrl-C was typed: the services then go on starting.
    """
    try:
        _start(c, plan, names)
    except KeyboardInterrupt:
        raise Exit(code=process.INTERRUPTED) from None


def _start(c: Context, plan: Plan, names: Sequence[str]) -> None:
    chosen = plan.with_needs(names) if names else list(plan.programs)
    root = plan.here.root
    if c.config.run.dry:
        process.run(c, supervisor.start_supervisor(plan.here), cwd=root)
        process.run(c, plan.control("start", *_words(chosen)), cwd=root)
        return
    with _locked(c, plan.state):
        _settle(plan)
        answers = supervisor.answers(plan.socket)
        if not answers and (left := leftovers.find(plan.state.folder)):
            _say(f"ends what a killed supervisor has left: {_told(left)}")
            for service, file in plan.state.in_memory().items():
                if said := queued.said(file, service):
                    _say(f"{said}: with it goes what is queued")
            leftovers.end(left)
        if answers:
            for program in plan.programs:
                if _differs(plan, program):
                    _check_messages(c, plan.here, [program.service], "stop", program.service)
        changed = _prepare(plan)
        if not answers:
            _check_ports(c, plan, chosen)
            process.run(c, supervisor.start_supervisor(plan.here), cwd=root)
        elif changed:
            process.run(c, plan.control("update"), cwd=root)
        running = _running(c, plan)
        todo = [program for program in chosen if program.service not in running]
        if answers:
            _check_ports(c, plan, todo)
        for program in todo:
            (plan.state.run / f"{program.service}.done").unlink(missing_ok=True)
        if todo:
            process.run(c, plan.control("start", *_words(todo)), cwd=root)
    _wait(c, plan, chosen)


def _settle(plan: Plan) -> None:
    """End what a command that was killed on its way still does to the services; the caller has the lock."""
    leftovers.end(leftovers.find_commands("supervisorctl", plan.here.root.resolve()))
    deadline = time.monotonic() + max(program.grace for program in plan.programs)
    while supervisor.answers(plan.socket) and time.monotonic() < deadline:
        if all(one.state != "STOPPING" for one in _processes(plan)):
            return
        time.sleep(PAUSE_S)


def _wait(c: Context, plan: Plan, chosen: Sequence[Program]) -> None:
    """Wait until services are healthy, or have done their work.

    :raises Exit: one failed, or takes too long.
    """
    began = time.monotonic()
    starts: dict[str, set[int]] = {}
    waiting = list(chosen)
    while waiting:
        found = {one.name: one for one in _processes(plan)}
        for program in list(waiting):
            several = [found[name] for name in program.processes if name in found]
            if len(several) < program.replicas or any(one.state == "STOPPED" for one in several):
                raise Exit(f"{program.service} was stopped by another command")
            for one in several:
                starts.setdefault(one.name, set()).add(one.started)
            if program.once and all(one.state == "EXITED" for one in several):
                if code := next((one.exit_code for one in several if one.exit_code), 0):
                    raise Exit(_failure(plan, program, f"it exited with code {code}", ""), code=1)
                waiting.remove(program)
                continue
            # By the second, in which there may have been several.
            if any(one.state == "FATAL" or len(starts[one.name]) > 2 for one in several) and not program.once:
                raise Exit(_failure(plan, program, "it ends again and again", ""), code=1)
            if any(other.service in program.waits for other in waiting):
                continue
            said = _ill(c, plan, program)
            if not program.once and all(one.state == RUNNING for one in several) and said is None:
                waiting.remove(program)
            elif time.monotonic() > began + program.patience and not program.once:
                raise Exit(_failure(plan, program, "it is unhealthy", said or ""), code=1)
        if waiting:
            time.sleep(PAUSE_S)


def _ill(c: Context, plan: Plan, program: Program) -> str | None:
    """Return what the health check of a service complains of, None if it is healthy."""
    for name in program.processes if program.health else []:
        line = _enter(plan, program.service, program.health, name=name)
        answer = process.capture(c, line, cwd=plan.here.root)
        if answer.returncode != 0:
            return f"{answer.stdout}{answer.stderr}".strip()
    return None


def _failure(plan: Plan, program: Program, what: str, said: str) -> str:
    lines = [f"{program.service} failed: {what}"]
    if said:
        lines.append(f"its health check says: {said}")
    lines.append(f"its last lines (`{plan.here.command()} logs {program.service}` shows all):")
    for name in program.processes:
        with contextlib.suppress(FileNotFoundError):
            text = (plan.state.logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            lines += text.splitlines()[-int(LOG_LINES) :]
    return "\n".join(lines)


def _stop(c: Context, plan: Plan, chosen: Sequence[Program]) -> None:
    """Stop services, each before those it depends on."""
    left = list(chosen)
    running = {program.service for program in left} if c.config.run.dry else _running(c, plan)
    while left:
        needed = {name for program in left for name in program.waits}
        wave = [program for program in left if program.service not in needed]
        left = [program for program in left if program not in wave]
        if words := _words([program for program in wave if program.service in running]):
            process.run(c, plan.control("stop", *words), cwd=plan.here.root)


def _leave(c: Context, plan: Plan, chosen: Sequence[Program]) -> None:
    """Stop services, but not those whose messages would be lost with them."""
    files = plan.state.in_memory()
    _stop(c, plan, [program for program in chosen if program.service not in files])
    for program in chosen:
        if program.service not in files:
            continue
        name = program.service
        if said := queued.said(files[name], name):
            _say(f"{said}: it goes on running; type `{plan.here.command()} stop {name} --yes` to throw that away")
        else:
            _stop(c, plan, [program])


def _check_messages(c: Context, here: Project, services: Collection[str], *words: str) -> None:
    """:raises Exit: messages would be lost with one of these services.

    :param words: what was typed.
    """
    for service, file in here.state.in_memory().items():
        if service in services and not c.config.run.dry and (said := queued.said(file, service)):
            raise Exit(f"{said}: type `{' '.join([here.command(), *words, '--yes'])}` to throw that away")


def _check_ports(c: Context, plan: Plan, chosen: Sequence[Program]) -> None:
    """:raises Exit: something else listens where a service is to; all such ports are named."""
    taken = [
        (program.service, position, host, port)
        for program in chosen
        for position, (host, port) in enumerate(plan.stack.published(program.service))
        if port.isdigit() and ports.is_taken(programs.HOST, int(port))
    ]
    if not taken:
        return
    line = _compose(plan.here, "config", "--no-interpolate", "--format", "json")
    written = services.Stack(process.capture(c, line, cwd=plan.here.root).stdout)
    sentences = []
    given: set[int] = set()
    for service, position, host, port in taken:
        variable = re.match(r"\$\{(\w+)", written.published(service)[position][1])
        free = ports.free_from(int(port) + 1, avoid=given)
        given.add(free)
        cure = f"set {variable[1]}={free} in .env" if variable else f"publish {free} in the compose file"
        found = leftovers.holder(host, int(port))
        who = f"{found.name()} (pid {found.pid})" if found else "a process of another user"
        sentences.append(f"port {port} of {host}, for {service}, is taken by {who}: end that, or {cure}")
    raise Exit("\n".join(sentences))


# --- What runs ---------------------------------------------------------------


def _processes(plan: Plan) -> list[supervisor.Process]:
    """:raises Exit: the supervisor has ended, or hangs."""
    try:
        return supervisor.processes(plan.socket)
    except OSError:
        log = plan.here.short(plan.state.logs / "supervisord.log")
        raise Exit(f"the supervisor does not answer: see {log}, and type `{plan.here.command()} up`") from None


def _running(c: Context, plan: Plan) -> set[str]:
    """Return the services that run, with all their processes."""
    if not supervisor.answers(plan.socket):
        return set()
    states: dict[str, list[str]] = {}
    for one in _processes(plan):
        states.setdefault(one.service, []).append(one.state)
    return {service for service, found in states.items() if set(found) == {RUNNING}}


def _check_running(c: Context, plan: Plan, service: str) -> None:
    if not c.config.run.dry and service not in _running(c, plan):
        raise Exit(f"service `{service}` is not running: type `{plan.here.command()} up {service}`")


def _containers(c: Context, plan: Plan) -> list[services.Container]:
    """Return the processes in the words of containers."""
    if not supervisor.answers(plan.socket):
        return []
    known: Mapping[str, Program] = {program.service: program for program in plan.programs}
    found = []
    for one in sorted(_processes(plan), key=lambda one: (one.service, one.name)):
        if not one.started or one.service not in known:
            continue
        program = known[one.service]
        running = one.state == RUNNING
        health = ""
        if running and program.health:
            young = time.time() < one.started + program.start_period
            health = "healthy" if _ill(c, plan, program) is None else "starting" if young else "unhealthy"
        found.append(
            services.Container(
                service=one.service,
                name=one.name,
                state="running" if running else "exited",
                health=health,
                exit_code=one.exit_code,
            )
        )
    return found


def _told(left: Sequence[psutil.Process]) -> str:
    names = []
    for one in left:
        with contextlib.suppress(psutil.Error):
            names.append(f"{one.name()} ({one.pid})")
    return ", ".join(names)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
