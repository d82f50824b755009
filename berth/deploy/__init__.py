"""Put a released image into service on a cluster. Nothing above knows which kind of cluster that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from invoke import Context

from berth.errors import Refused
from berth.nearest import did_you_mean

TARGETS = ("swarm", "kubernetes")


class Target(Protocol):
    """A cluster that runs one project. A verb shows the lines that it runs, and returns once the cluster has followed.

    All raise `Refused` with one message when something is wrong: what, where, and what to type.
    """

    def deploy(self, image: str | None = None, *, unsafe_migrations: bool = False) -> None:
        """Migrate the database by one job while the running version serves, then replace that one without downtime.

        :param image: a released image, by its whole name; None: that of the commit which is checked out.
        :param unsafe_migrations: apply migrations, too, that the running version cannot live with; else the job fails.
        :raises Refused: the job failed, and nothing was replaced; or the new version did not become healthy, and the
            cluster is back on the version before: the message ends with what the failed container said.
        """

    def status(self) -> None:
        """Show each service: its image, how many of its replicas are ready, and what the cluster says of the others."""

    def rollback(self) -> None:
        """Put the version before the running one back into service, without downtime; migrations stay applied.

        :raises Refused: there is none.
        """

    def scale(self, replicas: Mapping[str, int]) -> None:
        """Change how many replicas services have; a later `deploy` leaves it at that.

        :raises Refused: one of them is no service of the running version.
        """


def choose(c: Context, to: str, *, context: str | None = None) -> Target:
    """Return the cluster that ``to`` names.

    :param to: one of `TARGETS`.
    :param context: which of several clusters: a context of docker or kubectl by its name, or `ssh://USER@HOST` for an
        engine; None: the one in use.
    :raises Refused: ``to`` is none of them, `.env` is missing or has problems, or the cluster does not answer.
    """
    if to == "swarm":
        from berth.deploy.swarm.target import Swarm  # not at every start of `inv`

        return Swarm(c, context)
    if to == "kubernetes":
        from berth.deploy.kubernetes.target import Kubernetes

        return Kubernetes(c, context)
    raise Refused(f"Berth deploys to {' or '.join(TARGETS)}, not to `{to}`{did_you_mean(to, TARGETS)}")
