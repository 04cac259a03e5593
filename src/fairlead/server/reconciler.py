"""The reconciler: a loop that makes the serving processes do what the ledger says.

Each round reads a snapshot, has what is wanted verified, publishes the plan that follows, takes the
next step of this server's deployments, reports to the ledger which routes are followed and what was
observed of other servers' deployments, and retires what nothing wants any more. All of it
happens in one thread beside that of the process pool: with the ledger away, the processes continue
with the last plan, and those that die are still replaced. Whatever holds this thread up at first,
the first plan comes in time.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fairlead.errors import described
from fairlead.ledger.interface import Ledger
from fairlead.records import Revision, RevisionState, Route, Server
from fairlead.rollout.verification import Verifications, is_retryable
from fairlead.rollout.wait import servers_late, servers_of
from fairlead.server.desired_state import PlanPublisher, is_draining, load_fault
from fairlead.server.events import RouteFollowed, ServerEvent, ServerNotice, ServerWarning
from fairlead.server.executor import Executor, ProcessStatus
from fairlead.server.process_pool import ProcessPool
from fairlead.server.snapshot import ModelSnapshot, SnapshotReader
from fairlead.server.step_observer import StepObserver
from fairlead.serving.plan import Report

_PERIOD = 0.2
"""Seconds between two rounds."""
_FIRST_PLAN = 5.0
"""Seconds that the first plan waits for the ledger, and for models that are still being verified.
Requests wait that long meanwhile; after that the processes answer that they are alive, at least."""


@dataclass(frozen=True, kw_only=True)
class _Followed:
    """The last route of a model that all processes followed."""

    route: int
    since: float  # by the monotonic clock


class Reconciler:
    """Reconciles the serving processes with the ledger.

    Args:
        ledger: The desired state.
        server: This server, as it is known there.
        models: Those that it serves; None for all.
        lease: Seconds for which it is called alive, and deployments are taken.
        pool: The processes.
        verifications: Of revisions.
        executor: Carries deployments out.
        observer: Of the steps of those that other servers carry out.
        wake: Set when there is reason for another round at once.
        on_event: Called with what happens.
    """

    def __init__(  # noqa: PLR0913 - it joins the parts
        self,
        *,
        ledger: Ledger,
        server: Server,
        models: tuple[str, ...] | None,
        lease: float,
        pool: ProcessPool,
        verifications: Verifications,
        executor: Executor,
        observer: StepObserver,
        wake: threading.Event,
        on_event: Callable[[ServerEvent], None],
    ) -> None:
        self._ledger, self._server, self._lease = ledger, server, lease
        self._reader = SnapshotReader(ledger, server=server.id, models=models, lease=lease)
        self._retirement = Retirement(ledger, server=server.id)
        self._pool, self._verifications, self._executor = pool, verifications, executor
        self._observer, self._wake, self._on_event = observer, wake, on_event
        self._publisher = PlanPublisher(verifications, pool.apply)
        self._followed: dict[str, _Followed] = {}  # by model
        self._fault = "the ledger has not answered yet"  # why nothing is known of it
        self._warnings: dict[str, str] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="fairlead-reconciler", daemon=True)
        self._first_plan = threading.Timer(
            _FIRST_PLAN, lambda: self._publisher.publish_first(self._fault)
        )
        self._first_plan.daemon = True

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()
        self._first_plan.start()

    def stop(self, timeout: float) -> None:
        """End the loop, and leave the deployments to other servers; waits so long at most."""
        self._first_plan.cancel()
        self._ending.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _loop(self) -> None:
        while not self._ending.is_set():
            if not self._try_round():
                self._wake.wait(_PERIOD)
            self._wake.clear()
        with contextlib.suppress(Exception):  # the ledger is away: the lease ends by itself
            self._observer.finish()
        with contextlib.suppress(Exception):
            self._ledger.servers.gone(self._server.id)

    def _try_round(self) -> bool:
        """One round, with a warning where it fails; whether to start another at once."""
        try:
            acted = self._round(self._reader.read())
        except Exception as error:  # noqa: BLE001 - serving continues, whatever the ledger does
            self._warn_of_ledger(error)
            return False
        self._resolve("ledger", "the ledger is followed again")
        return acted

    def _round(self, snapshots: Sequence[ModelSnapshot]) -> bool:
        self._fault = ""
        for snapshot in snapshots:
            self._verify(snapshot)
        reports = self._pool.reports()
        self._publisher.update(snapshots, reports)
        acted = [
            self._executor.advance(snapshot, self._status(snapshot, reports))
            for snapshot in snapshots
            if snapshot.is_held and not snapshot.paused
        ]
        self._note_followed(snapshots, reports)
        followed = {model: one.route for model, one in self._followed.items()}
        self._ledger.servers.seen(replace(self._server, routes=followed), lease=self._lease)
        for snapshot in snapshots:
            self._observe(snapshot)
        self._retirement.run(snapshots, reports, followed)
        return any(acted)

    def _verify(self, snapshot: ModelSnapshot) -> None:
        """Verify what is to be held, except what a deployment verifies first."""
        for name in sorted(snapshot.wanted & snapshot.revisions.keys()):
            revision = snapshot.revisions[name]
            if revision.is_unverified and name not in snapshot.routed:
                continue
            about = f"revision {name!r} of model {revision.model!r}"
            if error := self._verifications.ensure(revision):
                text = f"{about} cannot be served: {described(error)}; it is tried again"
                self._warn_once(about, text)
            elif name in self._verifications.verified(revision.model):
                self._resolve(about, f"{about} is verified again")

    def _status(self, snapshot: ModelSnapshot, reports: Sequence[Report | None]) -> ProcessStatus:
        return ProcessStatus(
            followed=self._publisher.is_applied(snapshot, reports),
            fault=load_fault(reports, snapshot.model) or self._unverifiable(snapshot),
            crashes=self._pool.crashes,
            edges=self._publisher.edges(snapshot.model),
        )

    def _unverifiable(self, snapshot: ModelSnapshot) -> str:
        """Why this server, which took over from another, cannot verify the candidate."""
        name = snapshot.candidate.name if snapshot.candidate else ""
        error = self._verifications.failures(snapshot.model).get(name)
        return "" if error is None or is_retryable(error) else described(error)

    def _observe(self, snapshot: ModelSnapshot) -> None:
        """Observe a step of a deployment that another server carries out and judges."""
        followed, route = self._followed.get(snapshot.model), snapshot.route
        if snapshot.is_held or snapshot.paused or not snapshot.is_at_step:
            return
        if followed is not None and route is not None and followed.route == route.number:
            edges = self._publisher.edges(snapshot.model)
            self._observer.observe(
                snapshot, after=followed.since, edges=edges, crashes=self._pool.crashes
            )

    def _note_followed(
        self, snapshots: Iterable[ModelSnapshot], reports: Sequence[Report | None]
    ) -> None:
        """Note the routes that all processes follow, with all that has traffic there."""
        for route in filter(None, (one.route for one in snapshots)):
            known = self._followed.get(route.model)
            new = known is None or known.route != route.number
            if new and self._publisher.is_followed(route, reports):
                self._followed[route.model] = _Followed(route=route.number, since=time.monotonic())
                self._on_event(RouteFollowed(route=route))

    def _warn_of_ledger(self, error: Exception) -> None:
        """Warn that the ledger cannot be followed, once, whatever the next rounds raise."""
        first, *_ = str(error).splitlines() or [type(error).__name__]
        self._fault = f"following the ledger: {first}"
        if "ledger" not in self._warnings:
            self._warn_once("ledger", f"{self._fault}; serving continues with the last plan")

    def _warn_once(self, about: str, text: str) -> None:
        """Warn, unless the last warning about it was the same."""
        if self._warnings.get(about) != text:
            self._warnings[about] = text
            self._on_event(ServerWarning(text=text))

    def _resolve(self, about: str, text: str) -> None:
        """Say that what was warned about is over."""
        if self._warnings.pop(about, None) is not None:
            self._on_event(ServerNotice(text=text))


# ---- retirement -------------------------------------------------------------------------------
#
# Retirement of revisions that no route and no deployment names any more.
#
# A revision that had traffic drains: it answers what it has begun. Once no process of any server
# needs it, it is retired. `next_state` is the rule; `Retirement` writes what follows from it.


_RETIREMENT_PERIOD = 1.0
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
        if self._clock() - self._last < _RETIREMENT_PERIOD:
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
            followed=self._is_followed_everywhere(route, followed),
            draining=is_draining(reports, revision.model, revision.name),
            elsewhere=snapshot.deployment is not None and not snapshot.is_held,
        )
        if state is not None:
            reason = f"route {route.number}: {route.why}"
            self._ledger.routes.mark(
                revision.model, revision.name, state, reason, was=revision.state
            )

    def _is_followed_everywhere(self, route: Route, followed: Mapping[str, int]) -> bool:
        """Whether all processes of all servers of the model follow the route, or a later one."""
        servers = servers_of(self._ledger, route.model)
        others = [one for one in servers if one.id != self._server]
        return followed.get(route.model, 0) >= route.number and not servers_late(others, route)
