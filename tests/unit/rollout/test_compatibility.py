"""Which serving settings are said to change before another revision takes the traffic."""

from __future__ import annotations

import pytest

from fairlead.records import Allowance
from fairlead.rollout.compatibility import Terms, retuned

USUAL = Terms(allowance=Allowance(), sticky=None)
NARROW = Terms(allowance=Allowance(max_concurrency=8, idle_after=5.0), sticky=None)
STICKY = Terms(allowance=Allowance(deadline=2.5), sticky="header:X-User")


@pytest.mark.parametrize("terms", [USUAL, NARROW, STICKY])
def test_nothing_is_said_where_all_settings_stay(terms: Terms) -> None:
    assert retuned(terms, terms, name="v2", live="v1") == []


@pytest.mark.parametrize(
    ("wanted", "now", "changed"),
    [
        (USUAL, NARROW, "idle_after 5 -> none, max_concurrency 8 -> 256"),
        (NARROW, USUAL, "idle_after none -> 5, max_concurrency 256 -> 8"),
        (STICKY, USUAL, "deadline 10 -> 2.5, sticky none -> header:X-User"),
    ],
)
def test_each_setting_that_changes_is_named_with_both_values(
    wanted: Terms, now: Terms, changed: str
) -> None:
    told = retuned(wanted, now, name="v1", live="v1-2")
    assert told == [f"settings of `serve` change, v1-2 -> v1: {changed}"]
