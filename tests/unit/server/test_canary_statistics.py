"""When a step of a deployment begins to be judged."""

from __future__ import annotations

from fairlead.records import Bounds
from fairlead.server.canary import Wait
from fairlead.server.canary_statistics import Eyes
from fairlead.serving.telemetry.observed import Observed


class Seen:
    """What is known of the processes' counts, and until when."""

    def __init__(self) -> None:
        self.until = 10.0
        self.requests = 0

    def eyes(self) -> Eyes:
        return Eyes(
            lambda: {("m", "v2"): Observed(requests=self.requests)},
            lambda: self.until,
            clock=lambda: 12.0,
        )


def test_golden_rows_that_are_told_of_late_are_no_traffic_of_the_step() -> None:
    seen = Seen()
    eyes = seen.eyes()
    assert eyes.open(after=11.0) is None  # a process has not told yet of what it was asked
    seen.until, seen.requests = 11.5, 64
    since = eyes.open(after=11.0)
    assert since is not None
    seen.requests = 70
    bounds = Bounds(requests=100)
    ruling = eyes.rule(bounds, since, "m", candidate="v2", others=frozenset())
    assert ruling == Wait(reason="6 of 100 requests so far")
