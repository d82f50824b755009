"""Write the compose blocks of servers that the example has not: Redis or Valkey, and RabbitMQ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from berth.init.plan import Plan, Service

HERE = Path(__file__).parent / "files"

HEALTH = """\
    healthcheck:
      test: [CMD, check-{kind}.sh]
      interval: 10s
      timeout: 5s
      retries: 5
      start_period: 60s
      start_interval: 250ms
"""
REDIS = """\
  {name}:
    image: ${{REDIS_IMAGE:-{image}}}
    labels: {{berth.role: redis}}
    init: true
    restart: unless-stopped
    # What upstream's entry point needs to give the volume to its user, and to become that user.
    cap_drop: [ALL]
    cap_add: [CHOWN, SETGID, SETUID]
    security_opt: ["no-new-privileges:true"]
    stop_grace_period: 20s
{comment}    command: [{command}]
    volumes:
{volume}      - ./{kind}/check-redis.sh:/usr/local/bin/check-redis.sh:ro
    ports:
      - {{target: 6379, published: "${{REDIS_PUBLISHED_PORT:-6379}}", host_ip: 127.0.0.1}}
"""
RABBITMQ = """\
  {name}:
    image: ${{RABBITMQ_IMAGE:-{image}}}
    labels: {{berth.role: rabbitmq}}
    # The folder of its data has the name of the host.
    hostname: {name}
    init: true
    restart: unless-stopped
    cap_drop: [ALL]
    cap_add: [CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID]
    security_opt: ["no-new-privileges:true"]
    stop_grace_period: 30s
    environment:
      # Read at the first start only; they are kept in the volume.
      RABBITMQ_DEFAULT_USER: ${{RABBITMQ_USER:-app}}
      RABBITMQ_DEFAULT_PASS: ${{RABBITMQ_PASSWORD:?set it in {env_file}, or type inv up}}
    volumes:
      - rabbitmq_data:/var/lib/rabbitmq
      - ./{kind}/check-rabbitmq.sh:/usr/local/bin/check-rabbitmq.sh:ro
    ports:
      - {{target: 5672, published: "${{RABBITMQ_PUBLISHED_PORT:-5672}}", host_ip: 127.0.0.1}}
"""
# Without a password: only the stack's own network and this machine reach it.
OPEN = ("--protected-mode", "no")
CACHE = ("--save", "", "--appendonly", "no", "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru")
QUEUE = ("--appendonly", "yes", "--maxmemory-policy", "noeviction")


def block(service: Service, plan: Plan) -> str:
    """Return the compose block of a service, indented by two spaces.

    :raises KeyError: the service is none of those of this module.
    """
    return _BLOCKS[service.kind](service, plan) + HEALTH.format(kind=service.kind)


def files(service: Service, plan: Plan) -> dict[str, str]:
    """Return the files that the service mounts, by path below the project's root."""
    name = f"check-{service.kind}.sh"
    return {plan.path(f"{service.kind}/{name}"): (HERE / name).read_text(encoding="utf-8")}


def paragraphs(service: Service, plan: Plan) -> dict[str, str]:
    """Return what `.env.template` says of the service, by section."""
    if service.kind == "redis":
        return {
            "Ports": "# Redis, for a local client.\n#: free port\n# REDIS_PUBLISHED_PORT=6379\n",
            "Images": f"# Redis or Valkey.\n# REDIS_IMAGE={service.image}\n",
        }
    return {
        "RabbitMQ": (
            "# User of the broker.\n# RABBITMQ_USER=app\n\n"
            "# Password of that user; the broker keeps the one of its first start.\n#: secret\nRABBITMQ_PASSWORD=\n"
        ),
        "Ports": "# RabbitMQ, for a local client.\n#: free port\n# RABBITMQ_PUBLISHED_PORT=5672\n",
        "Images": f"# RabbitMQ.\n# RABBITMQ_IMAGE={service.image}\n",
    }


def _redis(service: Service, plan: Plan) -> str:
    words = [*OPEN, *(CACHE if service.volatile else QUEUE)]
    kept = "# A cache: full, it forgets what is used least, and nothing outlives the container.\n"
    if not service.volatile:
        kept = "# Queues: each write is in the volume within a second, and nothing is thrown away for want of memory.\n"
    return REDIS.format(
        name=service.name,
        image=service.image,
        kind=service.kind,
        comment="    " + kept,
        command=", ".join(f'"{word}"' for word in words),
        volume="" if service.volatile else "      - redis_data:/data\n",
    )


def _rabbitmq(service: Service, plan: Plan) -> str:
    return RABBITMQ.format(name=service.name, image=service.image, kind=service.kind, env_file=plan.env_file)


_BLOCKS: dict[str, Callable[[Service, Plan], str]] = {"redis": _redis, "rabbitmq": _rabbitmq}
