"""How the end of a deployment reads in the history of a model's traffic."""

from __future__ import annotations

from fairlead.cli.commands.route import of_end
from fairlead.records import ServingEvent

ENDED = ServingEvent(
    model="m", kind="undone", text="3 of 9 failed", revision="v2", deployment=4, at=1.0
)


def test_a_reason_that_stands_beside_a_route_is_not_said_again() -> None:
    assert of_end(ENDED, {"v2 gets 10 %", "3 of 9 failed"}) == "deployment 4 of v2"


def test_a_reason_that_no_route_tells_is_said() -> None:
    assert of_end(ENDED, {"v2 gets 10 %"}) == "deployment 4 of v2: 3 of 9 failed"
