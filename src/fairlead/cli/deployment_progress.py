"""What people read while a route or a deployment is on its way, and once it is there.

A deployment that is waited for is shown as a line per step, with what it waits for beside a spinner
on a terminal and as a line now and then elsewhere. The end of it is deploy_details.json in words.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.next_steps import command_line, program, with_commands
from fairlead.cli.output import note
from fairlead.errors import NextStep
from fairlead.formatting import utc

if TYPE_CHECKING:
    from rich.status import Status

    from fairlead.control.events import Event
    from fairlead.control.models import Promoted
    from fairlead.records import Deployment, Route
    from fairlead.stores import Stores

_EVERY = 10.0
"""Seconds between two lines about the same wait."""


class Reporter:
    """Prints the events of a request as it goes, and keeps its warnings.

    Args:
        echo_route: Whether a new route is printed on stdout.
    """

    def __init__(self, *, echo_route: bool = False) -> None:
        self.warnings: list[str] = []
        self._echo_route = echo_route

    def __call__(self, event: Event) -> None:
        """Print it."""
        from fairlead.control import events
        from fairlead.control.endpoints import traffic_in_words

        match event:
            case events.Notice(text=text, next_steps=next_steps):
                note(with_commands(text, next_steps))
            case events.DeployWarning(text=text):
                self.warnings.append(text)
                note(f"warning: {text}")
            case events.RouteChanged(route=route, before=before) if self._echo_route:
                was, now = traffic_in_words(before), traffic_in_words(route)
                click.echo(f"{route.model}: route {route.number}, {now} (was {was})")
            case events.RouteFollowed(servers=servers):
                note("every serving process follows it" if servers else _no_server())
            case events.SmokeTestPassed(url=url, seconds=seconds):
                note(passed(url, seconds))
            case events.NotTested(error=error):
                note(f"not tested from here: {with_commands(str(error), error.next_steps)}")


def _no_server() -> str:
    return f"no server serves it now: the next `{program()} serve` follows the route"


def passed(url: str, seconds: float) -> str:
    """That an endpoint passed its smoke test, in a line."""
    return f"{url} answers the golden rows to the last bit ({seconds:.2f} s)"


def waited(stores: Stores, deployment: Deployment, *, timeout: float | None = None) -> Route:
    """Wait until the deployment is done, and show how it goes; so many seconds at most, if given.

    Returns:
        Its last route.

    Raises:
        Failed: It did not stay, and why.
    """
    from fairlead.control.deployments import wait

    try:
        with shown(deployment) as on_look:
            return wait(stores, deployment, on_look=on_look, timeout=timeout)
    except KeyboardInterrupt:
        note(
            f"not waiting any more: the deployment goes on (`{program()} route {deployment.model}`)"
        )
        raise


@contextmanager
def shown(begun: Deployment) -> Iterator[Callable[[Deployment], None]]:
    """What shows a deployment, which has just begun, at each look at it."""
    if not sys.stderr.isatty():
        yield Lines(begun).show
        return
    from rich.console import Console

    with Console(stderr=True).status("waiting for a server") as status:
        yield _Spinner(begun, status).show


class Lines:
    """A line a step, one for each thing that it waits for, and how far that is now and then.

    Args:
        begun: The deployment as it was begun.
        write: Takes the lines.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        begun: Deployment,
        write: Callable[[str], None] = note,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._begun, self._write, self._clock = begun, write, clock
        self._idle = IdleCanary(clock)
        self._at: tuple[int, str] | None = None
        self._waits = ""
        self._last = 0.0

    def show(self, deployment: Deployment) -> None:
        """Write what is new."""
        at = (deployment.step, deployment.state)
        if at != self._at:
            self._at, self._waits = at, ""
            self._write(step(deployment))
        if deployment.server and doing(deployment, self._begun):
            self._show_waiting(deployment)
        if hint := self._idle.hint(deployment):
            self._write(hint)

    def _show_waiting(self, deployment: Deployment) -> None:
        kind = re.sub(r"[0-9.]+", "", deployment.reason)
        if kind == self._waits and self._clock() - self._last < _EVERY:
            return
        self._waits, self._last = kind, self._clock()
        self._write(waits(deployment, self._begun))


