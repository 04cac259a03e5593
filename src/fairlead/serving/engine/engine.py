"""All revisions of one serving process, and how it follows a plan.

What a route needs is loaded before the route is followed; what no route needs any more is retired
after that: it finishes its requests and frees its session.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fairlead.artifacts import Artifacts
from fairlead.errors import NotLoaded, OutOfService
from fairlead.serving.engine.loaded_revision import LoadedRevision
from fairlead.serving.engine.loader import Loader
from fairlead.serving.engine.threads import SerialExecutor
from fairlead.serving.plan import Confirmed, Held, Plan, Report, Split


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """What a model's requests are answered with.

    Args:
        split: How they are split.
        revisions: By name; all that are held, those without traffic too, which a request may name.
    """

    split: Split
    revisions: Mapping[str, LoadedRevision]

    def served(self, revision: str) -> LoadedRevision:
        """The revision of this name, which is held or has traffic.

        Raises:
            NotLoaded: It is not held, and why.
        """
        found = self.revisions.get(revision)
        if found is None:
            raise NotLoaded(self.split.missing[revision].why)
        return found

    @property
    def loadable(self) -> bool:
        """Whether each of its revisions could be loaded."""
        return all(served.loadable for served in self.revisions.values())

    @property
    def fault(self) -> str | None:
        """Why one of them could not."""
        failed = (one for one in self.revisions.values() if not one.loadable and one.fault)
        return next((f"{one.held.revision}: {one.fault}" for one in failed), None)


def out_of_service(split: Split) -> OutOfService:
    """The error of a request for a model that is out of service."""
    return OutOfService(f"model {split.model!r} is {split.out}")


class Engine:
    """The revisions of one serving process, on one event loop.

    Args:
        artifacts: Holds their files.
        clock: Seconds, rising.
        changed: Called when `report` may have something new.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        *,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.table: Mapping[str, ServedModel] = {}
        """What each model's requests are answered with, now: a request looks here once."""
        self.confirmed: Mapping[str, Confirmed] = {}
        """What all processes of the server answer, by model."""
        self._clock, self._changed = clock, changed
        self._loader, self._executor = Loader(artifacts), SerialExecutor()
        self._serial = -1
        self._targets: dict[str, ServedModel] = {}  # what the last plan wants
        self._known: dict[Held, LoadedRevision] = {}  # by what they hold, save for edges
        self._planned: frozenset[LoadedRevision] = frozenset()  # what the last plan holds
        self._moved, self._looking = asyncio.Event(), False

    async def apply(self, plan: Plan) -> Report:
        """Follow this plan; a later one may come meanwhile, and takes over at once.

        What a route needs is loaded before it is followed, and what no route needs any more is
        retired after that. A model that was not there before is there at once: its requests wait
        until it is loaded.

        Returns:
            How far it is, once each route is followed or something keeps it from being so. The
            engine goes on trying; `changed` is called when it succeeds.
        """
        if plan.serial > self._serial:
            self._take(plan)
        while self._serial == plan.serial and not self._settled():
            await self._moved.wait()
        return self.report()

    def report(self) -> Report:
        """How far this process is."""
        followed = {model: live for model, live in self.table.items() if live.loadable}
        leaving = (one for one in self._known.values() if one.retired and one.in_hand)
        return Report(
            serial=self._serial,
            routes={model: live.split.route for model, live in followed.items()},
            faults={model: target.fault for model, target in self._targets.items() if target.fault},
            draining=tuple((one.held.model, one.held.revision) for one in leaving),
            behind=tuple(
                model for model, target in self._targets.items() if not self._is_as(model, target)
            ),
        )

    def _is_as(self, model: str, target: ServedModel) -> bool:
        return target.loadable and self.table[model] is target

    def close(self) -> None:
        """Stop whatever goes on by itself; requests in hand are not waited for."""
        for served in self._known.values():
            served.close()
        self._executor.close()

    # ---- plans ------------------------------------------------------------------------------

    def _take(self, plan: Plan) -> None:
        self._serial, self.confirmed = plan.serial, plan.confirmed
        held = {(one.model, one.revision): self._served(one) for one in plan.held}
        self._targets = {split.model: _live(split, held) for split in plan.splits}
        self.table = {
            model: self.table.get(model, target) for model, target in self._targets.items()
        }
        self._planned = frozenset(held.values())
        for served in held.values():
            served.want()
        self._advance()

    def _served(self, held: Held) -> LoadedRevision:
        """The one that holds just this, if there is one: it may be answering, or draining."""
        key = replace(held, edges=())
        if key not in self._known:
            self._known[key] = LoadedRevision(
                held,
                loader=self._loader,
                executor=self._executor,
                changed=self._look_soon,
                clock=self._clock,
            )
        served = self._known[key]
        served.held = held
        return served

    def _settled(self) -> bool:
        return all(target.loadable or target.fault for target in self._targets.values())

    # ---- changes ----------------------------------------------------------------------------

    def _look_soon(self) -> None:
        """Look once, after all that happens in this turn of the loop."""
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_soon(self._advance)

    def _advance(self) -> None:
        """Follow each route that is ready, retire what no route needs, and report it."""
        self._looking = False
        for model, target in self._targets.items():
            if target.loadable and self.table[model] is not target:
                self.table = {**self.table, model: target}
        self._retire_unused()
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        self._changed()

    def _retire_unused(self) -> None:
        routed = {served for live in self.table.values() for served in live.revisions.values()}
        for key, served in [*self._known.items()]:
            if served in routed or served in self._planned:
                continue
            if not served.retired:
                served.retire()
            if served.gone:
                del self._known[key]


def _live(split: Split, held: Mapping[tuple[str, str], LoadedRevision]) -> ServedModel:
    """The split with all that is held of its model."""
    revisions = {name: served for (model, name), served in held.items() if model == split.model}
    return ServedModel(split=split, revisions=revisions)
