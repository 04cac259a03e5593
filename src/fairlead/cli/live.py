"""What commands do after they changed what is live: wait until it is so, and see that it is right.

Belongs here: the waiting and asking of `undo`, `route --set` and `test-endpoint`, and how its end
is told. Does not: the changes (deployment/changes.py), and comparing (deployment/endpoint.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fairlead.cli.output import note
from fairlead.errors import Failed, Invalid

if TYPE_CHECKING:
    from fairlead.artifacts import Artifacts
    from fairlead.deployment.endpoint import Answered
    from fairlead.ledger.ledger import Ledger
    from fairlead.records import Route

Command = TypeVar("Command", bound=Callable[..., Any])
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
    split = sorted(traffic.traffic.items(), key=lambda share: (-share[1], share[0]))
    return ", ".join(f"{name} {percent} %" for name, percent in split)


def settle(ledger: Ledger, artifacts: Artifacts, route: Route, *, token: str | None) -> None:
    """Wait until every server follows the route, then ask what is live its golden rows.

    Where no server runs, there is nothing to wait for, and that is said.

    Raises:
        Failed: A server does not follow it in time, or answers something else.
    """
    from fairlead.deployment.arrival import followers

    await_followed(ledger, route)
    servers = followers(ledger, route.model)  # by now: one may have died meanwhile
    if not servers:
        note("no server serves it now: the next `fairlead serve` follows the route")
        return
    note("every serving process follows it")
    urls = [server.url for server in servers]
    see(ledger, artifacts, route.model, urls=urls, token=token)


def await_followed(ledger: Ledger, route: Route) -> None:
    """Wait until every server that lives follows the route.

    Raises:
        Failed: One does not in time.
    """
    from fairlead.deployment.arrival import behind

    late = behind(ledger, route, seconds=_PATIENCE)
    if late:
        those = ", ".join(server.url for server in late)
        raise Failed(
            f"route {route.number} of {route.model!r} is in force, but after {_PATIENCE:g} s not "
            f"every process follows it: {those}; see what these servers say"
        )


def see(
    ledger: Ledger, artifacts: Artifacts, model: str, *, urls: Sequence[str], token: str | None
) -> None:
    """Ask what is live its golden rows at each address; who does not let us in is not asked.

    Raises:
        Failed: One answers something else.
    """
    for url in urls:
        try:
            answered = asked(ledger, artifacts, model, url=url, token=token)
        except Invalid as error:
            note(f"not tested: {error}")
            continue
        refuse_difference(answered, model, url)
        note(passed(answered, url))


def asked(
    ledger: Ledger, artifacts: Artifacts, model: str, *, url: str, token: str | None
) -> Answered:
    """The golden rows of what is live, asked there."""
    from fairlead.deployment.arrival import ask_live
    from fairlead.deployment.endpoint import Address

    return ask_live(ledger, artifacts, model, Address(url=url, token=token or None))


def passed(answered: Answered, url: str) -> str:
    """That nothing was wrong, in a line."""
    return f"{url} answers the golden rows to the last bit ({answered.seconds:.2f} s)"


def refuse_difference(answered: Answered, model: str, url: str) -> None:
    """End with what was wrong, if anything was.

    Raises:
        Failed: Says it.
    """
    if answered.difference:
        raise Failed(f"testing {model!r} at {url}: {answered.difference}")