class IdleCanary:
    """Says once how a canary that gets no requests goes on.

    Args:
        clock: Seconds, rising.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: tuple[int, str] | None = None
        self._since = 0.0
        self._shown = False

    def hint(self, deployment: Deployment) -> str:
        """The hint, where nothing has changed for a while at a step that is judged; else empty."""
        seen = (deployment.step, deployment.reason)
        if seen != self._seen:
            self._seen, self._since = seen, self._clock()
        lasted = self._clock() - self._since >= _EVERY
        if self._shown or not (lasted and _is_judged(deployment)):
            return ""
        self._shown = True
        arguments = {"model": deployment.model, "traffic": f"{deployment.revision}=100"}
        route = command_line(NextStep(action="route", arguments=arguments))
        return (
            f"a canary advances as clients send requests; `{route}` gives it all of the traffic; "
            "Ctrl-C or `deploy --timeout` ends only the waiting"
        )


def _is_judged(deployment: Deployment) -> bool:
    return deployment.state == "running" and 0 <= deployment.step < len(deployment.steps) - 1


class _Spinner:
    def __init__(self, begun: Deployment, status: Status) -> None:
        self._begun, self._status = begun, status
        self._idle = IdleCanary()
        self._at: tuple[int, str] | None = None

    def show(self, deployment: Deployment) -> None:
        from rich.markup import escape

        at = (deployment.step, deployment.state)
        if at != self._at:
            self._at = at
            note(step(deployment))
        if hint := self._idle.hint(deployment):
            note(hint)
        self._status.update(escape(waits(deployment, self._begun)))


def step(deployment: Deployment) -> str:
    """Where the deployment is, in a line."""
    named = f"{deployment.model} {deployment.revision}"
    if deployment.state == "done":
        return f"{named}: done, 100 % of the traffic"
    if deployment.state != "running":
        return f"{named}: {deployment.state}"
    if deployment.step < 0:
        return f"{named}: verified before it gets traffic"
    if deployment.base is None and len(deployment.steps) > 1:
        return f"{named}: 100 % of the traffic (the first revision gets everything at once)"
    count = f"step {deployment.step + 1} of {len(deployment.steps)}"
    return f"{named}: {deployment.steps[deployment.step]} % of the traffic ({count})"


def waits(deployment: Deployment, begun: Deployment) -> str:
    """What the deployment waits for, in a line."""
    named = f"{deployment.model} {deployment.revision}"
    if deployment.server is None and deployment.state == "running":
        return f"{named}: waiting for a server"
    at = doing(deployment, begun)
    return f"{named}: {at}" if at else step(deployment)


def doing(deployment: Deployment, begun: Deployment) -> str:
    """What a running deployment waits for; its first reason is who asked for it."""
    is_wait = deployment.state == "running" and deployment.reason != begun.reason
    return deployment.reason if is_wait else ""


def in_words(details: Mapping[str, Any]) -> list[tuple[str, str]]:
    """deploy_details.json as lines to show: a name and a value each."""
    about = _about(details) if details["revision"] else {}
    fields = {
        "live": _live(details),
        "traffic": _traffic(details["traffic"]),
        **about,
        "before": _previous(details["previous"]),
        "route": f"{details['route']}, {utc(details['at'])}, by {details['by']}",
    }
    return list(fields.items())


def _about(details: Mapping[str, Any]) -> dict[str, str]:
    """Where the live version comes from."""
    return {
        "holdout": _metrics(details["metrics"]),
        "gate": details["gate"]["text"] if details["gate"] else "never judged",
        "data": details["digests"]["data"] or "unknown",
        "spec": details["digests"]["spec"],
        "commit": _commit(details["git"]),
    }


def _live(details: Mapping[str, Any]) -> str:
    """With the version's number where the revision's name does not have it."""
    if details["revision"] is None:
        return f"nothing: {details['model']} is out of service ({details['why']})"
    model, revision, version = details["model"], details["revision"], details["version"]
    named = f"{model} {revision}"
    return named if revision == f"v{version}" else f"{named} (version {version})"


def _traffic(shares: list[Mapping[str, Any]]) -> str:
    return ", ".join(f"{each['revision']} {each['percent']} %" for each in shares) or "none"


def _metrics(metrics: Mapping[str, Any] | None) -> str:
    if metrics is None or metrics["holdout"] is None:
        return "no score"
    return f"{metrics['metric']} {metrics['holdout']:.6g} on {metrics['holdout_rows']} rows"


def _commit(git: Mapping[str, Any] | None) -> str:
    if git is None:
        return "none: outside of a repository"
    changed = ", with changed files" if git["changed"] else ""
    when = "when it was trained" if git["of"] == "training" else "when it was deployed"
    return f"{git['commit']}{changed} ({when})"


def _previous(previous: Mapping[str, Any] | None) -> str:
    if previous is None:
        return "nothing"
    return f"{_traffic(previous['traffic'])} (route {previous['route']})"


def note_unchanged(promoted: Promoted) -> None:
    """Note that not all of the traffic is the champion's: a promotion leaves it as it is."""
    from fairlead.control.endpoints import traffic_in_words

    if promoted.promotion is not None and promoted.live is not None:
        deploy = f"{program()} deploy {promoted.promotion.model}"
        live = traffic_in_words(promoted.live)
        note(f"live as before: {live}; to serve v{promoted.promotion.version}: {deploy}")
