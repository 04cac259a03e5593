"""`fairlead route`: how a model's traffic is split, what it was, and sharing it by hand.

Belongs here: what is shown of revisions, routes and the deployment that runs. Does not: changing
them (rollout/routes.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.commands.undo import approving
from fairlead.cli.context import opened
from fairlead.cli.live import settle_or_take_back, shares, token_option
from fairlead.cli.output import json_option, note, print_json, print_table
from fairlead.cli.steps import end
from fairlead.cli.when import second

if TYPE_CHECKING:
    from fairlead.artifacts import Artifacts
    from fairlead.ledger.interface import Ledger
    from fairlead.records import Deployment, Revision, Route, Server, ServingEvent
    from fairlead.rollout.routes import Approve

_WHEN = "when (UTC)"
_SINCE = "since (UTC)"
_OVER = {"retired", "failed"}
_ENDS = {"done", "undone", "failed", "superseded"}
"""Of deployments, as the history calls them; a revision that failed is no line of its own."""
_DOUBTFUL = 3.5
"""Seconds of silence after which a server may be dead: one that lives gives a sign every 2.5."""
_REMEMBERED = 600.0
"""Seconds for which a server that fell silent may well be there still."""
_EPILOG = """\b
Examples:
  fairlead route boston-prices
  fairlead route boston-prices --history
  fairlead route boston-prices --set v3=90,v4=10 --why "a closer look at v4"
"""


class Traffic(click.ParamType[dict[str, int]]):
    """Percents by revision, such as v3=90,v4=10."""

    name = "traffic"

    def convert(
        self, value: str | dict[str, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, int]:
        """The percents."""
        if isinstance(value, dict):
            return value
        found: dict[str, int] = {}
        for part in value.split(","):
            share = re.fullmatch(r"([^=]+)=([0-9]{1,3})%?", part.strip(), re.ASCII)
            if share is None or share[1] in found:
                self.fail(f"{value!r}: give each revision once, such as v3=90,v4=10.", param, ctx)
            found[share[1]] = int(share[2])
        if sum(found.values()) != 100:  # noqa: PLR2004 - percent
            self.fail(f"{value!r}: the percents make {sum(found.values())}, not 100.", param, ctx)
        return found


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.option("--set", "traffic", type=Traffic(), help="Share the traffic so, such as v3=90,v4=10.")
@click.option("--why", help="With --set: goes into the history.")
@click.option("--history", is_flag=True, help="Show every route, and how deployments ended.")
@click.option("--all", "everything", is_flag=True, help="Show retired and failed revisions, too.")
@token_option
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    *,
    model: str,
    traffic: dict[str, int] | None,
    why: str | None,
    history: bool,
    everything: bool,
    token: str | None,
    as_json: bool,
) -> None:
    """Show the revisions of MODEL, their traffic and state, and the deployment that runs.

    With --set, share the traffic over revisions that were deployed before. That ends a deployment
    that runs; `fairlead undo` goes back to the route before. As with `undo`, what comes in is
    proved first. Where servers that followed the route before do not follow, or answer something
    else, it is in force again; in the middle of a canary, the one that the canary began from.
    """
    if why is not None and traffic is None:
        raise click.UsageError("--why goes with --set.")
    if history and traffic is not None:
        raise click.UsageError("--history and --set cannot be combined.")
    with opened(ctx) as (ledger, artifacts):
        if traffic is not None:
            approve = approving(ctx, ledger, artifacts)
            _share(ledger, artifacts, model, traffic, why, approve=approve, token=token)
        if history:
            _show_history(ledger, model, as_json=as_json)
        else:
            _show(_seen(ledger, model), everything=everything, as_json=as_json)


def _share(  # noqa: PLR0913 - the command's own arguments
    ledger: Ledger,
    artifacts: Artifacts,
    model: str,
    traffic: dict[str, int],
    why: str | None,
    *,
    approve: Approve,
    token: str | None,
) -> None:
    """Write the route, and see that it arrives."""
    from fairlead.rollout.record import author
    from fairlead.rollout.routes import set_traffic
    from fairlead.rollout.wait import following_current

    reason = why if why and why.strip() else f"set by {author()}"
    followed = following_current(ledger, model)
    route = set_traffic(ledger, artifacts, model, traffic, reason, approve=approve)
    settle_or_take_back(ledger, artifacts, route, followed=followed, token=token)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What there is to show of a model."""

    model: str
    route: Route | None
    revisions: Sequence[Revision]
    deployment: Deployment | None  # that runs
    last: Deployment | None
    servers: Sequence[Server]
    silent: Sequence[Server]  # that may be gone, or cannot write to the ledger
    champion: int | None
    now: float  # by the ledger's clock


def _seen(ledger: Ledger, model: str) -> _Seen:
    from fairlead.rollout.routes import last_deployment, running_deployment
    from fairlead.rollout.wait import servers_of

    ledger.versions.history(model)  # refuses a model that is not there
    champion = ledger.versions.champion(model)
    route = ledger.routes.current(model)
    return _Seen(
        model=model,
        route=route,
        revisions=[_by_route(each, route) for each in ledger.routes.revisions(model)],
        deployment=running_deployment(ledger, model),
        last=last_deployment(ledger, model),
        servers=servers_of(ledger, model),
        silent=[server for server in ledger.servers.silent() if server.serves(model)],
        champion=champion.number if champion else None,
        now=ledger.now(),
    )


