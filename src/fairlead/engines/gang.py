"""A gang whose ranks an engine runs and a hub hears: kept alive while it computes.

Ranks that ended are started again, since their parts go to others and they may come back at any
step. Ranks that end one after another without having answered anything point to a fault that
starting anew does not mend: the fit fails with what the last one printed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
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


class EngineGang:
    """Ranks of an engine as a gang. A context manager that ends them.

    The thread that makes it and has it compute is one that stays (see `LocalEngine.start`).

    Args:
        engine: Where they run.
        request: What they are; its address is that of the hub.
        hub: Where they call.

    Raises:
        Invalid: Such ranks cannot run there.
        Failed: They may not be started.
        Unreachable: The engine did not answer.
    """

    def __init__(self, engine: Engine, request: GangRequest, hub: Hub) -> None:
        self._engine = engine
        self._request = request
        self._hub = hub
        self._handle = engine.start(request)
        self._known: set[RankStatus] = set()
        self._ends = Ends()
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
        """Look at the ranks, and start again those that ended.

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
            if new and self._ends.is_hopeless(self._request.ranks):
                raise Failed(self._reason(new[-1]))
            self._is_short = self._is_short or bool(new)
            if self._is_short:
                self._engine.start(self._request)
                self._is_short = False

    def _poll_sometimes(self) -> None:
        if time.monotonic() - self._polled > _POLL:
            self.poll()
            self._polled = time.monotonic()

    def _reason(self, rank: RankStatus) -> str:
        try:
            lines = self._engine.logs(self._handle, rank.rank).split("\n")
        except FairleadError:  # its log is gone, or may not be read
            lines = []
        last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
        where = f" (more in {rank.log})" if rank.log else ""
        return f"ranks of the gang end before they answer anything ({rank.why}): {last}{where}"

    def close(self) -> None:
        """End the gang and all its ranks."""
        self._hub.close()
        self._engine.stop(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
