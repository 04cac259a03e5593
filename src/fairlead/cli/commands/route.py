"""`fairlead route`: how a model's traffic is split, how it was, and splitting it by hand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.context import opened, settings
from fairlead.cli.deployment_progress import Reporter
from fairlead.cli.next_steps import program
from fairlead.cli.options import token_option
from fairlead.cli.output import json_option, note, print_json, print_table, second

if TYPE_CHECKING:
    from fairlead.control.routes import ModelTraffic, TrafficHistory
    from fairlead.records import Deployment, Revision, Route, Server, ServingEvent

_WHEN = "when (UTC)"
_SINCE = "since (UTC)"
_OVER = {"retired", "failed"}
_ENDS = {"done", "undone", "failed", "superseded"}
"""Of deployments, as the history calls them; a revision that failed is no line of its own."""
_DOUBTFUL = 3.5
"""Seconds of silence after which a server may be dead: one that runs reports every 2.5."""
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
@click.option("--set", "traffic", type=Traffic(), help="Split the traffic, such as v3=90,v4=10.")
@click.option("--why", help="With --set: the reason, kept in the history.")
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
    """Show the revisions of MODEL, their traffic and state, and the running deployment.

    With --set, split the traffic over revisions that were deployed before. That ends a running
    deployment; `fairlead undo` goes back to the route before. As with `undo`, what comes in is
    verified first. Where servers that followed the route before do not follow, or the smoke test
    fails, it is in force again; in the middle of a canary, the one that the canary began from.
    """
    from fairlead.control import routes

    if why is not None and traffic is None:
        raise click.UsageError("--why goes with --set.")
    if history and traffic is not None:
        raise click.UsageError("--history and --set cannot be combined.")
    with opened(ctx) as stores:
        if traffic is not None:
            access = routes.Access(checks=settings(ctx).checked, token=token)
            routes.set_traffic(stores, model, traffic, why, access=access, on_event=Reporter())
        if history:
            _show_history(routes.history(stores, model), as_json=as_json)
        else:
            _show(routes.traffic(stores, model), everything=everything, as_json=as_json)


def _show(seen: ModelTraffic, *, everything: bool, as_json: bool) -> None:
    if as_json:
        print_json(seen)
        return
    over = [] if everything else [each for each in seen.revisions if each.state in _OVER]
    rows = [_row(each, seen.route) for each in seen.revisions if each not in over]
    columns = ("revision", "traffic", "state", _SINCE, "why")
    none = "no revision is in use" if over else "there is no revision yet"
    print_table(columns, rows, unfolded=(_SINCE,), empty=none)
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
    hidden = ", ".join(f"{counts[state]} {state}" for state in sorted(counts))
    return [f"not shown: {hidden} (--all shows them)"]


def _remarks(seen: ModelTraffic) -> list[str]:
    lines = [_of_route(seen)]
    if seen.deployment:
        lines.append(_of_deployment(seen.deployment))
    elif seen.last and _is_news(seen.last, seen.route):
        lines.append(_of_last(seen.last))
    lines += [_of_server(server, seen.route, seen.now) for server in seen.servers]
    return lines if seen.servers else [*lines, _of_nobody(seen)]


def _of_nobody(seen: ModelTraffic) -> str:
    """What is known where no server has reported within its lease."""
    newest = seen.last_heard_of
    if newest is None:
        return f"no server serves it now: `{program()} serve {seen.model}`"
    return (
        f"no server has reported since {second(newest.seen)} UTC ({newest.url}): it may "
        f"answer all the same; where it does not, `{program()} serve {seen.model}`"
    )


def _is_news(deployment: Deployment, route: Route | None) -> bool:
    """Whether its end explains the route in force, rather than an earlier one."""
    if deployment.state == "done":
        return route is not None and route.deployment == deployment.number
    return route is None or route.number == deployment.base or route.kind == "undo"


def _of_route(seen: ModelTraffic) -> str:
    if seen.route is None:
        return f"no traffic yet: `{program()} deploy {seen.model}` deploys its champion"
    route = seen.route
    named = f"route {route.number} since {second(route.at)} UTC ({route.kind}): {route.why}"
    return named if route.traffic else f"out of service by {named}"


def _of_deployment(deployment: Deployment) -> str:
    waits = deployment.reason if deployment.server else "no server has taken it up yet"
    steps = ", ".join(map(str, deployment.steps))
    return (
        f"deployment {deployment.number} of {deployment.revision} runs ({steps} %, "
        f"{deployment.step + 1} of {len(deployment.steps)} steps taken): {waits}"
    )


def _of_last(deployment: Deployment) -> str:
    from fairlead.control.deployments import ending

    return f"deployment {deployment.number} of {deployment.revision} {ending(deployment)}"


def _of_server(server: Server, route: Route | None, now: float) -> str:
    followed = server.routes.get(route.model, "none") if route else "none"
    report = f"{server.url}: {server.processes} processes follow route {followed}"
    age = now - server.seen
    return report if age < _DOUBTFUL else f"{report}, last reported {age:.0f} s ago"


def _show_history(history: TrafficHistory, *, as_json: bool) -> None:
    from fairlead.control.endpoints import traffic_in_words

    if as_json:
        print_json(history)
        return
    routes, events = history.routes, history.events
    reasons = {each.why for each in routes}
    ends = [each for each in events if each.kind in _ENDS and each.deployment is not None]
    rows = [
        *((each.at, each.number, each.kind, traffic_in_words(each), each.why) for each in routes),
        *((each.at, None, each.kind, None, of_end(each, reasons)) for each in ends),
    ]
    shown = [(second(at), *rest) for at, *rest in sorted(rows, key=lambda row: row[0])]
    columns = (_WHEN, "route", "what", "traffic", "why")
    print_table(columns, shown, unfolded=(_WHEN,), empty="there was no route yet")


def of_end(event: ServingEvent, shown: Collection[str]) -> str:
    """How a deployment ended, in a line of the history.

    Args:
        event: Its end.
        shown: Reasons that stand beside a route, and are not repeated.
    """
    named = f"deployment {event.deployment} of {event.revision}"
    return named if event.text in {"", *shown} else f"{named}: {event.text}"
