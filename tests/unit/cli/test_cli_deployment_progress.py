"""A deployment as it goes, in lines."""

from __future__ import annotations

from dataclasses import replace

from fairlead.cli.deployment_progress import IdleCanary, Lines, step, waits
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

HINT = (
    "a canary advances as clients send requests; `fairlead route m --set v2=100` gives it all of "
    "the traffic; Ctrl-C or `deploy --timeout` ends only the waiting"
)


def test_what_it_waits_for_is_said_at_once_and_again_now_and_then() -> None:
    said, now = list[str](), [0.0]
    lines = Lines(BEGUN, write=said.append, clock=lambda: now[0])
    lines.show(BEGUN)
    waiting = replace(BEGUN, reason="at 10 % of the traffic: 0 of 100 requests so far")
    for now[0] in (1.0, 1.1, 9.0, 11.5, 12.0):
        lines.show(waiting)
    lines.show(replace(waiting, reason="at 10 % of the traffic: 7 of 100 requests so far"))
    assert said == [
        "m v2: 10 % of the traffic (step 1 of 2)",
        "m v2: at 10 % of the traffic: 0 of 100 requests so far",
        "m v2: at 10 % of the traffic: 0 of 100 requests so far",
        HINT,
    ]


def test_how_a_canary_goes_on_that_nobody_asks_is_said_once() -> None:
    now = [0.0]
    canary = IdleCanary(clock=lambda: now[0])
    said = list[str]()
    for now[0] in (0.0, 9.9, 10.0, 30.0, 60.0):
        said.append(canary.hint(BEGUN))
    assert said == ["", "", HINT, "", ""]


def test_while_something_moves_nobody_is_told_how_a_canary_goes_on() -> None:
    now = [0.0]
    canary = IdleCanary(clock=lambda: now[0])
    for count in range(9):
        now[0] = 6.0 * count
        assert not canary.hint(replace(BEGUN, reason=f"{count} of 100 requests so far"))


def test_no_way_on_is_told_where_no_request_is_waited_for() -> None:
    now = [0.0]
    canary = IdleCanary(clock=lambda: now[0])
    for now[0] in (0.0, 60.0):
        assert not canary.hint(replace(BEGUN, step=-1))
        assert not canary.hint(replace(BEGUN, step=1))


def test_who_asked_for_it_is_not_told_as_what_it_waits_for() -> None:
    begun = replace(BEGUN, step=-1, reason="anna@laptop")
    said = list[str]()
    Lines(begun, write=said.append, clock=lambda: 0.0).show(begun)
    assert said == ["m v2: verified before it gets traffic"]
    assert waits(begun, begun) == "m v2: verified before it gets traffic"


def test_the_first_revision_is_not_called_a_step() -> None:
    first = replace(BEGUN, base=None, step=1)
    assert step(first) == "m v2: 100 % of the traffic (the first revision gets everything at once)"
