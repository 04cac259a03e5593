"""A gang whose ranks an engine runs and a hub hears: kept alive while it computes.

Ranks that ended are started again, since their parts go to others and they may come back at any
step. One that ends again and again without having answered anything is started later each time, and
its listener is told why. Where all ranks do, that points to a fault that starting anew does not
mend: the fit fails with what the last one printed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self

from fairlead.engines.engine import Engine, GangRequest, RankStatus
from fairlead.errors import Failed, FairleadError, Transient
from fairlead.gang.hub import Hub
from fairlead.gang.work import FitJob, Vector, Work

_LOG = logging.getLogger(__name__)

MOST_FAILED = 5
"""So many ranks that ended by themselves before any answer, and no other is started."""
MOST_KILLED = 20
"""The same of those that something outside ended, for each rank of the gang."""
MOST_SILENT = 3
"""So many ends of a rank in a row without an answer from it are told of."""
LONGEST_REST = 30.0
"""The most seconds that a rank waits before it is started again."""
_FIRST_REST = 0.5
"""Those after the second end in a row; they double with each further one."""
_POLL = 1.0
"""Seconds between two looks at the ranks."""


@dataclass(frozen=True, kw_only=True)
class Ends:
    """How many ranks ended since a part was answered.

    Args:
        failed: By themselves.
        killed: From outside.
    """

    failed: int = 0
    killed: int = 0

    def is_hopeless(self, ranks: int) -> bool:
        """Whether starting others would not help, in a gang of so many."""
        return self.failed >= MOST_FAILED or self.killed >= MOST_KILLED * ranks


def counted(before: Ends, ended: Iterable[RankStatus], *, answered: bool) -> Ends:
    """The ends by now.

    Args:
        before: Those at the last look.
        ended: The ranks that have ended since.
        answered: Whether a part was answered since.
    """
    ends = Ends() if answered else before
    kills = [rank.killed for rank in ended]
    return Ends(failed=ends.failed + kills.count(False), killed=ends.killed + kills.count(True))


@dataclass(frozen=True, kw_only=True)
class Streak:
    """Ends of one rank in a row without an answer from it.

    Args:
        ends: How many.
        answers: How many parts it had answered at the last of them.
        rests: Until when it is not started again.
    """

    ends: int = 0
    answers: int = 0
    rests: float = 0.0


def continued(streak: Streak, *, answers: int, now: float) -> Streak:
    """The streak once the rank has ended again.

    Args:
        streak: As it was.
        answers: How many parts the rank has answered by now.
        now: The time.
    """
    ends = 1 if answers > streak.answers else streak.ends + 1
    return Streak(ends=ends, answers=answers, rests=now + rest_after(ends))


def rest_after(ends: int) -> float:
    """Seconds before a rank is started again after so many ends in a row without an answer."""
    if ends == 1:  # it may have been killed: one that comes back soon is worth its place
        return 0.0
    return min(_FIRST_REST * 2.0 ** min(ends - 2, 16), LONGEST_REST)


class EngineGang:
    """Ranks of an engine as a gang. A context manager that ends them.

    The thread that makes it and has it compute is one that stays (see `LocalEngine.start`).

    Args:
        engine: Where they run.
        request: What they are; its address is that of the hub.
        hub: Where they call.
        notice: Told in a line what a person should know of them.

    Raises:
        Invalid: Such ranks cannot run there.
        Failed: They may not be started.
        Unreachable: The engine did not answer.
    """

    def __init__(
        self,
        engine: Engine,
        request: GangRequest,
        hub: Hub,
        *,
        notice: Callable[[str], None] = _LOG.warning,
    ) -> None:
        self._engine = engine
        self._request = request
        self._hub = hub
        self._notice = notice
        self._handle = engine.start(request)
        self._known: set[RankStatus] = set()
        self._ends = Ends()
        self._streaks: dict[int, Streak] = {}
        self._is_short = False  # ranks ended that could not be started again yet
        self._answers = 0
        self._polled = time.monotonic()

    def open(self, job: FitJob) -> None:
        """Have the ranks compute this fit from now on."""
        self._hub.open(job)

    def compute(self, work: Work) -> Sequence[Vector]:
        """The answers to all parts, in the order of their numbers."""
        return self._hub.compute(work, meanwhile=self._poll_sometimes)

    def alive(self) -> int:
        """How many ranks are connected and say so."""
        return self._hub.alive()

    def grow(self, ranks: int) -> None:
        """Have more ranks from now on; they come in at the next part."""
        self._request = replace(self._request, ranks=max(ranks, self._request.ranks))
        self._engine.start(self._request)

    def poll(self) -> None:
        """Look at the ranks, and start again those that ended, once they are due.

        Raises:
            Failed: They end one after another before they answer anything.
        """
        with suppress(Transient):  # of the engine: what it runs goes on meanwhile
            ended = [one for one in self._engine.poll(self._handle) if not one.alive]
            new = [one for one in ended if one not in self._known]
            self._known.update(new)
            for one in new:
                _LOG.warning("rank %d of gang %s ended: %s", one.rank, self._handle, one.why)
            answered = self._hub.answers > self._answers
            self._answers = self._hub.answers
            self._ends = counted(self._ends, new, answered=answered)
            for one in new:
                self._continue_streak(one)
            if new and self._is_hopeless():
                said = self._said(new[-1])
                raise Failed(f"ranks of the gang end before they answer anything {said}")
            self._is_short = self._is_short or bool(new)
            if self._is_short:
                now = time.monotonic()
                rest = frozenset(one for one, streak in self._streaks.items() if streak.rests > now)
                self._engine.start(replace(self._request, resting=rest))
                self._is_short = bool(rest)

    def _is_hopeless(self) -> bool:
        """Whether starting others would not help, and none is there that goes on."""
        ranks = self._request.ranks
        answers = self._hub.answers_of
        failing = {one for one, last in self._streaks.items() if answers[one] == last.answers}
        return self._ends.is_hopeless(ranks) and failing >= {*range(ranks)}

    def _continue_streak(self, rank: RankStatus) -> None:
        before = self._streaks.get(rank.rank, Streak())
        answers = self._hub.answers_of[rank.rank]
        streak = continued(before, answers=answers, now=time.monotonic())
        self._streaks[rank.rank] = streak
        is_followed = self._request.collective and rank.killed  # by the engine: another ended
        if streak.ends == MOST_SILENT and not is_followed:
            goes_on = "waits for it" if self._request.collective else "goes on with the others"
            self._notice(
                f"rank {rank.rank} ended {streak.ends} times before it computed anything "
                f"{self._said(rank)}; it is tried again, at the most {LONGEST_REST:g} s apart, and "
                f"the fit {goes_on}"
            )

    def _poll_sometimes(self) -> None:
        if time.monotonic() - self._polled > _POLL:
            self.poll()
            self._polled = time.monotonic()

    def _said(self, rank: RankStatus) -> str:
        """Why it ended, and what it printed last."""
        try:
            lines = self._engine.logs(self._handle, rank.rank).split("\n")
        except FairleadError:  # its log is gone, or may not be read
            lines = []
        last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
        where = f" (more in {rank.log})" if rank.log else ""
        return f"({rank.why}): {last}{where}"

    def close(self) -> None:
        """End the gang and all its ranks."""
        self._hub.close()
        self._engine.stop(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
