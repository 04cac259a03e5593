"""The last part of `fairlead run --deploy`: from a version to a tested endpoint.

Belongs here: whether it is deployed, by whom, and what is said. Does not: the deployment itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.cli.commands.deploy import waited
from fairlead.cli.live import see
from fairlead.cli.output import note
from fairlead.cli.steps import details_of

if TYPE_CHECKING:
    from fairlead.artifacts import Artifacts
    from fairlead.ledger.interface import Ledger
    from fairlead.records import Deployment, Version
    from fairlead.settings import Settings
    from fairlead.spec.document import Serve
    from fairlead.study.stop import StopRequest

_KEPT = "the version is registered; its deployment goes on once a server runs"
_TAKEN_IN = 3.0
"""Seconds in which a server that is there for this model takes a deployment up: it looks five times
a second."""


def land(  # noqa: PLR0913 - what, how, and who is told
    options: Settings,
    version: Version,
    serve: Serve,
    *,
    token: str | None,
    stop: StopRequest,
    warned: Callable[[str], None],
) -> Mapping[str, Any] | None:
    """Deploy the version, if it is the champion, and see its endpoint answer.

    A server that runs carries it out; where none does, one is started on a free port for as long
    as it takes.

    Args:
        options: Say where everything is.
        version: That came of the run.
        serve: The spec's settings.
        token: Lets us in, where the server wants one.
        stop: Heeded at once while waiting.
        warned: Told before anything happens what clients of the model are in for.

    Returns:
        deploy_details.json of what is live; None where the version is not the champion.

    Raises:
        Failed: It did not stay, or answers something else than it should.
        Stopped: It was asked to stop.
    """
    from fairlead.stores import open_stores

    with open_stores(options) as stores:
        ledger = stores.ledger
        champion = ledger.versions.champion(version.model)
        if champion is None or champion.number != version.number:
            note(_not_champion(version))
            return None
        landing = _Landing(
            ledger=ledger, artifacts=stores.artifacts, version=version, serve=serve, warned=warned
        )
        return landing.land(token, stop)


def _not_champion(version: Version) -> str:
    number, model = version.number, version.model
    return (
        f"not deployed: v{number} is not the champion (`fairlead promote {model} {number} --why "
        f"TEXT` makes it that, `fairlead deploy {model} --version {number}` deploys it anyway)"
    )


def offers(options: Settings, version: Version, serve: Serve) -> Iterator[str]:
    """How the version is brought into service, a line each; nothing where it is, or may not be.

    Args:
        options: Say where everything is.
        version: That came of the run.
        serve: The spec's settings.
    """
    from fairlead.ledger.store import open_ledger
    from fairlead.rollout.start import is_live, serve_settings

    with open_ledger(options.ledger_url) as ledger:
        champion = ledger.versions.champion(version.model)
        if champion is None or champion.number != version.number:
            return
        stored = serve_settings(ledger, version)
        if serve != stored:
            yield (
                f"the section `serve` differs from the one that v{version.number} was found with: "
                "it takes effect with `fairlead run SPEC --deploy`"
            )
        elif (route := ledger.routes.current(version.model)) is None:
            yield f"to serve it: fairlead serve {version.model}"
        elif not route.traffic:
            yield f"the model is out of service; to deploy it: fairlead deploy {version.model}"
        elif not is_live(ledger, version, stored):
            yield f"something else is live; to deploy it: fairlead deploy {version.model}"


@dataclass(frozen=True, kw_only=True)
class _Landing:
    """What is deployed, and with which settings."""

    ledger: Ledger
    artifacts: Artifacts
    version: Version
    serve: Serve
    warned: Callable[[str], None]

    def land(self, token: str | None, stop: StopRequest) -> Mapping[str, Any]:
        from fairlead.rollout.routes import current_route

        with self._served(token) as (deployment, urls, known), stop.at_once(_KEPT):
            if deployment is not None:
                waited(self.ledger, deployment)
            shut = see(self.ledger, self.artifacts, self.version.model, urls=urls, token=known)
            for line in shut:  # the server that carried it out has asked itself
                note(f"not asked from here: {line}")
        return details_of(self.artifacts, current_route(self.ledger, self.version.model))

    @contextmanager
    def _served(
        self, token: str | None
    ) -> Iterator[tuple[Deployment | None, Sequence[str], str | None]]:
        """The deployment, addresses at which it is carried out, and a token for them."""
        deployment = self._begun()
        urls = self._running(deployment)
        if urls:
            yield deployment, urls, token
            return
        if deployment is not None and len(deployment.steps) > 1:
            deployment = self._begin((100,))  # without a server, there is no traffic to judge it by
        with self._own() as (url, own):
            yield deployment, [url], own

    def _begun(self) -> Deployment | None:
        """The deployment; None where the version is live already."""
        from fairlead.rollout.routes import running_deployment
        from fairlead.rollout.start import deployment_warnings, is_live

        model = self.version.model
        if is_live(self.ledger, self.version, self.serve) and not running_deployment(
            self.ledger, model
        ):
            note(f"v{self.version.number} has all of the traffic already, with these settings")
            return None
        for line in deployment_warnings(self.ledger, self.artifacts, self.version, self.serve):
            self.warned(line)
        return self._begin(None)

    def _begin(self, steps: tuple[int, ...] | None) -> Deployment:
        from fairlead.rollout.start import start_deployment

        version = self.version
        return start_deployment(
            self.ledger,
            self.artifacts,
            version.model,
            version=version.number,
            steps=steps,
            serve=self.serve,
        )

    def _running(self, deployment: Deployment | None) -> Sequence[str]:
        """Of the servers that run, those that are there for this model."""
        from fairlead.rollout.wait import servers_of, wait_until_taken

        model, servers = self.version.model, self.ledger.servers.alive()
        if deployment is None:
            return [server.url for server in servers_of(self.ledger, model)]
        if not (servers and wait_until_taken(self.ledger, deployment, timeout=_TAKEN_IN)):
            return []
        by = self.ledger.deployments.get(model, deployment.number).server
        return [server.url for server in servers if server.id == by or model in server.routes]

    @contextmanager
    def _own(self) -> Iterator[tuple[str, str]]:
        """A server of our own, which lets in nobody else."""
        import secrets

        from fairlead.server.ephemeral_server import ephemeral_server
        from fairlead.server.supervisor import ServeOptions
        from fairlead.serving.http.guard import hashed
        from fairlead.serving.settings import Logging

        token = secrets.token_urlsafe()
        options = ServeOptions(
            models=(self.version.model,),
            port=0,
            processes=1,
            tokens=(hashed(token),),
            logging=Logging(level="warning"),
        )
        note("no server runs for this model: starting one for the test")
        with ephemeral_server(self.ledger, self.artifacts, options) as url:
            yield url, token
        note(f"stopped it; `fairlead serve {self.version.model}` serves the model")
