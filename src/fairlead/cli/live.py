"""What commands do after they changed what is live: wait until it is so, and see that it is right.

Belongs here: the waiting and asking of `undo`, `route --set` and `test-endpoint`, and how its end
is told. Does not: the changes (rollout/routes.py), and comparing (rollout/smoke_test.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fairlead.cli.output import note
from fairlead.errors import Failed, Invalid, Unreachable

if TYPE_CHECKING:
    from fairlead.artifacts import Artifacts
    from fairlead.ledger.interface import Ledger
    from fairlead.records import Route, Server
    from fairlead.rollout.smoke_test import SmokeTestResult

Command = TypeVar("Command", bound=Callable[..., Any])
_NOBODY = "no server serves it now: the next `fairlead serve` follows the route"
_PATIENCE = 15.0
"""Seconds that servers may take to follow a route: they see it within one, and may have to load."""


def token_option(command: Command) -> Command:
    """Give the command `--token`."""
    return click.option(
        "--token",
        envvar="FAIRLEAD_TOKEN",
        help="Lets us in, where the server wants one (better: $FAIRLEAD_TOKEN).",
    )(command)


def shares(traffic: Route | None) -> str:
    """A route's traffic in a line."""
    if traffic is None:
        return "none"
    if not traffic.traffic:
        return "out of service"
    split = sorted(traffic.traffic.items(), key=lambda share: (-share[1], share[0]))
    return ", ".join(f"{name} {percent} %" for name, percent in split)


def tell_unchanged(ledger: Ledger, model: str, champion: int) -> None:
    """Say so where the traffic is not all the champion's: a promotion leaves it as it is."""
    route = ledger.routes.current(model)
    if route is None:
        return
    versions = {each.name: each.version for each in ledger.routes.revisions(model)}
    if {versions[name] for name in route.traffic} != {champion}:
        note(f"live as before: {shares(route)}; to serve v{champion}: fairlead deploy {model}")


def settle(ledger: Ledger, artifacts: Artifacts, route: Route, *, token: str | None) -> None:
    """Wait until every server follows the route, then ask what is live its golden rows.

    Where no server runs, there is nothing to wait for, and that is said; where nobody has traffic,
    there is nothing to ask.

    Raises:
        Failed: A server does not follow it in time, or answers something else.
    """
    await_followed(ledger, route)
    _test(ledger, artifacts, route, token=token, whole=True)


def _test(
    ledger: Ledger, artifacts: Artifacts, route: Route, *, token: str | None, whole: bool
) -> None:
    """Ask the servers that follow the route, which are all of them where it is followed wholly."""
    from fairlead.rollout.wait import servers_following

    servers = servers_following(ledger, route)  # by now: one may have died meanwhile
    if whole:
        note("every serving process follows it" if servers else _NOBODY)
    if route.traffic:
        urls = [server.url for server in servers]
        shut = see(ledger, artifacts, route.model, urls=urls, token=token)
        if shut:
            raise Unreachable("; ".join(shut))


def settle_or_take_back(
    ledger: Ledger,
    artifacts: Artifacts,
    route: Route,
    *,
    followed: Collection[str],
    token: str | None,
) -> None:
    """As `settle`; what was before is in force again where that fails and going back mends it.

    Args:
        ledger: Looked at.
        artifacts: Have the golden rows.
        route: In force.
        followed: Ids of the servers that followed the one before.
        token: Lets us in, where a server wants one.

    Raises:
        Failed: A server did not follow in time, or answers something else, and which route is in
            force now.
        Unreachable: One could not be asked, which says nothing about the route: it stays.
    """
    from fairlead.rollout.wait import wait_until_followed

    late = wait_until_followed(ledger, route, timeout=_PATIENCE)
    try:
        _refuse_lost(route, late, followed)
        _test(ledger, artifacts, route, token=token, whole=not late)
    except Failed as fault:
        raise Failed(f"{fault}; {_taken_back(ledger, artifacts, route, str(fault))}") from fault
    except Unreachable as fault:
        raise Unreachable(f"{fault}; route {route.number} stays in force, not tested") from fault
    if late:
        raise Failed(_never_followed(route, late))


