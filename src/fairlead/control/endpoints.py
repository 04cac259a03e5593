"""Whether servers follow a route, and whether their endpoints answer as the models should.

A route that a person asks for is in force at once; it has arrived when every process of every
server follows it and the endpoints return the stored predictions for the golden rows. Where it does
not arrive and going back mends that, the traffic goes back to where it was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from fairlead.control.events import OnEvent, RouteFollowed, SmokeTestPassed
from fairlead.errors import Conflict, Failed, Invalid, NextStep, Unreachable
from fairlead.records import Route, Scalar, Server
from fairlead.rollout.routes import current_route, revert
from fairlead.rollout.smoke_test import Endpoint, SmokeTestResult
from fairlead.rollout.undo import servers_lost
from fairlead.rollout.wait import (
    golden_rows_of,
    route_in_service,
    servers_following,
    servers_of,
    smoke_test_live,
    wait_until_followed,
)
from fairlead.stores import Stores

_PATIENCE = 15.0
"""Seconds that servers may take to follow a route: they see it within one, and may have to load."""
_BEFORE_TEST = 5.0


def traffic_in_words(route: Route | None) -> str:
    """How a route shares the traffic, in a line."""
    if route is None:
        return "none"
    if not route.traffic:
        return "out of service"
    split = sorted(route.traffic.items(), key=lambda share: (-share[1], share[0]))
    return ", ".join(f"{name} {percent} %" for name, percent in split)


def smoke_test_endpoints(
    stores: Stores, model: str, *, url: str | None, token: str | None
) -> Mapping[str, SmokeTestResult]:
    """Smoke-test the live endpoint of a model at one URL, or at each server that runs for it.

    Raises:
        NotFound: Nothing of the model was deployed.
        Failed: The model is out of service, or no server runs for it.
        Unreachable: A server did not answer.
        Invalid: The URL is not valid, or the token is not accepted.
    """
    urls = [url] if url else _served_at(stores, model)
    return {each: _smoke_test(stores, model, each, token) for each in urls}


def refuse_difference(result: SmokeTestResult, model: str, url: str) -> None:
    """Raise what a smoke test found to be wrong.

    Raises:
        Failed: The endpoint does not return the stored predictions.
    """
    if result.difference:
        raise Failed(f"testing {model!r} at {url}: {result.difference}", code="smoke_test_failed")


def smoke_test_all(
    stores: Stores, model: str, *, urls: Sequence[str], token: str | None, on_event: OnEvent
) -> list[Invalid]:
    """Smoke-test the live endpoint at each URL.

    Returns:
        Why an endpoint could not be tested, such as for its token.

    Raises:
        Failed: One does not return the stored predictions.
    """
    refused = []
    for url in urls:
        try:
            result = _smoke_test(stores, model, url, token)
        except Invalid as error:
            refused.append(error)
            continue
        refuse_difference(result, model, url)
        on_event(SmokeTestPassed(url=url, seconds=result.seconds))
    return refused


def example_row(stores: Stores, route: Route) -> Mapping[str, Scalar] | None:
    """A row that the route's revisions predict; None where no version has golden rows."""
    goldens = golden_rows_of(stores, route).values()
    return next((golden.rows[0] for golden in goldens if golden.rows), None)


def wait_followed(stores: Stores, route: Route) -> None:
    """Wait until every server follows the route.

    Raises:
        Failed: One does not in time.
    """
    late = wait_until_followed(stores.ledger, route, timeout=_PATIENCE)
    if late:
        raise _not_followed(route, late)


def settle(stores: Stores, route: Route, *, token: str | None, on_event: OnEvent) -> None:
    """Wait until every server follows the route, then smoke-test what is live.

    Raises:
        Failed: A server does not follow it in time, or does not return the stored predictions.
        Unreachable: A server could not be tested.
    """
    wait_followed(stores, route)
    _test_followers(stores, route, token=token, on_event=on_event, complete=True)


