from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.serving.routing import choose, draw_of

names = st.sampled_from(["v1", "v2", "v3", "v3-2", "v10"])
shares = st.dictionaries(names, st.integers(1, 100), min_size=1)
draws = st.floats(0, 1, exclude_max=True)


@given(shares, draws)
def test_a_draw_always_chooses_the_same_revision_whatever_the_order(
    traffic: dict[str, int], draw: float
) -> None:
    chosen = choose(traffic, draw)
    assert chosen in traffic
    assert choose(dict(reversed(traffic.items())), draw) == chosen


@given(shares, draws, st.integers(1, 300))
def test_who_saw_a_revision_still_sees_it_when_its_share_rises(
    traffic: dict[str, int], draw: float, more: int
) -> None:
    chosen = choose(traffic, draw)
    assert choose({**traffic, chosen: traffic[chosen] + more}, draw) == chosen


@given(draws)
def test_a_client_of_the_canary_stays_with_it_through_every_step(draw: float) -> None:
    seen = [choose({"v3": 100 - step, "v4": step}, draw) for step in (1, 10, 25, 50, 90)]
    seen.append(choose({"v4": 100}, draw))
    assert seen == sorted(seen), "v3 up to some step, and v4 from then on"


@given(shares, draws, names)
def test_a_revision_that_comes_or_goes_changes_nothing_among_the_others(
    traffic: dict[str, int], draw: float, name: str
) -> None:
    without = {other: share for other, share in traffic.items() if other != name}
    if without and choose({**traffic, name: 50}, draw) != name:
        assert choose({**traffic, name: 50}, draw) == choose(without, draw)


@given(draws)
def test_a_revision_without_traffic_is_never_chosen(draw: float) -> None:
    assert choose({"v3": 0, "v4": 100}, draw) == "v4"


@pytest.mark.parametrize("traffic", [{"v3": 90, "v4": 10}, {"v1": 1, "v2": 99}])
@pytest.mark.parametrize("sticky", [True, False])
def test_shares_are_what_the_split_says(traffic: dict[str, int], *, sticky: bool) -> None:
    chance, count = random.Random(0), 20_000
    chosen = [
        choose(traffic, draw_of("boston", f"user-{place}") if sticky else chance.random())
        for place in range(count)
    ]
    for name, share in traffic.items():
        expected = share / 100
        deviation = (expected * (1 - expected) / count) ** 0.5
        assert abs(chosen.count(name) / count - expected) < 4 * deviation


def test_a_client_draws_apart_for_every_model() -> None:
    keys = [f"user-{place}" for place in range(2000)]
    both = sum(draw_of("a", key) < 0.1 and draw_of("b", key) < 0.1 for key in keys)
    assert 5 < both < 45, "1 in 100, were they not the same clients"


@given(st.text(), st.text())
def test_a_clients_draw_is_the_same_number_each_time(model: str, key: str) -> None:
    assert draw_of(model, key) == draw_of(model, key)
    assert 0 <= draw_of(model, key) < 1


def test_a_clients_draw_is_the_same_in_every_release() -> None:
    assert draw_of("boston", "user-1").hex() == "0x1.1c54556b3a09cp-1"
