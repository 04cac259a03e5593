"""The last part of `fairlead run --deploy`: from a version to a tested endpoint.

Belongs here: whether it is deployed, by whom, and what is said. Does not: the deployment itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fairlead.cli.deploy import waited
from fairlead.cli.live import asked, passed, refuse_difference
from fairlead.cli.output import note
from fairlead.cli.steps import details_of

if TYPE_CHECKING:
    from fairlead.artifacts import Artifacts
    from fairlead.ledger.ledger import Ledger
    from fairlead.records import Deployment, Version
    from fairlead.settings import Settings
    from fairlead.spec.document import Serve

_TAKEN_IN = 3.0
"""Seconds in which a server that is there for this model takes a deployment up: it looks five times
a second."""


def land(options: Settings, version: Version, serve: Serve, *, token: str | None) -> Any:
    """Deploy the version, if it is the champion, and see its endpoint answer.

    A server that runs carries it out; where none does, one is started on a free port for as long
    as it takes.

    Args:
        options: Say where everything is.
        version: That came of the run.
        serve: The spec's settings.
        token: Lets us in, where the server wants one.

    Returns:
        deploy_details.json of what is live; None where the version is not the champion.

    Raises:
        Failed: It did not stay, or answers something else than it should.
    """
    from fairlead.artifacts import Artifacts
    from fairlead.ledger.sql import open_ledger

    with open_ledger(options.ledger) as ledger:
        champion = ledger.versions.champion(version.model)
        if champion is None or champion.number != version.number:
            note(f"not deployed: v{version.number} is not the champion")
            return None
        return _Landing(ledger, Artifacts(options.artifacts), version, token).land(serve)


class _Landing:
    def __init__(
        self, ledger: Ledger, artifacts: Artifacts, version: Version, token: str | None
    ) -> None:
        self._ledger = ledger
        self._artifacts = artifacts
        self._version = version
        self._token = token

    def land(self, serve: Serve) -> Mapping[str, Any]:
        from fairlead.deployment.changes import live

        deployment = self._begun(serve)
        with self._served(deployment) as (urls, token):
            if deployment is not None:
                waited(self._ledger, deployment)
            for url in urls:
                self._see(url, token)
        return details_of(self._artifacts, live(self._ledger, self._version.model))

    def _begun(self, serve: Serve) -> Deployment | None:
        """The deployment; None where the version is live already."""
        from fairlead.deployment.begin import begin, is_live
        from fairlead.deployment.changes import running

        model, number = self._version.model, self._version.number
        if is_live(self._ledger, self._version, serve) and not running(self._ledger, model):
            note(f"v{number} has all of the traffic already")
            return None
        return begin(self._ledger, self._artifacts, model, version=number, serve=serve)

    @contextmanager
    def _served(self, deployment: Deployment | None) -> Iterator[tuple[list[str], str | None]]:
        """Addresses at which the model is served or will be, and a token for them."""
        urls = self._running(deployment)
        if urls:
            yield urls, self._token
            return
        with self._own() as own:
            yield own

    def _running(self, deployment: Deployment | None) -> list[str]:
        """Of the servers that run, those that are there for this model."""
        from fairlead.deployment.arrival import followers, taken

        model, servers = self._version.model, self._ledger.servers.alive()
        if deployment is None:
            return [server.url for server in followers(self._ledger, model)]
        if not (servers and taken(self._ledger, deployment, seconds=_TAKEN_IN)):
            return []
        by = self._ledger.deployments.get(model, deployment.number).server
        return [server.url for server in servers if server.id == by or model in server.routes]

    @contextmanager
    def _own(self) -> Iterator[tuple[list[str], str]]:
        """A server of our own, which lets in nobody else."""
        import secrets

        from fairlead.deployment.alone import alone
        from fairlead.deployment.supervisor import ServeOptions
        from fairlead.serving.http.tokens import hashed
        from fairlead.serving.process import Logging

        token = secrets.token_urlsafe()
        options = ServeOptions(
            models=(self._version.model,),
            port=0,
            processes=1,
            tokens=(hashed(token),),
            logging=Logging(level="warning"),
        )
        note("no server runs for this model: starting one for the test")
        with alone(self._ledger, self._artifacts, options) as url:
            yield [url], token
        note(f"stopped it; `fairlead serve {self._version.model}` serves the model")

    def _see(self, url: str, token: str | None) -> None:
        answered = asked(self._ledger, self._artifacts, self._version.model, url=url, token=token)
        refuse_difference(answered, self._version.model, url)
        note(passed(answered, url))
