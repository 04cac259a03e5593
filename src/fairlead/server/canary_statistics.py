"""What was seen of a deployment during its present step.

Belongs here: looking, and taking off what was seen before the step. Does not: counting
(serving/telemetry/aggregate.py), ruling (canary.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

from fairlead.records import Bounds
from fairlead.server.canary import Ruling, judge
from fairlead.serving.telemetry.observed import Observed

Counts = Mapping[tuple[str, str], Observed]


@dataclass(frozen=True, kw_only=True)
class Since:
    """What had been seen when the step began, and when that was.

    Args:
        counts: By model and revision.
        at: By a clock that only rises.
    """

    counts: Counts
    at: float


class Eyes:
    """Sees what the processes count.

    Args:
        count: Tells what was seen since the server began.
        until: The time, by the clock, until which all that the processes counted is known.
        clock: Seconds, rising; the machine's, unless in tests.
    """

    def __init__(
        self,
        count: Callable[[], Counts],
        until: Callable[[], float],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count, self._until = count, until
        self._clock = clock

    def open(self, *, after: float) -> Since | None:
        """A step begins, once all that was counted before is known: it would be taken for traffic.

        Args:
            after: By the clock; what was asked until then does not belong to the step.
        """
        if self._until() < after:
            return None
        return Since(counts=self._count(), at=self._clock())

    def rule(
        self, bounds: Bounds, since: Since, model: str, *, candidate: str, others: frozenset[str]
    ) -> Ruling:
        """The judge's ruling on the step.

        Args:
            bounds: Of the deployment.
            since: The step began.
            model: That is deployed.
            candidate: The revision that comes in.
            others: Those that it shares the traffic with.
        """
        now = self._count()
        nothing = Observed()
        seen = {
            name: now.get((model, name), nothing) - since.counts.get((model, name), nothing)
            for name in {candidate, *others}
        }
        return judge(
            bounds,
            candidate=seen[candidate],
            others=reduce(add, (seen[name] for name in sorted(others)), nothing),
            seconds=self._clock() - since.at,
        )
