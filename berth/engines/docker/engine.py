"""Run the services in containers: every line is one of `docker compose`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from subprocess import CompletedProcess

from invoke import Context

from berth import process
from berth.compose import config, lines, ps
from berth.compose.config import Stack
from berth.compose.ps import Container
from berth.engines.docker import client, explain, images, mark
from berth.engines.docker import lines as docker
from berth.env import prepare
from berth.errors import Refused
from berth.project import Project
from berth.stdio import OURS, Stdio


class Docker:
    """See `berth.engines.Engine`.

    :param variables: what stands in front of every line, above `.env`.
    """

    def __init__(self, c: Context, here: Project, variables: Mapping[str, str] | None = None) -> None:
        self.c = c
        self.here = here
        self._variables = variables or {}

    def under(self, variables: Mapping[str, str]) -> Docker:
        """Return an engine for the same project with other ``variables``."""
        return Docker(self.c, self.here, variables)

    def stack(self) -> Stack:
        return self._stack

    @cached_property
    def _stack(self) -> Stack:
        answer = self._capture(lines.config_json())
        if answer.returncode != 0:
            client.check(self.c, self.here, thoroughly=True)
            raise Refused(answer.stderr.strip(), code=answer.returncode)
        return Stack(answer.stdout)

    def containers(self) -> list[Container]:
        answer = self._capture(lines.ps_json())
        if answer.returncode != 0:
            raise Refused(answer.stderr.strip(), code=answer.returncode)
        return ps.containers(answer.stdout)

    def address(self, service: str) -> str:
        """Return where the first port of ``service`` is published now, as `host:port`."""
        (first, *_) = self._stack.definition(service)["ports"]
        return self._capture(lines.port(service, first["target"])).stdout.strip()

    def config(self) -> None:
        self._run(lines.config())

    def build(self, names: Sequence[str], *, no_cache: bool = False, pull: bool = False) -> None:
        self._stack.check(names)
        self._explained(lines.build(names, no_cache=no_cache, pull=pull))
        self._remember_images(built=True)

    def tag(self, service: str, tag: str) -> None:
        """Give the image of ``service`` another tag."""
        image = str(self._stack.definition(service)["image"])
        process.run(self.c, docker.tag(image, f"{image.rpartition(':')[0]}:{tag}"), cwd=self.here.root)

    def up(self, names: Sequence[str], *, build: bool = False, wait: bool = True) -> None:
        self._stack.check(names)
        self._refuse_foreign_containers()
        if builders := [one for one in self._stack.builders(names) if build or not self._has_image(one)]:
            self._explained(lines.build(builders))
        self._explained(lines.up(names, build=build, wait=wait))
        if not self._variables and not self.c.config.run.dry:
            mark.write(self.here, self._stack.project_name)
        self._remember_images(built=build or bool(builders))

    def stop(self, names: Sequence[str], *, yes: bool = False) -> None:
        self._on(lines.stop(names), names)

    def stop_one(self, container: str) -> None:
        """Stop one of the containers of a service, as a deployment does.

        :raises Refused: docker cannot.
        """
        # docker prints the name once more, among what the task itself prints.
        line = docker.stop(container)
        print(f"+ {process.line(line, cwd=self.here.root)}", file=sys.stderr, flush=True)
        answer = process.capture(self.c, line, cwd=self.here.root)
        if answer.returncode != 0:
            raise Refused(answer.stderr.strip(), code=answer.returncode)

    def leave(self, names: Sequence[str]) -> None:
        self.stop(names)

    def restart(self, names: Sequence[str], *, yes: bool = False) -> None:
        self._on(lines.restart(names), names)

    def down(self, *, volumes: bool = False, yes: bool = False) -> None:
        self._on(lines.down(volumes=volumes))

    def logs(self, names: Sequence[str], *, follow: bool = False, tail: str | None = None) -> None:
        self._on(lines.logs(names, follow=follow, tail=tail), names)

    def said(self, names: Sequence[str]) -> str:
        """Return what the services have printed."""
        return self._capture(lines.logs(names)).stdout

    def ps(self, names: Sequence[str]) -> None:
        self._on(lines.ps(names), names)

    def exec(self, service: str, command: Sequence[str], *, user: str | None = None, stdio: Stdio = OURS) -> None:
        self._check(service)
        self._refuse_foreign_containers()
        token = os.urandom(4).hex()

        def relay(signal: str) -> list[str]:
            return lines.signal_exec(service, mark=token, signal=signal, user=user)

        line = lines.exec_(service, command, terminal=process.is_terminal() and stdio == OURS, user=user, mark=token)
        process.run(self.c, line, cwd=self.here.root, env=self._variables, relay=relay, stdio=stdio)

    def read(self, service: str, command: Sequence[str]) -> CompletedProcess[str]:
        return self._capture(lines.exec_(service, command, terminal=False))

    def read_alone(self, service: str, command: Sequence[str]) -> CompletedProcess[str]:
        """Run a command as a service that need not run, to read its output; nothing else is started."""
        return self._capture(lines.run(service, command, terminal=False, dependencies=False))

    def free_volume(self, name: str) -> str:
        """Return ``name``, or with a number behind it, so that this project has no such volume yet."""
        answer = process.capture(self.c, docker.volumes(), cwd=self.here.root)
        taken = set(answer.stdout.split())
        numbered = [name, *(f"{name}-{number}" for number in range(2, len(taken) + 3))]
        return next(one for one in numbered if f"{self._stack.project_name}_{one}" not in taken)

    def run(self, service: str, command: Sequence[str], *, user: str | None = None, mounts: Sequence[str] = ()) -> None:
        terminal = process.is_terminal()
        self._on(lines.run(service, command, terminal=terminal, user=user, volumes=mounts, dependencies=False))

    def _on(self, line: Sequence[str], names: Sequence[str] = ()) -> None:
        """Run a line that is about our own containers."""
        self._check(*names)
        self._refuse_foreign_containers()
        self._run(line)

    def _run(self, line: Sequence[str], *, check: bool = True) -> int:
        return process.run(self.c, line, cwd=self.here.root, env=self._variables, check=check)

    def _capture(self, line: Sequence[str]) -> CompletedProcess[str]:
        return process.capture(self.c, line, cwd=self.here.root, env=self._variables)

    def _explained(self, line: Sequence[str]) -> None:
        """Run a line that builds or starts.

        :raises Refused: it failed: the message says why, unless somebody typed Ctrl-C.
        """
        code = self._run(line, check=False)
        if code == process.INTERRUPTED:
            raise Refused("", code=code)
        if code != 0:
            why = explain.failure(self.c, self.here, self._stack, self._variables)
            if why.in_vain:
                self._run(lines.stop(), check=False)
            raise Refused(why.text, code=code)

    def _check(self, *names: str) -> None:
        """Make sure that services of these names are there, without asking Compose where its files plainly have them.

        :raises Refused: Compose refuses the files, or one of ``names`` is no service.
        """
        files = (self.here.root / file for file in prepare.compose_files(self.here))
        texts = [file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()]
        if not all(any(config.mentions(text, name) for text in texts) for name in names):
            self._stack.check(names)

    def _refuse_foreign_containers(self) -> None:
        """:raises Refused: the containers of this name belong to another checkout, whose `.env` was copied."""
        name = prepare.value(self.here, "COMPOSE_PROJECT_NAME")
        # Where ours ran under that name nothing has to be asked.
        if self._variables or mark.read(self.here) == name:
            return
        folder = (self.here.root / prepare.compose_files(self.here)[0]).parent.resolve()
        if other := client.foreign_folder(self.c, self.here, name, folder):
            raise Refused(
                f"the containers of the project `{name}` belong to another checkout, in {other}, whose .env was copied "
                f"here: type `{self.here.command()} env.separate`, which gives this one a name and ports of its own"
            )

    def _has_image(self, service: str) -> bool:
        return self._capture(docker.image_id(str(self._stack.definition(service)["image"]))).returncode == 0

    def _remember_images(self, *, built: bool) -> None:
        """Remember what the images were built from, and say which of them are older than that by now."""
        if self.c.config.run.dry:
            return
        for service in self._stack.built():
            image = str(self._stack.definition(service)["image"])
            answer = self._capture(docker.image_id(image))
            if answer.returncode != 0:
                continue  # another service was asked for
            key, files = answer.stdout.strip(), images.sources(self.here, self._stack, service)
            images.remember(self.here, image, key, files, built=built)
            if changed := images.changed(self.here, image, key, files):
                again = f"{self.here.command()} up --build"
                print(f"the image {image} is older than {_listed(changed)}: type `{again}`", file=sys.stderr)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} other files"
