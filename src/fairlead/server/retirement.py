"""Retirement of revisions that no route and no deployment names any more.

A revision that had traffic drains: it answers what it has begun. Once no process of any server
needs it, it is retired. `next_state` is the rule; `Retirement` writes what follows from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from fairlead.ledger.interface import Ledger
from fairlead.records import Revision, RevisionState
from fairlead.rollout.routes import running_deployment
from fairlead.server.desired_state import is_draining
from fairlead.server.snapshot import ModelSnapshot
from fairlead.serving.plan import Report

_PERIOD = 1.0
"""Seconds between two looks for such revisions."""
_GRACE = 5.0
"""Seconds that may pass from the creation of a revision to its deployment."""


def next_state(
    revision: Revision, *, now: float, followed: bool, draining: bool, elsewhere: bool
) -> RevisionState | None:
    """The state that an unwanted revision comes into.

    Args:
        revision: As it is in the ledger.
        now: By the ledger's clock.
        followed: Whether every process of every server follows the route in force.
        draining: Whether a process still answers requests with it.
        elsewhere: Whether another server carries out a deployment of the model: that one knows
            which revisions it brings in, and which are there to roll back to.

    Returns:
        None where it stays as it is.
    """
    if elsewhere:
        return None
    match revision.state:
        case "serving":
            return "draining"
        case "draining":
            return "retired" if followed and not draining else None
        case "loading" | "ready":
            return "retired" if now - revision.changed > _GRACE else None
        case _:
            return None


class Retirement:
    """Retires revisions.

    Args:
        ledger: Where they are.
        server: Id of this server.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, ledger: Ledger, *, server: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger, self._server, self._clock = ledger, server, clock
        self._last = clock()

    def run(
        self,
        snapshots: Iterable[ModelSnapshot],
        reports: Sequence[Report | None],
        followed: Mapping[str, int],
    ) -> None:
        """Retire what can be, once a second.

        Args:
            snapshots: Of all models.
            reports: Of this server's processes.
            followed: By model, the route that all of them follow.
        """
        if self._clock() - self._last < _PERIOD:
            return
        self._last = self._clock()
        for snapshot in snapshots:
            for name in snapshot.revisions.keys() - snapshot.wanted:
                self._advance(snapshot, snapshot.revisions[name], reports, followed)

    def _advance(
        self,
        snapshot: ModelSnapshot,
        revision: Revision,
        reports: Sequence[Report | None],
        followed: Mapping[str, int],
    ) -> None:
        route = snapshot.route
        if revision.state == "failed" or route is None:
            return
        state = next_state(
            revision,
            now=self._ledger.now(),
            followed=self._is_followed_everywhere(snapshot.model, route.number, followed),
            draining=is_draining(reports, revision.model, revision.name),
            elsewhere=self._is_deployed_elsewhere(snapshot),
        )
        if state is not None:
            reason = f"route {route.number}: {route.why}"
            self._ledger.routes.mark(
                revision.model, revision.name, state, reason, was=revision.state
            )

    def _is_deployed_elsewhere(self, snapshot: ModelSnapshot) -> bool:
        """Whether a deployment of the model runs that this server does not carry out."""
        if snapshot.deployment is not None:
            return False
        return running_deployment(self._ledger, snapshot.model) is not None

    def _is_followed_everywhere(self, model: str, number: int, followed: Mapping[str, int]) -> bool:
        """Whether all processes of all servers of the model follow the route, or a later one."""
        alive = self._ledger.servers.alive()
        others = [one for one in alive if one.id != self._server and one.serves(model)]
        routes = [followed, *(one.routes for one in others)]
        return all(one.get(model, 0) >= number for one in routes)
