#!/usr/bin/env python3
"""Install a project's packages into /opt/venv while an image is built: its own first, untouched, then Berth's.

usage: install-packages theirs FORMAT [--dev] [--group NAME]... [--extra NAME]... [--hashed] [--debian NAME]... FILE...
       install-packages ours FILE
       install-packages tree FOLDER...

theirs    FORMAT is uv, poetry, pipenv, requirements or pyproject; the first FILE is the lock, or what is installed.
          Whatever has no wheel is built; a compiler and headers are brought in only once such a build has failed.
ours      adds the packages of a lock with hashes that the project does not have; fails if one of the project's
          packages would be another one afterwards, or would not fit.
tree      makes folders of the project importable, as `pip install --editable` does, without their dependencies.

Leaves in /opt/packages: `theirs.txt`, the versions of the project's lock as they were installed, and `debian.txt`, the
packages that what was built needs at run time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import system_packages  # type: ignore[import-not-found]  # beside this file, in the image

VENV, UV, POETRY = Path("/opt/venv"), "/opt/uv/bin/uv", "/opt/poetry/bin/poetry"
NOTES = Path("/opt/packages")
CA_BUNDLE = Path("/run/secrets/ca_bundle")
ROUNDS = 6

# Among the last that have pkg_resources.
SETUPTOOLS = "setuptools==80.9.0"
# What old build scripts print that a newer build tool has left behind, and the tool that still has it.
OLD_BUILDS = (
    ("pkg_resources", "setuptools<81"),
    ("use_2to3 is invalid", "setuptools<58"),
    ("cython_sources", "cython<3"),
)


def say(text: str) -> None:
    print(f"install-packages: {text}", file=sys.stderr, flush=True)


def fail(*lines: str) -> NoReturn:
    """End the build with a message."""
    sys.exit("\n".join(f"install-packages: {line}" for line in lines))


def environment() -> dict[str, str]:
    """Return the environment for uv and the builds that it runs."""
    found = {
        **os.environ,
        "HOME": "/root",
        "VIRTUAL_ENV": str(VENV),
        "UV_PROJECT_ENVIRONMENT": str(VENV),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_LINK_MODE": "copy",
        "UV_COMPILE_BYTECODE": "1",
        "UV_NO_PROGRESS": "1",
        # A DNS answer that got lost, as happens behind an engine's NAT, costs one second instead of five.
        "RES_OPTIONS": "timeout:1 attempts:5",
    }
    if CA_BUNDLE.is_file() and CA_BUNDLE.stat().st_size:
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"):
            found[name] = str(CA_BUNDLE)
        found["CARGO_HTTP_CAINFO"] = str(CA_BUNDLE)
    return found


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run *command*; return its exit code and all that it has printed, in lines that uv does not wrap."""
    return subprocess.run(
        command,
        env={**environment(), "COLUMNS": "10000"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def output(command: list[str]) -> str:
    """Return what *command* prints; end the build with its last words when it fails."""
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        fail(f"`{' '.join(command)}` failed:", *done.stderr.strip().splitlines()[-30:])
    return done.stdout


# --- Theirs ------------------------------------------------------------------


def decoded(data: bytes) -> str:
    """Return the text of a requirements file; PowerShell writes UTF-16 where somebody types `pip freeze > FILE`."""
    return data.decode("utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig", errors="replace")


def without_index(file: Path, into: Path) -> list[str]:
    """Copy a requirements file and those that it reads, without the lines that name an index, and those that install a
    folder of the project.

    An index named there need not answer any more, nor from here; this machine's own, or that of BUILD_UV_TOML, decides.
    """
    local = []
    seen: set[Path] = set()
    told: set[str] = set()

    def copy(source: Path) -> Path:
        target = into / str(source).strip("/")
        if source in seen:
            return target
        seen.add(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        for line in decoded(source.read_bytes()).splitlines():
            words = line.split("#")[0].split() if not re.match(r"\s*#", line) else []
            here = re.match(r"\s*(?:-e|--editable)?[ =]?\s*(\.{1,2}(?:/\S*|\[\S*|(?=\s|$)))", line) if words else None
            if re.match(r"\s*(-i|--index-url|--pypi-url|--no-index|--trusted-host)\b", line):
                if line.strip() not in told:
                    say(f"not used: `{line.strip()}` of {source.name}; BUILD_UV_TOML names an index for builds")
                told.add(line.strip())
            elif here:
                local.append(os.path.normpath(source.parent / here[1].split("[")[0]))
            else:
                found = re.match(r"\s*(-r|--requirement|-c|--constraint)[ =]?\s*(\S+)", line)
                if found and "://" not in found[2]:
                    other = Path(os.path.normpath(source.parent / found[2]))
                    if not other.is_file():
                        fail(f"{source.name} reads {found[2]}, which is not there")
                    line = f"{found[1]} {copy(other)}"
                lines.append(line)
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return target

    copy(file)
    return local


def of_pipfile_lock(file: Path, dev: bool) -> list[str]:
    """Return the lines of requirements that a Pipfile.lock stands for, with their hashes."""
    lock = json.loads(file.read_text(encoding="utf-8"))
    lines: dict[str, str] = {}
    for section in ("default", "develop") if dev else ("default",):
        for name, entry in lock.get(section, {}).items():
            extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
            markers = f" ; {entry['markers']}" if entry.get("markers") else ""
            if "git" in entry:
                folder = f"#subdirectory={entry['subdirectory']}" if entry.get("subdirectory") else ""
                what = f" @ git+{entry['git']}@{entry.get('ref', 'HEAD')}{folder}"
            elif "path" in entry:
                continue
            elif "file" in entry:
                what = f" @ {entry['file']}"
            else:
                what = entry.get("version", "")
            hashes = "".join(f" --hash={digest}" for digest in entry.get("hashes", ()))
            lines.setdefault(name, f"{name}{extras}{what}{markers}{hashes}")
    return list(lines.values())


def of_pipfile(file: Path, dev: bool) -> list[str]:
    """Return the lines of requirements that a Pipfile without a lock stands for."""
    try:
        toml = importlib.import_module("tomllib")
    except ImportError:  # before Python 3.11
        toml = importlib.import_module("pip._vendor.tomli")
    content = toml.loads(file.read_text(encoding="utf-8"))
    lines: dict[str, str] = {}
    for section in ("packages", "dev-packages") if dev else ("packages",):
        for name, entry in content.get(section, {}).items():
            entry = entry if isinstance(entry, dict) else {"version": entry}
            if "path" in entry:
                continue
            extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
            version = "" if entry.get("version") in {None, "*"} else entry["version"]
            what = f" @ git+{entry['git']}@{entry.get('ref', 'HEAD')}" if "git" in entry else version
            markers = f" ; {entry['markers']}" if entry.get("markers") else ""
            lines.setdefault(name, f"{name}{extras}{what}{markers}")
    return list(lines.values())


def exported(options: argparse.Namespace, into: Path) -> list[Path]:
    """Return files of requirements that say what the lock says."""
    file = Path(options.files[0])
    target = into / "theirs.txt"
    if options.format == "requirements":
        for each in options.files:
            without_index(Path(each), into)
        return [into / each.strip("/") for each in options.files]
    if options.format == "pipenv":
        if file.name == "Pipfile":
            say("the project has no Pipfile.lock: each build takes the newest versions that its Pipfile allows")
        read = of_pipfile if file.name == "Pipfile" else of_pipfile_lock
        target.write_text("\n".join(read(file, options.dev)) + "\n")
    if options.format == "poetry":
        own = poetry_groups((file.parent / "pyproject.toml").read_text()) if options.dev else []
        # Without them, export has what is no group alone.
        with_groups = [f"--with={name}" for name in dict.fromkeys([*own, *options.group])]
        extras = [f"--extras={name}" for name in options.extra]
        only = [] if options.dev else ["--only=main", *([f"--only={name}" for name in options.group])]
        text = output([
            POETRY, "export", f"--directory={file.parent}", "--format=requirements.txt",
            *(with_groups if options.dev else only), *extras,
        ])  # fmt: skip
        # Where the lock was made of another index, export names it; and folders of the project are not packages.
        lines = [line for line in text.splitlines() if not line.startswith(("-i ", "--index-url", "--extra-index-url"))]
        target.write_text("\n".join(line for line in lines if not re.search(r"@ file://|^-e ", line)) + "\n")
    return [target]


def poetry_groups(text: str) -> list[str]:
    """Return the groups that `poetry install` brings without being told: all but the optional ones.

    :param text: of pyproject.toml; the Python of an image may be too old to have tomllib.
    """
    names: list[str] = []
    optional: set[str] = set()
    for table in re.split(r"(?m)^\[", text):
        head, _, body = table.partition("]")
        group = re.fullmatch(r"tool\.poetry\.group\.([\w-]+)(\.dependencies)?", head)
        if group and group[2]:
            names.append(group[1])
        elif group and re.search(r"(?m)^optional\s*=\s*true", body):
            optional.add(group[1])
        elif head == "tool.poetry.dev-dependencies":
            names.append("dev")
        elif head == "dependency-groups":
            names += re.findall(r"(?m)^([\w-]+)\s*=", body)
    return [name for name in dict.fromkeys(names) if name not in optional]


def command(options: argparse.Namespace, into: Path) -> list[str]:
    """Return the line that installs the project's packages."""
    if options.format == "uv":
        groups = [f"--group={name}" for name in options.group]
        extras = [f"--extra={name}" for name in options.extra]
        return [
            UV, "sync", "--frozen", "--no-install-project", "--no-install-workspace", "--no-install-local",
            f"--project={Path(options.files[0]).parent}", *([] if options.dev else ["--no-dev"]), *groups, *extras,
        ]  # fmt: skip
    if options.format == "pyproject":
        constraints = [f"--constraint={file}" for file in options.files[1:] if file.endswith(".txt")]
        extras = [f"--extra={name}" for name in options.extra]
        groups = [f"--group={options.files[0]}:{name}" for name in options.group]
        return [UV, "pip", "install", f"--requirement={options.files[0]}", *extras, *groups, *constraints]
    hashed = ["--require-hashes"] if options.hashed else []
    return [UV, "pip", "install", *hashed, *(f"--requirement={file}" for file in exported(options, into))]


def not_fetched(text: str) -> str:
    """Return the address of a package that could not be fetched; "" when it is something else that failed."""
    found = re.search(r"Failed to fetch: `?([^\s`]+)", text)
    if not found and "Git operation failed" in text:
        found = re.search(r"git\+([a-z]+://[^\s`@]+)", text)
    return found[1] if found else ""


def failed_build(text: str) -> str:
    """Return the name of the package whose build has failed; "" when it is something else that failed."""
    found = re.search(r"Failed to (?:download and )?build `([^`=@ ]+)", text)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else ""


def required_uv(text: str) -> str:
    """Return the versions of uv that the project insists on; "" where it takes ours."""
    found = re.search(r"Required uv version `([^`]+)` does not match", text)
    return found[1] if found else ""


def other_patch(text: str) -> str:
    """Return the Python that the project insists on, where ours differs in its last number only; "" otherwise."""
    ours = rf"{sys.version_info[0]}\.{sys.version_info[1]}"
    missing = rf"No interpreter found for Python ({ours}\.\d+) in"
    found = re.search(rf"resolved to Python {ours}\.\d+, which is incompatible .*: `==({ours}\.\d+)`|{missing}", text)
    return (found[1] or found[2]) if found else ""


def by_export(sync: list[str], target: Path) -> list[str]:
    """Return the line that installs what `uv sync` would, and looks at no Python."""
    options = [word.replace("--no-install-", "--no-emit-") for word in sync[2:]]
    target.write_text(output([sync[0], "export", "--quiet", "--no-header", *options]))
    return [sync[0], "pip", "install", f"--requirement={target}"]


def own_uv(version: str) -> str:
    """Install another uv, apart from all else, and return its path."""
    folder = Path("/opt/uv-of-the-project")
    output([UV, "venv", "--quiet", "--python", str(shutil.which("python3")), str(folder)])
    output([UV, "pip", "install", "--quiet", f"--python={folder}", f"uv{version}"])
    return str(folder / "bin" / "uv")


def install(line: list[str], offered: list[str]) -> None:
    """Run a line that installs; when a build fails, bring in what it needs, and run it again.

    :param offered: Debian packages that the project's own files name.
    """
    before = system_packages.installed()
    constraints: list[str] = []
    known: set[str] = set()
    package = ""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "build.txt"
        for _ in range(ROUNDS):
            more = [f"--build-constraints={file}"] if constraints and "pip" in line else []
            # What is compiled stays out of the cache: a later build would take it from there, without a word of what it
            # was built with, and so could not measure the libraries that it needs.
            more += ["--no-cache"] if known else []
            done = run([*line, *more])
            if done.returncode == 0:
                break
            if version := required_uv(done.stdout):
                say(f"the project asks for uv {version}")
                line = [own_uv(version), *line[1:]]
                continue
            if line[1] == "sync" and (version := other_patch(done.stdout)):
                say(f"the project asks for Python {version}, which this nearly is: its lock is installed all the same")
                line = by_export(line, Path(folder) / "lock.txt")
                continue
            if "Git executable not found" in done.stdout and not shutil.which("git"):
                # Of a file that another names.
                system_packages.add(["git", "ca-certificates"])
                continue
            package = "" if not_fetched(done.stdout) else failed_build(done.stdout)
            old = [wanted for word, wanted in OLD_BUILDS if word in done.stdout and wanted not in constraints]
            needed = [] if old or not package else system_packages.to_build(package, done.stdout, offered, known)
            if old:
                constraints += old
                file.write_text("\n".join(constraints) + "\n")
                say(f"{package} is built with {old[0]}")
            elif needed:
                say(f"{package} has no wheel for this Python, and is built with: {' '.join(needed)}")
                known |= set(needed)
                system_packages.add(needed)
            else:
                explain(done.stdout, package)
        else:
            explain(done.stdout, package)
    if known:
        libraries = system_packages.libraries(VENV) - before
        write("debian.txt", sorted(libraries))


def explain(text: str, package: str) -> NoReturn:
    """End the build, with the cause."""
    header = re.search(r"fatal error: (\S+): No such file", text)
    tail = text.strip().splitlines()[-40:]
    if address := not_fetched(text):
        fail(*tail, "", f"{address} cannot be fetched: builds need a way there, or BUILD_UV_TOML a mirror")
    if package and header:
        fail(*tail, "", f"{package} has no wheel for this Python, and its build needs {header[1]}:",
             "name the Debian package that has it, by another --debian= where the Dockerfile runs this")  # fmt: skip
    if package:
        fail(*tail, "", f"{package} has no wheel for this Python, and could not be built")
    fail(*tail)


def write(name: str, lines: list[str]) -> None:
    NOTES.mkdir(parents=True, exist_ok=True)
    (NOTES / name).write_text("".join(f"{line}\n" for line in lines))


def freeze() -> list[str]:
    """Return what is installed, as name==version."""
    lines = output([UV, "pip", "freeze", "--quiet"]).splitlines()
    return [line for line in lines if line and not line.startswith("-e")]


def without_setuptools() -> str:
    """Return a module that cannot be imported, as pkg_resources of setuptools is in no package; "" otherwise."""
    for site in VENV.glob("lib/python*/site-packages"):
        if (site / "pkg_resources").exists():
            return ""
        for path in sorted(site.rglob("*.py")):
            # Not what is tried and done without, or imported only where it is called.
            if re.search(rb"(?m)^(?:import|from) pkg_resources\b", path.read_bytes()):
                return str(path.relative_to(site))
    return ""


def from_git(text: str) -> bool:
    """Tell whether a lock, or a list of requirements, has a package that git fetches."""
    return re.search(r"git\+|\bgit = \"|\"git\": \"", text) is not None


def theirs(options: argparse.Namespace) -> None:
    write("debian.txt", [])
    if not VENV.exists():
        output([UV, "venv", "--quiet", "--python", str(shutil.which("python3")), str(VENV)])
    if any(from_git(Path(file).read_text(errors="replace")) for file in options.files if Path(file).is_file()):
        system_packages.add(["git", "ca-certificates"])
    with tempfile.TemporaryDirectory() as folder:
        install(command(options, Path(folder)), options.debian)
    (VENV / ".lock").unlink(missing_ok=True)
    found = freeze()
    if not found:
        # The markers of a lock made for another Python leave out all of it, and that without a word.
        fail(
            f"nothing in {Path(options.files[0]).name} is for Python {sys.version.split()[0]}: set PYTHON_IMAGE in .env"
        )
    write("theirs.txt", found)
    has_setuptools = any(name(line) == "setuptools" for line in found)
    if not has_setuptools and (module := without_setuptools()):
        say(f"{module} imports pkg_resources, which came with every Python before 3.12: {SETUPTOOLS} is added")
        install([UV, "pip", "install", SETUPTOOLS], [])
    needed = system_packages.at_run_time({line.split("==")[0].split(" ")[0].lower() for line in found})
    write("debian.txt", sorted({*(NOTES / "debian.txt").read_text().split(), *needed}))


# --- Ours, and the project itself --------------------------------------------


def entries(text: str) -> dict[str, str]:
    """Return the entries of a lock with hashes, by the name of the package; of several for other Pythons, all."""
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=[A-Za-z0-9])", "\n" + text):
        name = re.match(r"\s*([A-Za-z0-9][\w.-]*?)(?:\[[^\]]*\])?==", entry)
        if name:
            key = re.sub(r"[-_.]+", "-", name[1]).lower()
            found[key] = f"{found[key]}\n{entry}" if key in found else entry
    return found


def problems() -> set[str]:
    """Return what `uv pip check` says of packages that do not fit together."""
    return {line.strip() for line in run([UV, "pip", "check"]).stdout.splitlines() if line.startswith("The package")}


def name(line: str) -> str:
    """Return the name of a package, in its canonical form, of a line as `uv pip freeze` prints it."""
    return re.sub(r"[-_.]+", "-", re.split(r"==| @ ", line)[0]).lower()


def asked_for(locked: dict[str, str]) -> list[str]:
    """Return what Berth itself asks for, of the entries of its lock: the others only came with it."""
    return [entry.strip().partition("==")[0] for entry in locked.values() if re.search(r"#\s+(?:via )?-r ", entry)]


def fitting(packages: list[str], theirs: list[str]) -> None:
    """Install packages in versions that fit beside the project's, which stay as they are."""
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder) / "theirs.txt"
        pinned.write_text("".join(f"{line}\n" for line in theirs if " @ " not in line))
        done = run([UV, "pip", "install", "--quiet", f"--constraint={pinned}", *packages])
    if done.returncode:
        refuse(done.stdout.strip().splitlines()[-10:], "ours.txt")


def refuse(conflicts: list[str], file: str) -> NoReturn:
    """End the build, because nothing of what Berth adds fits beside the project's packages."""
    fail(
        *conflicts,
        "The project's lock stays as it is, so Berth's package does not fit beside it:",
        f"relock the project with one that fits, or take the package out of {Path(file).name}",
    )


def ours(options: argparse.Namespace) -> None:
    before, unfit = freeze(), problems()
    there = {name(line) for line in before}
    missing = {key: entry for key, entry in entries(Path(options.file).read_text()).items() if key not in there}
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "ours.txt"
        lock.write_text("\n".join(missing.values()) + "\n")
        output([UV, "pip", "install", "--quiet", "--no-deps", "--require-hashes", f"--requirement={lock}"])
    conflicts = sorted(problems() - unfit)
    if conflicts:
        added = sorted({name(line) for line in freeze()} - there)
        say(f"{conflicts[0]}: what is added is resolved anew, to fit the project's lock")
        output([UV, "pip", "uninstall", "--quiet", *added])
        fitting(asked_for(missing), before)
        conflicts = sorted(problems() - unfit)
    (VENV / ".lock").unlink(missing_ok=True)
    after = freeze()
    changed = sorted(set(before) - set(after))
    if changed:
        fail(f"packages of the project's lock would change: {', '.join(changed)}")
    if conflicts:
        refuse(conflicts, options.file)
    names = " ".join(sorted(set(after) - set(before)))
    say(f"{len(before)} packages of the project, unchanged; added: {names or 'none'}")


def tree(options: argparse.Namespace) -> None:
    # Of a version that is read from git, which is no part of a build. Not for packages: theirs would be another one.
    os.environ["SETUPTOOLS_SCM_PRETEND_VERSION"] = "0.0.0"
    for folder in options.folders:
        if not any((Path(folder) / name).is_file() for name in ("pyproject.toml", "setup.py")):
            fail(f"{folder} has neither pyproject.toml nor setup.py, so it is no package")
        install([UV, "pip", "install", "--no-deps", f"--editable={folder}"], [])
    (VENV / ".lock").unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    first = steps.add_parser("theirs")
    first.add_argument("format", choices=["uv", "poetry", "pipenv", "requirements", "pyproject"])
    first.add_argument("--dev", action="store_true")
    first.add_argument("--hashed", action="store_true")
    for name in ("--group", "--extra", "--debian"):
        first.add_argument(name, action="append", default=[])
    first.add_argument("files", nargs="+")
    steps.add_parser("ours").add_argument("file")
    steps.add_parser("tree").add_argument("folders", nargs="+")
    options = parser.parse_args()
    {"theirs": theirs, "ours": ours, "tree": tree}[options.step](options)


if __name__ == "__main__":
    main()
