"""Write the stages of a project's Dockerfile."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from berth.init.plan import CODE, Plan

# Shared, as uv and pip allow: a build that waits for another one's compiler would seem to hang.
# Under a name of its own, as other Dockerfiles' caches may hold packages that were compiled there.
CACHE = "--mount=type=cache,id=berth-packages,target=/root/.cache"
SECRETS = "--mount=type=secret,id=ca_bundle --mount=type=secret,id=uv_toml,target=/etc/uv/uv.toml"
# Gone with the command; of a cache of apt's all builds on a machine would have to wait for each other.
APT = "--mount=type=tmpfs,target=/var/cache/apt --mount=type=tmpfs,target=/var/lib/apt/lists"
LIBRARY = "/usr/local/lib/berth"
NOT_AT_RUN_TIME = re.compile(
    r".*-dev$|build-essential$|gcc|g\+\+|make$|cmake$|pkg-?config|cargo$|rustc$|swig$|python3?($|-|\.)|pip$|curl$|wget$|gnupg"
    r"|ca-certificates$|apt-|lsb-release$|software-properties|vim|nano$|less$|htop$|screen$|sudo$|tini$|dumb-init$|gosu$"
    r"|nginx|supervisor$|nodejs|npm$|yarn|redis|valkey|memcached$|rabbitmq|postgresql($|-\d+$|-common$|-contrib)"
    r"|netcat|iputils|procps$|zsh$|bash$|unzip$|xz-utils$|locales$|libnss-unknown$"
)
"""What a Dockerfile installs to build, to download, or to run another server: no code of the project asks for it."""


def dockerfile(plan: Plan) -> str:
    """Return the Dockerfile."""
    stages = [_head(plan), _base(plan), _installer(plan)]
    stages += [_packages(plan, name) for name in _sets(plan)]
    stages += [_run_time(plan, name) for name in _sets(plan)]
    stages += [_code(plan), _scripts(plan), _dev(plan), _prod(plan)]
    return "\n\n\n".join(stage.strip() for stage in stages) + "\n"


def has_celery(plan: Plan) -> bool:
    """Tell whether Celery runs, its workers or its scheduler."""
    return any(worker.kind in {"celery", "beat"} for worker in plan.workers)


def has_fast_sqs(plan: Plan) -> bool:
    """Tell whether Celery workers take their messages from SQS."""
    return has_celery(plan) and plan.service("sqs") is not None


def _sets(plan: Plan) -> tuple[str, ...]:
    """Return the sets of packages that are installed: one, where the project does not tell development's apart."""
    install = plan.install
    apart = install.format in {"uv", "poetry", "pipenv"} or bool(install.dev_files)
    return ("prod", "dev") if apart else ("prod",)


def _head(plan: Plan) -> str:
    return f"""
# The images of {plan.name}: `dev` holds its packages and tools, its code is mounted; `prod` holds all that is served.
#
#   PYTHON_IMAGE ── base ── installer ── packages ── run-time ── code ──► dev, prod
#
# The project's packages come from its own lock, by its own tool; install_packages.py builds what has no wheel, in a
# stage that no image keeps. There is no `# syntax=` line: it would pull an image.
ARG PYTHON_IMAGE=python:{plan.python}-slim-trixie
"""


def _base(plan: Plan) -> str:
    paths = ":".join(str(CODE / folder) for folder in dict.fromkeys((plan.django, *plan.import_paths)))
    return f"""
FROM ${{PYTHON_IMAGE}} AS base
# Numeric ids, so that `runAsNonRoot` can check them; groupadd, as Debian 13's images hold no adduser.
RUN groupadd --gid 10001 web \\
    && useradd --uid 10001 --gid web --home-dir /home/web --create-home --shell /bin/bash web \\
    && chmod 0755 /home/web
# Gives any user id a name and a home: the image runs as whoever owns the checkout, without an id built into it.
RUN {APT} \\
    apt-get -qq update \\
    && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends libnss-unknown >/dev/null
# Nothing written next to the code, and every line in the container's log at once.
ENV PYTHONDONTWRITEBYTECODE=1 \\
    PYTHONUNBUFFERED=1 \\
    PYTHONPATH={paths} \\
    HOME=/home/web \\
    PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR {plan.workdir}
ENTRYPOINT ["entrypoint.sh"]
"""


