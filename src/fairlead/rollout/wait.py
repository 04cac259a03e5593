"""Waiting, with a limit, until what was asked for has reached the servers.

Servers say in the ledger which deployments they carry out and which route all of their processes
follow. So waiting is looking at the ledger again and again; only the smoke test of the live route
talks to a server, as any client does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from fairlead.errors import Failed, NextStep
from fairlead.ledger.interface import Ledger
from fairlead.records import Deployment, Route, Server
from fairlead.registry.registry import Registry
from fairlead.rollout.routes import current_route
from fairlead.rollout.smoke_test import Endpoint, SmokeTestResult, golden_rows, smoke_test
from fairlead.rollout.traffic_split import out_of_service_reason
from fairlead.serving.proof import Golden
from fairlead.stores import Stores

_PERIOD = 0.1
"""Seconds between two looks at the ledger, which cost it nothing."""


def wait_until_ended(
    ledger: Ledger,
    deployment: Deployment,
    *,
    on_look: Callable[[Deployment], None],
    unclaimed_timeout: float = 15.0,
    timeout: float = float("inf"),
) -> Deployment:
    """Wait until the deployment has ended.

    Args:
        ledger: Where it is.
        deployment: To wait for.
        on_look: Called at each look with the deployment as it is.
        unclaimed_timeout: Seconds for which no server may carry it out.
        timeout: Seconds to wait at most.

    Returns:
        The deployment as it ended, done or not.

    Raises:
        Failed: No server carried it out for that long, or it did not end; it goes on by itself.
    """
    claimed = time.monotonic()
    for _ in _looks(timeout):
        now = ledger.deployments.get(deployment.model, deployment.number)
        on_look(now)
        if now.state != "running":
            return now
        if _is_carried_out(ledger, now):
            claimed = time.monotonic()
        if time.monotonic() - claimed > unclaimed_timeout:
            raise _unclaimed(now, unclaimed_timeout)
    raise _not_ended(now, timeout)


def wait_until_taken(ledger: Ledger, deployment: Deployment, *, timeout: float) -> bool:
    """Wait until a server carries the deployment out, or it has ended; False where none does."""
    for _ in _looks(timeout):
        now = ledger.deployments.get(deployment.model, deployment.number)
        if now.state != "running" or _is_carried_out(ledger, now):
            return True
    return False


def wait_until_followed(ledger: Ledger, route: Route, *, timeout: float) -> Sequence[Server]:
    """Wait until every server of the model follows the route, or a later one.

    Returns:
        The servers that do not by the timeout.
    """
    late: Sequence[Server] = ()
    for _ in _looks(timeout):
        late = servers_late(servers_of(ledger, route.model), route)
        if not late:
            break
    return late


def _looks(timeout: float) -> Iterator[None]:
    """Yields for each look, the first at once, the last after the timeout."""
    until = time.monotonic() + timeout
    while True:
        yield
        if time.monotonic() > until:
            return
        time.sleep(_PERIOD)


def servers_of(ledger: Ledger, model: str) -> Sequence[Server]:
    """The servers that are alive and answer for the model, once it has a route.

    One that is silent for longer than its lease is none: nobody waits for it.
    """
    return [server for server in ledger.servers.alive() if server.serves(model)]


def servers_following(ledger: Ledger, route: Route) -> Sequence[Server]:
    """Those of them that follow the route, or a later one."""
    return [each for each in servers_of(ledger, route.model) if _follows(each, route)]


def servers_late(servers: Sequence[Server], route: Route) -> Sequence[Server]:
    """Those of these servers that do not follow the route, nor a later one."""
    return [each for each in servers if not _follows(each, route)]


def following_current(ledger: Ledger, model: str) -> Collection[str]:
    """Ids of the servers that follow the route in force; none before the first route."""
    route = ledger.routes.current(model)
    return {each.id for each in servers_following(ledger, route)} if route else set()


def golden_rows_of(stores: Stores, route: Route) -> Mapping[str, Golden]:
    """The golden rows of each revision of the route, by its name."""
    registry = Registry(stores.ledger, stores.artifacts)
    versions = {each.name: each.version for each in stores.ledger.routes.revisions(route.model)}
    candidates = {
        name: registry.candidate(registry.version(route.model, versions[name]))
        for name in route.traffic
    }
    return {name: golden_rows(each, stores.artifacts) for name, each in candidates.items()}


def smoke_test_live(stores: Stores, model: str, endpoint: Endpoint) -> SmokeTestResult:
    """Smoke-test the live endpoint with the golden rows of the route in force.

    Raises:
        NotFound: Nothing of the model was deployed.
        Failed: The model is out of service.
        Unreachable: The server did not answer.
        Invalid: The URL is not valid, or the token is not accepted.
    """
    route = route_in_service(stores.ledger, model)
    while True:
        result = smoke_test(endpoint, model, golden_rows_of(stores, route))
        now = route_in_service(stores.ledger, model)
        if not result.difference or now.number == route.number:
            return result
        wait_until_followed(stores.ledger, now, timeout=_PERIOD)
        route = now  # it changed during the test: what was wrong may have been right


def route_in_service(ledger: Ledger, model: str) -> Route:
    """The route in force, which has traffic.

    Raises:
        NotFound: Nothing of the model was deployed.
        Failed: The model is out of service.
    """
    route = current_route(ledger, model)
    if reason := out_of_service_reason(route):
        raise Failed(
            f"testing {model!r}: no revision is live, the model is {reason}",
            code="out_of_service",
            next_steps=(
                NextStep("undo", {"model": model, "why": None}, "restores the traffic"),
                NextStep("deploy", {"model": model}, "deploys a version"),
            ),
        )
    return route


def _follows(server: Server, route: Route) -> bool:
    return server.routes.get(route.model, 0) >= route.number


def _is_carried_out(ledger: Ledger, deployment: Deployment) -> bool:
    return any(server.id == deployment.server for server in ledger.servers.alive())


def _not_ended(deployment: Deployment, timeout: float) -> Failed:
    waits = f" ({deployment.reason})" if deployment.reason else ""
    show = NextStep("route", {"model": deployment.model}, "shows its progress")
    return Failed(
        f"deploying {deployment.revision} of {deployment.model!r}: it has not ended after "
        f"{timeout:g} s{waits} and continues in the background",
        code="deployment_not_ended",
        next_steps=(show, _ending(deployment)),
    )


def _unclaimed(deployment: Deployment, timeout: float) -> Failed:
    serve = NextStep("serve", {"models": deployment.model}, "starts a server that carries it out")
    return Failed(
        f"deploying {deployment.revision} of {deployment.model!r}: for {timeout:g} s no server has "
        "carried it out; it continues once a server of this model runs",
        code="no_server",
        next_steps=(serve, _ending(deployment)),
    )


def _ending(deployment: Deployment) -> NextStep:
    arguments = {"model": deployment.model, "why": None}
    return NextStep("undo", arguments, "ends it")
