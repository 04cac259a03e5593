"""When a search has found what it looked for.

Belongs here: the spec's `until`, judged over results. Does not: the spec's `time`, which needs a
clock and so the coordinator.
"""

from __future__ import annotations

from collections.abc import Iterable

from fairlead.metrics import Metric
from fairlead.records import Result


def reached(results: Iterable[Result], until: float | None, metric: Metric) -> int | None:
    """Number of the first trial that is as good as the spec asks for.

    Args:
        results: In trial order without gaps, so that the answer does not depend on who was first.
        until: The score asked for; None never stops a search.
        metric: Says which way is better.
    """
    if until is None:
        return None
    good = (
        result.number
        for result in results
        if result.score is not None and not metric.better(until, result.score)
    )
    return next(good, None)