def _installer(plan: Plan) -> str:
    here = plan.path("app")
    text = f"""
FROM base AS installer
# A virtualenv at a fixed path outside the bind mount: the same in every image, and no mount hides it.
COPY {here}/build.txt /build/
COPY --chmod=0755 {here}/install-requirements.sh /usr/local/bin/
RUN {CACHE} \\
    --mount=type=secret,id=ca_bundle --mount=type=secret,id=pip_conf,target=/etc/pip.conf \\
    HOME=/root install-requirements.sh --bootstrap /build/build.txt
"""
    if plan.install.format == "poetry":
        text += f"""
# Poetry only says what its lock says; apart from the project's packages.
COPY {here}/poetry.txt /build/
RUN {CACHE} {SECRETS} \\
    export HOME=/root && if [ -s /run/secrets/ca_bundle ]; then export SSL_CERT_FILE=/run/secrets/ca_bundle; fi \\
    && /opt/uv/bin/uv venv --quiet --python "$(command -v python3)" /opt/poetry \\
    && /opt/uv/bin/uv pip install --quiet --python /opt/poetry --require-hashes --requirement /build/poetry.txt
"""
    return text.rstrip() + f"\nCOPY {here}/install_packages.py {here}/system_packages.py {LIBRARY}/\n"


def _packages(plan: Plan, name: str) -> str:
    """Return the stage that installs a set of packages: theirs, then ours, then the project itself."""
    lines = [f"FROM installer AS packages-{name}"]
    lines += ["# What the lock is read from, each at its place below /requirements."]
    folders: dict[str, list[str]] = {}
    for file in dict.fromkeys([*plan.install.files, *(plan.install.dev_files if name == "dev" else ())]):
        folders.setdefault(file.rpartition("/")[0], []).append(file)
    lines += [
        f"COPY {_json([*found, f'/requirements/{folder}/'.replace('//', '/')])}" for folder, found in folders.items()
    ]
    lines += [f"RUN {CACHE} {APT} {SECRETS} \\", f"    {_theirs(plan, name)}"]
    if plan.install.ours or has_celery(plan):
        lines += [
            f"COPY {plan.path('app/ours.txt')} /build/",
            f"RUN {CACHE} {SECRETS} \\",
            f"    python3 {LIBRARY}/install_packages.py ours /build/ours.txt",
        ]
    if plan.install.installs_tree:
        folder = CODE / plan.install.folder
        lines += [
            "# The project is a package itself: what is left of it here is a link to the code, as of `pip install -e`.",
            f"RUN {CACHE} {SECRETS} \\",
            f"    --mount=type=bind,source=.,target={CODE},rw \\",
            f"    python3 {LIBRARY}/install_packages.py tree {folder}",
        ]
    return "\n".join(lines)


def _theirs(plan: Plan, name: str) -> str:
    install = plan.install
    words = ["python3", f"{LIBRARY}/install_packages.py", "theirs", install.format]
    words += ["--dev"] if name == "dev" else []
    words += ["--hashed"] if install.hashed else []
    words += [f"--group={group}" for group in install.groups] + [f"--extra={extra}" for extra in install.extras]
    words += [f"--debian={package}" for package in plan.debian if package.endswith("-dev")]
    chosen: Iterable[str] = install.files
    if install.format == "requirements":
        chosen = [install.files[0], *(install.dev_files[:1] if name == "dev" else ())]
    return " ".join([shlex.quote(word) for word in [*words, *(f"/requirements/{file}" for file in chosen)]])


def _run_time(plan: Plan, name: str) -> str:
    wanted = [package for package in plan.debian if not NOT_AT_RUN_TIME.match(package)]
    return f"""
FROM base AS run-time-{name}
# What the project's own files install, and what its packages were found to need.
ARG DEBIAN_PACKAGES="{" ".join(wanted)}"
COPY {plan.path("app/system_packages.py")} {LIBRARY}/
RUN {APT} \\
    --mount=type=bind,from=packages-{name},source=/opt/packages,target=/opt/packages \\
    python3 {LIBRARY}/system_packages.py add $DEBIAN_PACKAGES $(cat /opt/packages/debian.txt)
COPY --link --from=packages-{name} /opt/venv /opt/venv
"""