def _by_route(revision: Revision, route: Route | None) -> Revision:
    """A revision that has traffic has it by the route in force, whatever first brought it in."""
    if route is None or revision.name not in route.traffic:
        return revision
    return replace(revision, reason=f"route {route.number}: {route.why}")


def _show(seen: _Seen, *, everything: bool, as_json: bool) -> None:
    if as_json:
        print_json(seen)
        return
    over = [] if everything else [each for each in seen.revisions if each.state in _OVER]
    rows = [_row(each, seen.route) for each in seen.revisions if each not in over]
    print_table(("revision", "traffic", "state", _SINCE, "why"), rows, unfolded=(_SINCE,))
    for line in [*_of_hidden(over), *_remarks(seen)]:
        note(line)


def _row(revision: Revision, route: Route | None) -> list[Any]:
    percent = route.traffic.get(revision.name, 0) if route else 0
    since = second(revision.changed)
    return [revision.name, f"{percent} %", revision.state, since, revision.reason]


def _of_hidden(revisions: Sequence[Revision]) -> list[str]:
    if not revisions:
        return []
    counts = Counter(each.state for each in revisions)
    told = ", ".join(f"{counts[state]} {state}" for state in sorted(counts))
    return [f"not shown: {told} (--all shows them)"]


def _remarks(seen: _Seen) -> list[str]:
    lines = [_of_route(seen)]
    if seen.deployment:
        lines.append(_of_deployment(seen.deployment))
    elif seen.last and _is_news(seen.last, seen.route):
        lines.append(_of_last(seen.last))
    lines += [_of_server(server, seen.route, seen.now) for server in seen.servers]
    return lines if seen.servers else [*lines, _of_nobody(seen)]


def _of_nobody(seen: _Seen) -> str:
    """What is known where no server has told of itself within its lease."""
    recent = [server for server in seen.silent if 0 <= seen.now - server.seen < _REMEMBERED]
    if not recent:
        return f"no server serves it now: `fairlead serve {seen.model}`"
    newest = max(recent, key=lambda server: server.seen)
    return (
        f"no server has told of itself since {second(newest.seen)} UTC ({newest.url}): it may "
        f"answer all the same; where it does not, `fairlead serve {seen.model}`"
    )


def _is_news(deployment: Deployment, route: Route | None) -> bool:
    """Whether how it ended tells of what is in force now, and not of what was before."""
    if deployment.state == "done":
        return route is not None and route.deployment == deployment.number
    return route is None or route.number == deployment.base or route.kind == "undo"


def _of_route(seen: _Seen) -> str:
    if seen.route is None:
        return f"no traffic yet: `fairlead deploy {seen.model}` brings its champion into service"
    route = seen.route
    said = f"route {route.number} since {second(route.at)} UTC ({route.kind}): {route.why}"
    return said if route.traffic else f"out of service by {said}"


def _of_deployment(deployment: Deployment) -> str:
    waits = deployment.reason if deployment.server else "no server has taken it up yet"
    steps = ", ".join(map(str, deployment.steps))
    return (
        f"deployment {deployment.number} of {deployment.revision} runs ({steps} %, "
        f"{deployment.step + 1} of {len(deployment.steps)} steps taken): {waits}"
    )


def _of_last(deployment: Deployment) -> str:
    return f"deployment {deployment.number} of {deployment.revision} {end(deployment)}"


def _of_server(server: Server, route: Route | None, now: float) -> str:
    followed = server.routes.get(route.model, "none") if route else "none"
    said = f"{server.url}: {server.processes} processes follow route {followed}"
    age = now - server.seen
    return said if age < _DOUBTFUL else f"{said}, it said {age:.0f} s ago and not since"


def _show_history(ledger: Ledger, model: str, *, as_json: bool) -> None:
    ledger.versions.history(model)  # refuses a model that is not there
    routes, events = ledger.routes.history(model), ledger.routes.events(model)
    if as_json:
        print_json({"model": model, "routes": routes, "events": events})
        return
    reasons = {each.why for each in routes}
    ends = [each for each in events if each.kind in _ENDS and each.deployment is not None]
    rows = [
        *((each.at, each.number, each.kind, shares(each), each.why) for each in routes),
        *((each.at, None, each.kind, None, of_end(each, reasons)) for each in ends),
    ]
    shown = [(second(at), *rest) for at, *rest in sorted(rows, key=lambda row: row[0])]
    print_table((_WHEN, "route", "what", "traffic", "why"), shown, unfolded=(_WHEN,))


def of_end(event: ServingEvent, told: Collection[str]) -> str:
    """How a deployment ended, in a line of the history.

    Args:
        event: Its end.
        told: Reasons that stand beside a route, and are not said again.
    """
    named = f"deployment {event.deployment} of {event.revision}"
    return named if event.text in {"", *told} else f"{named}: {event.text}"
