"""Following the ledger's history: one look ten times a second for all who follow it.

A follower reads from its place up to what was given out last, and gets what is new from then on;
one that is too slow for that reads from its place again. Each line reaches it once, in order.
Beside the lines it gets the last report of each fit that goes on, whenever there is a newer one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from fairlead.api.problems import log
from fairlead.errors import FairleadError, Overloaded
from fairlead.ledger.interface import Fits, Histories
from fairlead.records import FitReport, HistoryMark, NumberedEvent

_EVERY = 0.1  # seconds between two looks at the ledger
_CHECK = 1.0  # seconds after which a follower that gets nothing is asked whether it may go on
_FITS = 2.0  # seconds between two looks at the fits that go on: each tells as often
_QUIET = 15.0  # seconds without a line after which a comment shows that the connection is there
_READ = 500  # lines that one read brings
_HELD = 2000  # lines that wait for one follower, and that one look brings


class Horizon:
    """Up to which line of the history nothing is missing any more. Safe to use from threads."""

    def __init__(self, histories: Histories) -> None:
        self._histories = histories
        self._lock = threading.Lock()
        self._settled = 0
        self._pending: HistoryMark | None = None

    def settled(self) -> int:
        """The id of that line; looks."""
        with self._lock:
            if self._pending is None and self._histories.last() > self._settled:
                self._pending = self._histories.mark()
            if self._pending is not None and self._histories.is_settled(self._pending):
                self._settled, self._pending = self._pending.last, None
            return self._settled


@dataclass(eq=False, kw_only=True)
class Follower:
    """Who follows one study."""

    study: str
    behind: bool = True  # it reads the ledger itself, until it has reached the others
    waiting: deque[NumberedEvent | FitReport] = field(default_factory=deque)
    reports: frozenset[int] = frozenset()  # ids of those that it got at the last look
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Feed:
    """Gives out what is new in the ledger's history.

    Args:
        histories: Of the ledger.
        fits: Likewise.
        horizon: Up to where histories may be read.
        most: Followers at once.
    """

    def __init__(
        self, histories: Histories, fits: Fits, horizon: Horizon, *, most: int = 64
    ) -> None:
        self._histories = histories
        self._fits = fits
        self._fits_due = 0.0
        self._horizon = horizon
        self._most = most
        self._followers: set[Follower] = set()
        self._given_out = 0
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def following(self, study: str) -> Iterator[Follower]:
        """One more follower, for as long as this lasts.

        Raises:
            Overloaded: There are as many as there may be.
        """
        if len(self._followers) >= self._most:
            raise Overloaded(f"{self._most} clients follow events already; try again later")
        follower = Follower(study=study)
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    async def lines(
        self, follower: Follower, after: int, *, go_on: Callable[[], bool]
    ) -> AsyncIterator[NumberedEvent | FitReport | None]:
        """The lines after this one as they come, and reports of fits; None where nothing comes.

        Args:
            follower: Whose they are.
            after: Id of the last line that it has.
            go_on: Asked at least once a second; it ends where this says no.
        """
        self._look()
        quiet = 0.0
        while go_on():
            if follower.behind:
                for line in await self._missed(follower, after):
                    after = line.id
                    yield line
                continue
            try:
                await asyncio.wait_for(follower.wake.wait(), _CHECK)
            except TimeoutError:
                quiet += _CHECK
                if quiet >= _QUIET:
                    quiet = 0.0
                    yield None
                self._look()
                continue
            follower.wake.clear()
            while follower.waiting:
                found = follower.waiting.popleft()
                if isinstance(found, FitReport) or found.id > after:
                    quiet = 0.0
                    after = after if isinstance(found, FitReport) else found.id
                    yield found

    async def _missed(self, follower: Follower, after: int) -> Sequence[NumberedEvent]:
        """What it has missed; where that is all, it gets what is new from now on."""
        upto = self._given_out
        found = await asyncio.to_thread(
            self._histories.lines, after=after, upto=upto, limit=_READ, study=follower.study
        )
        if len(found) < _READ and upto == self._given_out:
            follower.waiting.clear()
            follower.wake.clear()
            follower.behind = False
        return found

    def _look(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on())

    async def _look_on(self) -> None:
        while self._followers:
            try:
                await self._give_out()
                await self._give_out_fits()
            except FairleadError as error:
                log.warning("reading the history: %s; trying again", error)
            await asyncio.sleep(_EVERY)

    async def _give_out(self) -> None:
        settled = await asyncio.to_thread(self._horizon.settled)
        if settled <= self._given_out:
            return
        lines = await asyncio.to_thread(
            self._histories.lines, after=self._given_out, upto=settled, limit=_HELD
        )
        self._given_out = settled
        for follower in self._followers:
            if follower.behind:
                continue
            theirs = [line for line in lines if line.event.study == follower.study]
            if len(lines) >= _HELD or len(follower.waiting) + len(theirs) > _HELD:
                follower.behind = True
            else:
                follower.waiting.extend(theirs)
            follower.wake.set()

    async def _give_out_fits(self) -> None:
        if time.monotonic() < self._fits_due:
            return
        self._fits_due = time.monotonic() + _FITS
        for study in {follower.study for follower in self._followers}:
            reports = await asyncio.to_thread(self._fits.running, study)
            for follower in self._followers:
                if follower.study == study and not follower.behind:
                    new = [one for one in reports if one.id not in follower.reports]
                    follower.reports = frozenset(one.id for one in reports)
                    follower.waiting.extend(new[: max(0, _HELD - len(follower.waiting))])
                    follower.wake.set()
