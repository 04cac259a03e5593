"""Counting, in one process.

Belongs here: what this process has counted, until the supervisor was told. Does not: when something
is counted (app.py) and told (reporter.py), and the sums over all processes (aggregate.py).

Nothing is written to files: a full disk must not end a process that needs none, and a server that
is killed leaves nothing behind.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

from fairlead.serving.plan import Counts
from fairlead.serving.telemetry.counters import Counted, Now, Sight


class Metrics:
    """All that one process counts."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, str], Counted] = {}
        self._refused: Counter[int] = Counter()
        self._sight: Sight | None = None
        self._told: dict[tuple[str, str], Now] = {}
        self.of = cache(self._of)

    def _of(self, model: str, revision: str) -> Counted:
        """What is counted of this revision; both are empty for requests that named none we know."""
        self._counted[model, revision] = counted = Counted()
        return counted

    def refused(self, status: int) -> None:
        """A connection was closed for what came over it, with this status."""
        self._refused[status] += 1

    def see(self, sight: Sight) -> None:
        """Tell how the process is."""
        self._sight = sight

    def news(self) -> Counts | None:
        """What was counted, and what else is new, since this was asked last; None if nothing is."""
        news = [(*key, one.taken()) for key, one in self._counted.items() if self._is_news(key)]
        self._told |= {(model, revision): one.now for model, revision, one in news}
        counts = Counts(counted=tuple(news), refused=self._refused, sight=self._sight)
        self._refused, self._sight = Counter(), None
        return counts if counts != _NOTHING else None

    def _is_news(self, key: tuple[str, str]) -> bool:
        counted = self._counted[key]
        return counted.has_counts or counted.now != self._told.get(key)


_NOTHING = Counts()
