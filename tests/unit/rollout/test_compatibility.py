"""What is said to change for clients and operators before another revision takes the traffic."""

from __future__ import annotations

from typing import Literal

import pytest

from fairlead.records import Allowance, Column, Signature
from fairlead.rollout.start import RevisionSettings, column_changes, settings_changes

USUAL = RevisionSettings(allowance=Allowance(), sticky=None)
NARROW = RevisionSettings(allowance=Allowance(max_concurrency=8, idle_after=5.0), sticky=None)
STICKY = RevisionSettings(allowance=Allowance(deadline=2.5), sticky="header:X-User")


@pytest.mark.parametrize("terms", [USUAL, NARROW, STICKY])
def test_nothing_is_said_where_all_settings_stay(terms: RevisionSettings) -> None:
    assert settings_changes(terms, terms, name="v2", live_name="v1") == []


@pytest.mark.parametrize(
    ("wanted", "now", "changed"),
    [
        (USUAL, NARROW, "idle_after 5 -> none, max_concurrency 8 -> 256"),
        (NARROW, USUAL, "idle_after none -> 5, max_concurrency 256 -> 8"),
        (STICKY, USUAL, "deadline 10 -> 2.5, sticky none -> header:X-User"),
    ],
)
def test_each_setting_that_changes_is_named_with_both_values(
    wanted: RevisionSettings, now: RevisionSettings, changed: str
) -> None:
    told = settings_changes(wanted, now, name="v1", live_name="v1-2")
    assert told == [f"settings of `serve` change, v1-2 -> v1: {changed}"]


def takes(**kinds: Literal["number", "text", "date"] | Column) -> Signature:
    columns = tuple(
        kind if isinstance(kind, Column) else Column(name=name, kind=kind)
        for name, kind in kinds.items()
    )
    return Signature(columns=columns, target="y")


TRUTH = Column(name="a", kind="number", type="boolean")
CODE = Column(name="a", kind="text", type="number")


@pytest.mark.parametrize(
    ("signature", "now", "told"),
    [
        (takes(a="number"), takes(a="number"), []),
        (takes(b="text", a="number"), takes(a="number", b="text"), []),
        (
            takes(a="number", x="number"),
            takes(a="number"),
            [
                "v4 takes column 'x', which v3 does not: requests without it will be answered 400",
            ],
        ),
        (
            takes(a="number", x="number", z="text"),
            takes(a="number"),
            [
                (
                    "v4 takes columns 'x', 'z', which v3 does not: requests without them will be "
                    "answered 400"
                ),
            ],
        ),
        (
            takes(a="number"),
            takes(a="number", x="number"),
            [
                "v4 does not take column 'x', which v3 does: requests with it will be answered 400",
            ],
        ),
        (
            takes(a="number"),
            takes(a="text"),
            [
                (
                    "v4 takes column 'a' as a number, v3 as text: requests that send text may be "
                    "answered 400"
                ),
            ],
        ),
        (
            takes(a="date"),
            takes(a="number"),
            [
                (
                    "v4 takes column 'a' as a date, v3 as a number: requests that send a number "
                    "may be answered 400"
                ),
            ],
        ),
        (
            takes(a="number"),
            takes(a=TRUTH),
            [
                (
                    "v4 takes column 'a' as a number, v3 as a truth value: requests that send a "
                    "truth value may be answered 400"
                ),
            ],
        ),
        (
            takes(a=TRUTH),
            takes(a="number"),
            [
                (
                    "v4 takes column 'a' as a truth value, v3 as a number: requests that send a "
                    "number may be answered 400"
                ),
            ],
        ),
        (takes(a=CODE), takes(a="text"), []),
        (takes(a="text"), takes(a=CODE), []),
        (
            takes(b="number"),
            takes(a="number"),
            [
                "v4 takes column 'b', which v3 does not: requests without it will be answered 400",
                "v4 does not take column 'a', which v3 does: requests with it will be answered 400",
            ],
        ),
    ],
)
def test_each_way_in_which_requests_of_today_would_be_wrong_is_a_line(
    signature: Signature, now: Signature, told: list[str]
) -> None:
    assert column_changes(signature, now, name="v4", live_name="v3") == told
