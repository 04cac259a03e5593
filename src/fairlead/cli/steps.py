"""A deployment as it goes, for whoever waits for it.

Belongs here: its steps as lines, what it waits for beside a spinner on a terminal, and the details
of what came of it. Does not: waiting (rollout/wait.py), and results as JSON.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fairlead.cli.output import note
from fairlead.cli.when import utc

if TYPE_CHECKING:
    from rich.status import Status

    from fairlead.artifacts import Artifacts
    from fairlead.ledger.interface import Ledger
    from fairlead.records import Deployment, Route

_EVERY = 10.0
"""Seconds between two plain lines that tell only how far the same waiting is."""


@contextmanager
def shown(begun: Deployment) -> Iterator[Callable[[Deployment], None]]:
    """What to tell of a deployment, which has just begun, at each look at it."""
    if not sys.stderr.isatty():
        yield Lines(begun).tell
        return
    from rich.console import Console

    with Console(stderr=True).status("waiting for a server") as status:
        yield _Spinner(begun, status).tell


class Lines:
    """A line a step, one for each thing that it waits for, and how far that is now and then.

    Args:
        begun: The deployment as it was begun.
        said: Takes the lines.
        clock: Seconds, rising.
    """

    def __init__(
        self,
        begun: Deployment,
        said: Callable[[str], None] = note,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._begun, self._said, self._clock = begun, said, clock
        self._still = Still(clock)
        self._at: tuple[int, str] | None = None
        self._waits = ""
        self._last = 0.0

    def tell(self, deployment: Deployment) -> None:
        """Say what is new."""
        at = (deployment.step, deployment.state)
        if at != self._at:
            self._at, self._waits = at, ""
            self._said(step(deployment))
        if deployment.server and doing(deployment, self._begun):
            self._tell_waiting(deployment)
        if way := self._still.way_on(deployment):
            self._said(way)

    def _tell_waiting(self, deployment: Deployment) -> None:
        kind = re.sub(r"[0-9.]+", "", deployment.reason)
        if kind == self._waits and self._clock() - self._last < _EVERY:
            return
        self._waits, self._last = kind, self._clock()
        self._said(waits(deployment, self._begun))


class Still:
    """Tells once how a canary goes on that nobody asks.

    Args:
        clock: Seconds, rising.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: tuple[int, str] | None = None
        self._since = 0.0
        self._told = False

    def way_on(self, deployment: Deployment) -> str:
        """It, where nothing has moved for a while at a step that is judged; else empty."""
        seen = (deployment.step, deployment.reason)
        if seen != self._seen:
            self._seen, self._since = seen, self._clock()
        lasted = self._clock() - self._since >= _EVERY
        if self._told or not (lasted and _is_judged(deployment)):
            return ""
        self._told = True
        return (
            f"a canary goes on as clients ask; `fairlead route {deployment.model} --set "
            f"{deployment.revision}=100` gives it everything; Ctrl-C or `deploy --timeout` ends "
            "only the waiting"
        )


def _is_judged(deployment: Deployment) -> bool:
    return deployment.state == "running" and 0 <= deployment.step < len(deployment.steps) - 1


class _Spinner:
    def __init__(self, begun: Deployment, status: Status) -> None:
        self._begun, self._status = begun, status
        self._still = Still()
        self._at: tuple[int, str] | None = None

    def tell(self, deployment: Deployment) -> None:
        from rich.markup import escape

        at = (deployment.step, deployment.state)
        if at != self._at:
            self._at = at
            note(step(deployment))
        if way := self._still.way_on(deployment):
            note(way)
        self._status.update(escape(waits(deployment, self._begun)))


def step(deployment: Deployment) -> str:
    """Where the deployment is, in a line."""
    named = f"{deployment.model} {deployment.revision}"
    if deployment.state == "done":
        return f"{named}: done, 100 % of the traffic"
    if deployment.state != "running":
        return f"{named}: {deployment.state}"
    if deployment.step < 0:
        return f"{named}: it is proved before it gets traffic"
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
    """What a running deployment says that it waits for; its first reason is who asked for it."""
    said = deployment.state == "running" and deployment.reason != begun.reason
    return deployment.reason if said else ""


_ENDS = {
    "done": "is done",
    "failed": "failed",
    "undone": "was undone",
    "superseded": "was superseded",
}


def end(deployment: Deployment) -> str:
    """How a deployment ended, and why."""
    told = _ENDS[deployment.state]
    return f"{told}: {deployment.reason}" if deployment.reason else told


def details_of(artifacts: Artifacts, route: Route) -> Mapping[str, Any]:
    """The document deploy_details.json of a route."""
    found: Mapping[str, Any] = json.loads(artifacts.get(route.details))
    return found


def last_route(ledger: Ledger, deployment: Deployment) -> Route:
    """The last route that the deployment made."""
    routes = ledger.routes.history(deployment.model)
    return [route for route in routes if route.deployment == deployment.number][-1]


def in_words(details: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A name and a value for each line to show of deploy_details.json."""
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
    """Where the version comes from that is live."""
    return {
        "holdout": _metrics(details["metrics"]),
        "gate": details["gate"]["text"] if details["gate"] else "never judged",
        "data": details["digests"]["data"] or "unknown",
        "spec": details["digests"]["spec"],
        "commit": _commit(details["git"]),
    }


def _live(details: Mapping[str, Any]) -> str:
    """The version is told where the revision's name does not."""
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