def _code(plan: Plan) -> str:
    text = f"""
# What is shipped of the project: its code, and the static files that its settings collect.
FROM run-time-prod AS code
# Root's, and readable whatever the umask of the checkout: the user `web` cannot change a byte of it.
COPY --link --chmod=0755 . {CODE}
RUN rm -rf {CODE}/{plan.folder} && mkdir -p /home/web/static
"""
    if not plan.static_root:
        return text
    values = {"DJANGO_SETTINGS_MODULE": "${PROD_SETTINGS_MODULE}", "STATIC_ROOT": "/home/web/static"}
    if plan.configuration:
        values["DJANGO_CONFIGURATION"] = plan.configuration
    if plan.prod_settings == plan.settings and plan.base_settings:
        # What berth_settings.py reads.
        values |= dict.fromkeys(("DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD"), "none")
    placeholders = {each.name: each.build for each in plan.variables if each.build is not None}
    words = [f'{name}="{value}"' for name, value in values.items()]
    words += [f"{name}={shlex.quote(value)}" for name, value in placeholders.items() if name not in values]
    lines = " \\\n    ".join(words)
    return f"""{text}ARG PROD_SETTINGS_MODULE={plan.prod_settings}
COPY {plan.path("app/collect_static.py")} /
COPY --from=packages-prod /opt/packages/theirs.txt /prod.txt
# Placeholders for what settings may insist on, for this one command: none is left in an image.
RUN --mount=type=cache,target=/var/cache/static,sharing=locked \\
    env {lines} \\
    python /collect_static.py
"""


def _scripts(plan: Plan) -> str:
    here = plan.path("app")
    text = f"""
FROM scratch AS scripts
COPY --chmod=0755 {here}/*.sh /usr/local/bin/
COPY --chmod=0755 {here}/wait_for_database.py /usr/local/bin/wait-for-database
COPY --chmod=0755 {here}/check_migrations.py /usr/local/bin/check-migrations
COPY --chmod=0755 {here}/smoke_test.py /usr/local/bin/smoke-test
COPY {here}/gunicorn.conf.py /usr/local/etc/
"""
    text += f"COPY {here}/berth_telemetry.py {LIBRARY}/\n"
    text += f"COPY {here}/berth_beat.py {here}/berth_worker.py {LIBRARY}/\n" * has_celery(plan)
    return text + f"COPY {here}/fast_sqs {LIBRARY}/fast_sqs\n" * has_fast_sqs(plan)


def _dev(plan: Plan) -> str:
    here = plan.path("app")
    reload = f"\nCOPY --link --chmod=0755 {here}/reload_on_edit.py /usr/local/bin/reload-on-edit" * has_celery(plan)
    return f"""
FROM run-time-{_sets(plan)[-1]} AS dev
RUN chmod 1777 /home/web
COPY --link --from=scripts / /
COPY --link --chmod=0755 {here}/reload_on_request.py /usr/local/bin/reload-on-request{reload}
USER 10001:10001
CMD ["start-dev-server.sh"]
"""


def _prod(plan: Plan) -> str:
    served = f"ASGI_MODULE={plan.asgi}" if plan.serve_asgi else f"WSGI_MODULE={plan.wsgi or plan.asgi}"
    configuration = f"\n    DJANGO_CONFIGURATION={plan.configuration} \\" * bool(plan.configuration)
    return f"""
FROM run-time-prod AS prod
COPY --link --from=scripts / /
# Where settings read STATIC_ROOT, their static files are.
ENV STATIC_ROOT=/home/web/static \\
    DJANGO_SETTINGS_MODULE={plan.prod_settings} \\{configuration}
    {served}
COPY --link --from=code /home/web/static /home/web/static
COPY --link --from=code {CODE} {CODE}
# What `inv build --prod` and `inv release` know of the commit. Behind all files, which do not depend on it.
ARG REVISION=unknown
ARG VERSION=
ARG CREATED=
ARG SOURCE=
LABEL org.opencontainers.image.title={shlex.quote(plan.name)} \\
      org.opencontainers.image.revision="${{REVISION}}" \\
      org.opencontainers.image.version="${{VERSION}}" \\
      org.opencontainers.image.created="${{CREATED}}" \\
      org.opencontainers.image.source="${{SOURCE}}"
USER 10001:10001
CMD ["start-prod-server.sh"]


FROM prod AS test
COPY --link --from=run-time-{_sets(plan)[-1]} /opt/venv /opt/venv
CMD ["pytest"]
"""


def _json(words: list[str]) -> str:
    """Return words in the form that allows spaces in them."""
    return "[" + ", ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words) + "]"
