"""What a serving program does for its processes: it follows the ledger.

Belongs here: one look after the other, and what each leads to. Does not: what that is
(desired_state.py, executor.py, retirement.py), and the processes (process_pool.py).

All of it happens in one thread beside the one of the crew: with the ledger away, the processes go
on with the last plan, and the dead among them are still replaced. Whatever holds this thread up at
first, the first plan comes in time.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from fairlead.ledger.interface import Ledger
from fairlead.records import Revision, Server
from fairlead.rollout.routes import running_deployment
from fairlead.rollout.verification import Verifications, is_retryable, one_line
from fairlead.server import retirement
from fairlead.server.desired_state import PlanPublisher, is_draining, load_fault
from fairlead.server.events import RouteFollowed, ServerEvent, ServerNotice, ServerWarning
from fairlead.server.executor import Executor, ProcessStatus
from fairlead.server.process_pool import ProcessPool
from fairlead.server.snapshot import ModelSnapshot, SnapshotReader
from fairlead.serving.plan import Report

_PERIOD = 0.2
"""Seconds between two looks at the ledger."""
_GATHERING = 5.0
"""Seconds that the first plan waits for the ledger, and for models that are still being proved. So
long do those wait who ask meanwhile; after that the processes answer that they are alive, at
least."""
_SWEEPING = 1.0
"""Seconds between two looks for revisions that nothing wants."""


class Reconciler:
    """Follows the ledger.

    Args:
        ledger: What is followed.
        looking: How it is read.
        server: What this one is known as there.
        lease: Seconds for which it is called alive.
        crew: The processes.
        proofs: Of revisions.
        carrier: Carries deployments out.
        wake: Set when something has come in that is worth a look.
        told: Told what happens.
    """

    def __init__(  # noqa: PLR0913 - it joins the parts
        self,
        *,
        ledger: Ledger,
        looking: SnapshotReader,
        server: Server,
        lease: float,
        crew: ProcessPool,
        proofs: Verifications,
        carrier: Executor,
        wake: threading.Event,
        told: Callable[[ServerEvent], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._looking = ledger, looking
        self._server, self._lease = server, lease
        self._crew, self._proofs, self._carrier = crew, proofs, carrier
        self._wake, self._told, self._clock = wake, told, clock
        self._plans = PlanPublisher(proofs, crew.follow)
        self._swept = clock()
        self._live: dict[str, int] = {}  # the last route that was told of
        self._fault = "the ledger has not answered yet"  # why nothing is known of it
        self._warnings: dict[str, str] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="fairlead-steward", daemon=True)
        self._latest = threading.Timer(_GATHERING, lambda: self._plans.begin(self._fault))
        self._latest.daemon = True

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._latest.start()

    def end(self, seconds: float) -> None:
        """Stop, and leave the deployments to others; no longer than so many seconds."""
        self._latest.cancel()
        self._ending.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _keep(self) -> None:
        while not self._ending.is_set():
            if not self._look():
                self._wake.wait(_PERIOD)
            self._wake.clear()
        with contextlib.suppress(Exception):  # away: its lease ends by itself
            self._ledger.servers.gone(self._server.id)

    def _look(self) -> bool:
        """Look, and say so where that fails; whether to look again at once."""
        try:
            acted = self._follow(self._looking.look())
        except Exception as error:  # noqa: BLE001 - serving goes on, whatever the ledger does
            self._bear(error)
            return False
        self._calm("ledger", "the ledger is followed again")
        return acted

    def _bear(self, error: Exception) -> None:
        """Say that the ledger cannot be followed, once, whatever comes of the next looks."""
        first, *_ = str(error).splitlines() or [type(error).__name__]
        self._fault = f"following the ledger: {first}"
        if "ledger" not in self._warnings:
            self._warn("ledger", f"{self._fault}; serving goes on as it is")

    def _follow(self, standings: Sequence[ModelSnapshot]) -> bool:
        self._fault = ""
        for standing in standings:
            self._prove(standing)
        self._plans.follow(standings)
        reports = self._crew.reports()
        acted = [
            self._carrier.carry(standing, self._seen(standing, reports))
            for standing in standings
            if standing.deployment is not None and not standing.paused
        ]
        followed = self._followed(standings, reports)
        self._ledger.servers.seen(self._known_as(followed), lease=self._lease)
        self._sweep(standings, reports, followed)
        return any(acted)

    # ---- plans ------------------------------------------------------------------------------

    def _prove(self, standing: ModelSnapshot) -> None:
        """Prove what is to be held, save for what a deployment checks first."""
        for name in sorted(standing.wanted & standing.revisions.keys()):
            revision = standing.revisions[name]
            if revision.is_unproved and name not in standing.routed:
                continue
            about = f"revision {name!r} of model {revision.model!r}"
            if error := self._proofs.ensure(revision):
                self._warn(about, f"{about} cannot be served: {one_line(error)}; it is tried again")
            elif name in self._proofs.verified(revision.model):
                self._calm(about, f"{about} is proved again")

    def _seen(self, standing: ModelSnapshot, reports: Sequence[Report | None]) -> ProcessStatus:
        return ProcessStatus(
            followed=self._plans.is_followed(standing, reports),
            fault=load_fault(reports, standing.model) or self._unproved(standing),
            crashes=self._crew.crashes,
        )

    def _unproved(self, standing: ModelSnapshot) -> str:
        """Why what comes in cannot be proved by this server, which took over from another."""
        error = self._proofs.failures(standing.model).get(
            standing.candidate.name if standing.candidate else ""
        )
        return "" if error is None or is_retryable(error) else one_line(error)

    # ---- what is told -----------------------------------------------------------------------

    def _followed(
        self, standings: Iterable[ModelSnapshot], reports: Sequence[Report | None]
    ) -> dict[str, int]:
        """The routes that all processes follow, with all that has traffic there."""
        for route in filter(None, (one.route for one in standings)):
            new = self._live.get(route.model) != route.number
            if new and self._plans.is_live(route, reports):
                self._live[route.model] = route.number
                self._told(RouteFollowed(route=route))
        return dict(self._live)

    def _known_as(self, followed: Mapping[str, int]) -> Server:
        return replace(self._server, routes=followed)

    def _warn(self, about: str, text: str) -> None:
        """Say it once, until it is over or is something else."""
        if self._warnings.get(about) != text:
            self._warnings[about] = text
            self._told(ServerWarning(text=text))

    def _calm(self, about: str, text: str) -> None:
        if self._warnings.pop(about, None) is not None:
            self._told(ServerNotice(text=text))

    # ---- revisions that nothing wants -------------------------------------------------------

    def _sweep(
        self,
        standings: Iterable[ModelSnapshot],
        reports: Sequence[Report | None],
        followed: Mapping[str, int],
    ) -> None:
        if self._clock() - self._swept < _SWEEPING:
            return
        self._swept = self._clock()
        for standing in standings:
            for name in standing.revisions.keys() - standing.wanted:
                self._move(standing, standing.revisions[name], reports, followed)

    def _move(
        self,
        standing: ModelSnapshot,
        revision: Revision,
        reports: Sequence[Report | None],
        followed: Mapping[str, int],
    ) -> None:
        if revision.state == "failed" or standing.route is None:
            return
        state = retirement.next_state(
            revision,
            now=self._ledger.now(),
            followed=self._everywhere(standing, followed),
            draining=is_draining(reports, revision.model, revision.name),
            elsewhere=self._is_elsewhere(standing),
        )
        if state is not None:
            told = f"route {standing.route.number}: {standing.route.why}"
            self._ledger.routes.mark(revision.model, revision.name, state, told, was=revision.state)

    def _is_elsewhere(self, standing: ModelSnapshot) -> bool:
        """Whether a deployment of the model runs that this server does not carry out."""
        return (
            standing.deployment is None
            and running_deployment(self._ledger, standing.model) is not None
        )

    def _everywhere(self, standing: ModelSnapshot, followed: Mapping[str, int]) -> bool:
        """Whether all processes of all servers follow the route in force."""
        number = standing.route.number if standing.route else 0
        servers = self._ledger.servers.alive()
        others = (
            one for one in servers if one.id != self._server.id and one.serves(standing.model)
        )
        routes = [followed, *(one.routes for one in others)]
        return all(one.get(standing.model, 0) >= number for one in routes)
