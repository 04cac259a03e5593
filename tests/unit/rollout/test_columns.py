"""What clients are told to change before another version takes the traffic."""

from __future__ import annotations

from typing import Literal

import pytest

from fairlead.records import Column, Signature
from fairlead.rollout.columns import changes


def takes(**kinds: Literal["number", "text"]) -> Signature:
    columns = tuple(Column(name=name, kind=kind) for name, kind in kinds.items())
    return Signature(columns=columns, target="y")


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
    assert changes(signature, now, version="v4", live="v3") == told
