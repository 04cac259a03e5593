"""A deployment as it goes, in lines."""

from __future__ import annotations

from dataclasses import replace

from fairlead.cli.steps import Lines, step
from fairlead.records import Bounds, Deployment

BEGUN = Deployment(
    model="m",
    number=2,
    revision="v2",
    steps=(10, 100),
    bounds=Bounds(),
    base=1,
    step=0,
    state="running",
    reason="",
    server="one",
)


def test_what_it_waits_for_is_said_at_once_and_again_now_and_then() -> None:
    said, now = list[str](), [0.0]
    lines = Lines(said=said.append, clock=lambda: now[0])
    lines.tell(BEGUN)
    waiting = replace(BEGUN, reason="at 10 % of the traffic: 0 of 100 requests so far")
    for now[0] in (1.0, 1.1, 9.0, 11.5, 12.0):
        lines.tell(waiting)
    lines.tell(replace(waiting, reason="at 10 % of the traffic: 7 of 100 requests so far"))
    assert said == [
        "m v2: 10 % of the traffic (step 1 of 2)",
        "m v2: at 10 % of the traffic: 0 of 100 requests so far",
        "m v2: at 10 % of the traffic: 0 of 100 requests so far",
    ]


def test_the_first_revision_is_not_called_a_step() -> None:
    first = replace(BEGUN, base=None, step=1)
    assert step(first) == "m v2: 100 % of the traffic (the first revision gets everything at once)"
