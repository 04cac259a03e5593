"""Whether what was asked for has arrived where requests are answered.

Belongs here: waiting, bounded, for what servers do, and asking them their golden rows. Does not:
doing any of it (server/supervisor.py, server/executor.py), and comparing answers (smoke_test.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from fairlead.artifacts import Artifacts
from fairlead.errors import Failed
from fairlead.ledger.interface import Ledger
from fairlead.records import Deployment, Route, Server
from fairlead.registry.registry import Registry
from fairlead.rollout.routes import live
from fairlead.rollout.smoke_test import Address, Answered, ask, expected
from fairlead.rollout.traffic_split import out_of_service
from fairlead.serving.proof import Golden

_EVERY = 0.1
"""Seconds between two looks at the ledger, which cost it nothing."""


def end(
    ledger: Ledger,
    deployment: Deployment,
    *,
    told: Callable[[Deployment], None],
    untaken: float = 15.0,
    limit: float = float("inf"),
) -> Deployment:
    """Wait until the deployment has ended.

    Args:
        ledger: Looked at.
        deployment: It.
        told: Told at each look how it is.
        untaken: Seconds that nobody may carry it out.
        limit: Seconds to wait at most.

    Returns:
        The deployment as it ended, well or not.

    Raises:
        Failed: For so long no server carried it out, or it did not end; it goes on by itself.
    """
    began = heard = time.monotonic()
    while True:
        now = ledger.deployments.get(deployment.model, deployment.number)
        told(now)
        if now.state != "running":
            return now
        if _is_carried_out(ledger, now):
            heard = time.monotonic()
        if time.monotonic() - heard > untaken:
            raise Failed(_not_carried_out(now, untaken))
        if time.monotonic() - began > limit:
            raise Failed(_not_ended(now, limit))
        time.sleep(_EVERY)


def taken(ledger: Ledger, deployment: Deployment, *, seconds: float) -> bool:
    """Wait until a server carries the deployment out, or it has ended.

    Args:
        ledger: Looked at.
        deployment: It.
        seconds: To wait at most.

    Returns:
        False where none does by then.
    """
    until = time.monotonic() + seconds
    while True:
        now = ledger.deployments.get(deployment.model, deployment.number)
        if now.state != "running" or _is_carried_out(ledger, now):
            return True
        if time.monotonic() > until:
            return False
        time.sleep(_EVERY)


def followers(ledger: Ledger, model: str) -> Sequence[Server]:
    """The servers that are alive and answer for the model, once it has a route."""
    return [server for server in ledger.servers.alive() if server.serves(model)]


def following(ledger: Ledger, route: Route) -> Sequence[Server]:
    """Those of them that follow the route, or a later one."""
    return [each for each in followers(ledger, route.model) if _follows(each, route)]


def arrived(ledger: Ledger, model: str) -> Collection[str]:
    """Ids of the servers that follow the route in force; none before the first."""
    route = ledger.routes.current(model)
    return {each.id for each in following(ledger, route)} if route else set()


def behind(ledger: Ledger, route: Route, *, seconds: float) -> Sequence[Server]:
    """Wait until every server follows the route, or a later one.

    Args:
        ledger: Looked at.
        route: It.
        seconds: To wait at most.

    Returns:
        Those that do not by then.
    """
    until = time.monotonic() + seconds
    while True:
        late = [each for each in followers(ledger, route.model) if not _follows(each, route)]
        if not late or time.monotonic() > until:
            return late
        time.sleep(_EVERY)


def goldens(ledger: Ledger, artifacts: Artifacts, route: Route) -> Mapping[str, Golden]:
    """The golden rows of each revision of the route, by its name."""
    registry = Registry(ledger, artifacts)
    versions = {each.name: each.version for each in ledger.routes.revisions(route.model)}
    return {
        name: expected(registry.candidate(registry.version(route.model, versions[name])), artifacts)
        for name in route.traffic
    }


def ask_live(ledger: Ledger, artifacts: Artifacts, model: str, address: Address) -> Answered:
    """Ask the golden rows of what is live.

    Args:
        ledger: Says what is.
        artifacts: Have the rows.
        model: Name of the model.
        address: To ask at.

    Raises:
        NotFound: Nothing of the model was deployed.
        Failed: It is out of service.
        Unreachable: It did not answer.
        Invalid: The address is none, or the token is not taken.
    """
    route = in_service(ledger, model)
    while True:
        answered = ask(address, model, goldens(ledger, artifacts, route))
        now = in_service(ledger, model)
        if not answered.difference or now.number == route.number:
            return answered
        behind(ledger, now, seconds=_EVERY)
        route = now  # it changed under the test: what was wrong may have been right


def in_service(ledger: Ledger, model: str) -> Route:
    """The route in force, which has traffic.

    Raises:
        NotFound: Nothing of the model was deployed.
        Failed: It is out of service.
    """
    route = live(ledger, model)
    if gone := out_of_service(route):
        raise Failed(
            f"testing {model!r}: nothing of it is live: it is {gone}; `fairlead undo {model} --why "
            f"TEXT` gives the traffic back, `fairlead deploy {model}` brings a version in"
        )
    return route


def _follows(server: Server, route: Route) -> bool:
    return server.routes.get(route.model, 0) >= route.number


def _is_carried_out(ledger: Ledger, deployment: Deployment) -> bool:
    return any(server.id == deployment.server for server in ledger.servers.alive())


def _not_ended(deployment: Deployment, seconds: float) -> str:
    waits = f" ({deployment.reason})" if deployment.reason else ""
    return (
        f"deploying {deployment.revision} of {deployment.model!r}: it has not ended after "
        f"{seconds:g} s{waits}; it goes on by itself: `fairlead route {deployment.model}` shows "
        f"how far it is, and `fairlead undo {deployment.model} --why TEXT` ends it"
    )


def _not_carried_out(deployment: Deployment, seconds: float) -> str:
    return (
        f"deploying {deployment.revision} of {deployment.model!r}: for {seconds:g} s no server has "
        f"carried it out; it goes on once `fairlead serve` runs for this model, and "
        f"`fairlead undo {deployment.model} --why TEXT` ends it"
    )
