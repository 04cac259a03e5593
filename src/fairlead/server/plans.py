"""The plan that the processes of a server were told last, and when they are told the next.

Belongs here: what was told of each model, and whether it is followed. Does not: what is in a plan
(desired_state.py), and the processes (process_pool.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from fairlead.records import Route
from fairlead.rollout.verification import Proofs, in_words
from fairlead.server import desired_state as aims
from fairlead.server.desired_state import Aim
from fairlead.server.snapshot import Standing
from fairlead.serving.plan import Plan, Report


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What was told of a model, and in which plan for the first time."""

    aim: Aim
    serial: int


class Plans:
    """Tells the processes what they are to do.

    `follow` is for one thread; `begin` may come from another, while the first one is held up.

    Args:
        proofs: Of revisions.
        tell: Tells a plan to all processes.
    """

    def __init__(self, proofs: Proofs, tell: Callable[[Plan], None]) -> None:
        self._proofs, self._tell = proofs, tell
        self._lock = threading.Lock()
        self._told: Mapping[str, _Told] = {}  # replaced, never changed: others may be reading it
        self._plan: Plan | None = None
        self._standings: Sequence[Standing] = ()

    def follow(self, standings: Sequence[Standing]) -> None:
        """Tell what has changed; at first, once all is known that can be.

        A process is ready from its first plan on; it should know every model by then.

        Args:
            standings: Of all models.
        """
        with self._lock:
            self._standings = standings
            if self._plan is not None or self._is_gathered():
                self._tell_changes("")

    def begin(self, fault: str) -> None:
        """Tell a first plan now, with what is known, where none was told yet.

        Args:
            fault: Why nothing is known, if so.
        """
        with self._lock:
            if self._plan is None:
                self._tell_changes(fault)

    def is_followed(self, standing: Standing, reports: Sequence[Report | None]) -> bool:
        """Whether every process does what this very look at the ledger says."""
        told, wanted = self._told.get(standing.model), self._aim(standing)
        if told is None or wanted != told.aim:
            return False
        held = {each.revision for each in told.aim.held}
        if standing.candidate and standing.candidate.name not in held:
            return False
        return aims.followed(reports, standing.model, serial=told.serial)

    def is_live(self, route: Route, reports: Sequence[Report | None]) -> bool:
        """Whether every process follows the route, with all that has traffic there."""
        told = self._told.get(route.model)
        if told is None or told.aim.split.route != route.number or not told.aim.whole:
            return False
        return aims.followed(reports, route.model, serial=told.serial)

    def _tell_changes(self, fault: str) -> None:
        before, serial = self._plan, self._plan.serial + 1 if self._plan else 1
        told = {**self._told, **self._changed(serial)}
        parts = {model: each.aim for model, each in told.items()}
        plan = aims.plan(serial, parts, fault=fault)
        if before is None or replace(plan, serial=before.serial) != before:
            self._told, self._plan = told, plan
            self._tell(plan)

    def _changed(self, serial: int) -> Mapping[str, _Told]:
        found = ((one.model, self._aim(one)) for one in self._standings)
        return {
            model: _Told(aim=aim, serial=serial)
            for model, aim in found
            if aim is not None and aim != self._present(model)
        }

    def _is_gathered(self) -> bool:
        """Whether all revisions that have traffic were proved, or could not be."""
        aimed = any(self._aim(one) is not None for one in self._standings)
        return aimed and all(map(self._is_known, self._standings))

    def _is_known(self, standing: Standing) -> bool:
        model = standing.model
        return standing.routed <= {*self._proofs.of(model), *self._proofs.faults(model)}

    def _aim(self, standing: Standing) -> Aim | None:
        model = standing.model
        return aims.aim(
            standing,
            self._proofs.of(model),
            faults={name: in_words(error) for name, error in self._proofs.faults(model).items()},
            present=self._present(model),
        )

    def _present(self, model: str) -> Aim | None:
        told = self._told.get(model)
        return told.aim if told else None