def _refuse_lost(route: Route, late: Sequence[Server], followed: Collection[str]) -> None:
    from fairlead.rollout.undo import servers_lost

    if servers_lost(late, followed):
        raise Failed(_not_followed(route, late))


def _taken_back(ledger: Ledger, artifacts: Artifacts, route: Route, fault: str) -> str:
    """Take the route back, and wait; how that ended, in words."""
    from fairlead.errors import Conflict
    from fairlead.rollout.routes import revert
    from fairlead.rollout.wait import wait_until_followed

    try:
        why = f"route {route.number} was taken back: {fault}"
        again = revert(ledger, artifacts, route, why)
    except Conflict:
        return _overtaken(ledger, route)
    if again is None:
        return f"route {route.number} stays in force ({shares(route)})"
    late = wait_until_followed(ledger, again, timeout=_PATIENCE)
    said = f"route {route.number} was taken back: route {again.number} is in force now"
    said = f"{said} ({shares(again)})"
    return f"{said}, and not followed by {_urls(late)}" if late else said


def _overtaken(ledger: Ledger, route: Route) -> str:
    """What somebody else has done meanwhile."""
    from fairlead.rollout.routes import current_route

    now = current_route(ledger, route.model)
    if now.number != route.number:
        return f"route {now.number} of somebody else's is in force by now ({shares(now)})"
    return (
        f"a deployment was begun meanwhile and goes on: route {route.number} stays in force "
        f"({shares(route)})"
    )


def await_followed(ledger: Ledger, route: Route) -> None:
    """Wait until every server that lives follows the route.

    Raises:
        Failed: One does not in time.
    """
    from fairlead.rollout.wait import wait_until_followed

    late = wait_until_followed(ledger, route, timeout=_PATIENCE)
    if late:
        raise Failed(_not_followed(route, late))


def _not_followed(route: Route, late: Sequence[Server]) -> str:
    return (
        f"route {route.number} of {route.model!r} was put in force, but after {_PATIENCE:g} s "
        f"not every process follows it: {_urls(late)}; see what these servers say"
    )


def _never_followed(route: Route, late: Sequence[Server]) -> str:
    return (
        f"route {route.number} of {route.model!r} was put in force, but after {_PATIENCE:g} s it "
        f"is not followed by {_urls(late)}, which did not follow route {route.number - 1} either; "
        f"it stays in force ({shares(route)}): see what these servers say"
    )


def _urls(servers: Sequence[Server]) -> str:
    return ", ".join(server.url for server in servers)


def see(
    ledger: Ledger, artifacts: Artifacts, model: str, *, urls: Sequence[str], token: str | None
) -> list[str]:
    """Ask what is live its golden rows at each address.

    Returns:
        Who does not let us in, and could not be asked: a line each.

    Raises:
        Failed: One answers something else.
    """
    shut = []
    for url in urls:
        try:
            answered = asked(ledger, artifacts, model, url=url, token=token)
        except Invalid as error:
            shut.append(str(error))
            continue
        refuse_difference(answered, model, url)
        note(passed(answered, url))
    return shut


def asked(
    ledger: Ledger, artifacts: Artifacts, model: str, *, url: str, token: str | None
) -> SmokeTestResult:
    """The golden rows of what is live, asked there."""
    from fairlead.rollout.smoke_test import Endpoint
    from fairlead.rollout.wait import smoke_test_live

    return smoke_test_live(ledger, artifacts, model, Endpoint(url=url, token=token or None))


def passed(answered: SmokeTestResult, url: str) -> str:
    """That nothing was wrong, in a line."""
    return f"{url} answers the golden rows to the last bit ({answered.seconds:.2f} s)"


def refuse_difference(answered: SmokeTestResult, model: str, url: str) -> None:
    """End with what was wrong, if anything was.

    Raises:
        Failed: Says it.
    """
    if answered.difference:
        raise Failed(f"testing {model!r} at {url}: {answered.difference}")