def settle_or_revert(
    stores: Stores,
    route: Route,
    *,
    followed: Collection[str],
    token: str | None,
    on_event: OnEvent,
) -> None:
    """As `settle`; where that fails and going back mends it, what was before is in force again.

    Args:
        stores: Where the route is.
        route: In force.
        followed: Ids of the servers that followed the one before.
        token: Bearer token for the servers.
        on_event: Called with what happens.

    Raises:
        Failed: A server did not follow in time, or does not return the stored predictions; the
            message says which route is in force now.
        Unreachable: One could not be tested, which says nothing about the route: it stays.
    """
    late = wait_until_followed(stores.ledger, route, timeout=_PATIENCE)
    try:
        if servers_lost(late, followed):
            raise _not_followed(route, late)
        _test_followers(stores, route, token=token, on_event=on_event, complete=not late)
    except Failed as fault:
        ended = _reverted(stores, route, str(fault))
        text = f"{fault}; {ended}"
        raise Failed(text, code=fault.code, next_steps=fault.next_steps) from fault
    except Unreachable as fault:
        text = f"{fault}; route {route.number} stays in force, not tested"
        raise Unreachable(text, code=fault.code, next_steps=fault.next_steps) from fault
    if late:
        raise _never_followed(route, late)


def _served_at(stores: Stores, model: str) -> Sequence[str]:
    wait_until_followed(stores.ledger, route_in_service(stores.ledger, model), timeout=_BEFORE_TEST)
    urls = [server.url for server in servers_of(stores.ledger, model)]
    if not urls:
        serve = NextStep(action="serve", arguments={"models": model}, effect="starts one")
        test = NextStep(
            action="test-endpoint",
            arguments={"model": model, "url": None},
            effect="tests another address",
        )
        raise Failed(
            f"testing {model!r}: no server of this home runs for it",
            code="no_server",
            next_steps=(serve, test),
        )
    return urls


def _smoke_test(stores: Stores, model: str, url: str, token: str | None) -> SmokeTestResult:
    endpoint = Endpoint(url=url, token=token or None)
    return smoke_test_live(stores, model, endpoint)


def _test_followers(
    stores: Stores, route: Route, *, token: str | None, on_event: OnEvent, complete: bool
) -> None:
    """Smoke-test the servers that follow the route: all there are, where that is complete."""
    servers = servers_following(stores.ledger, route)  # by now: one may have died meanwhile
    if complete:
        on_event(RouteFollowed(route=route, servers=servers))
    if route.traffic:
        urls = [server.url for server in servers]
        refused = smoke_test_all(stores, route.model, urls=urls, token=token, on_event=on_event)
        if refused:
            reasons = "; ".join(map(str, refused))
            raise Unreachable(reasons, code="not_tested", next_steps=refused[0].next_steps)


def _reverted(stores: Stores, route: Route, fault: str) -> str:
    """Go back, and wait; how that ended, in words."""
    try:
        why = f"route {route.number} was taken back: {fault}"
        again = revert(stores, route, why)
    except Conflict:
        return _overtaken(stores, route)
    if again is None:
        return f"route {route.number} stays in force ({traffic_in_words(route)})"
    late = wait_until_followed(stores.ledger, again, timeout=_PATIENCE)
    ended = f"route {route.number} was taken back: route {again.number} is in force now"
    ended = f"{ended} ({traffic_in_words(again)})"
    return f"{ended}, and not followed by {_urls(late)}" if late else ended


def _overtaken(stores: Stores, route: Route) -> str:
    """What somebody else has done meanwhile."""
    now = current_route(stores.ledger, route.model)
    if now.number != route.number:
        return f"route {now.number} of somebody else is in force by now ({traffic_in_words(now)})"
    return (
        f"a deployment was begun meanwhile and goes on: route {route.number} stays in force "
        f"({traffic_in_words(route)})"
    )


def _not_followed(route: Route, late: Sequence[Server]) -> Failed:
    return Failed(
        f"route {route.number} of {route.model!r} was put in force, but after {_PATIENCE:g} s "
        f"not every process follows it: {_urls(late)}; see the logs of these servers",
        code="route_not_followed",
    )


def _never_followed(route: Route, late: Sequence[Server]) -> Failed:
    return Failed(
        f"route {route.number} of {route.model!r} was put in force, but after {_PATIENCE:g} s it "
        f"is not followed by {_urls(late)}, which did not follow route {route.number - 1} either; "
        f"it stays in force ({traffic_in_words(route)}): see the logs of these servers",
        code="route_not_followed",
    )


def _urls(servers: Sequence[Server]) -> str:
    return ", ".join(server.url for server in servers)
