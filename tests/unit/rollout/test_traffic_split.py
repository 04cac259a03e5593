"""Traffic while a revision comes in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fairlead.records import Route
from fairlead.rollout.traffic_split import FULL, out_of_service_reason, with_share


def test_the_others_keep_their_proportions() -> None:
    assert with_share({"v1": 50, "v2": 50}, "v3", 10) == {"v1": 45, "v2": 45, "v3": 10}


def test_the_first_revision_gets_everything() -> None:
    assert with_share({}, "v1", 10) == {"v1": 100}


def test_a_revision_that_serves_already_only_gets_more() -> None:
    assert with_share({"v1": 90, "v2": 10}, "v2", 50) == {"v1": 50, "v2": 50}


def test_at_a_hundred_percent_nobody_else_is_left() -> None:
    assert with_share({"v1": 34, "v2": 66}, "v3", 100) == {"v3": 100}


def test_who_has_no_traffic_is_told_since_when_and_why() -> None:
    route = Route(
        model="m",
        number=2,
        traffic={},
        kind="undeploy",
        why="nobody\n asks",
        details="",
        at=86400.5,
    )
    assert out_of_service_reason(route) == "out of service since 1970-01-02T00:00:00Z: nobody asks"
    served = Route(model="m", number=1, traffic={"v1": 100}, kind="set", why="so", details="")
    assert not out_of_service_reason(served)


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 100), max_size=8),
    st.integers(1, 100),
)
def test_shares_are_whole_percents_that_make_a_hundred(weights: dict[str, int], share: int) -> None:
    found = with_share(weights, "z", share)
    assert sum(found.values()) == FULL
    assert all(percent > 0 for percent in found.values())
    assert found["z"] == (share if weights else FULL)
