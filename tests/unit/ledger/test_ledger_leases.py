"""When a server's lease has ended, and when it is to be extended."""

from __future__ import annotations

import pytest

from fairlead.ledger.database import lease_has_ended, lease_is_due

NOW, LEASE, HOUR = 1000.0, 10.0, 3600.0


@pytest.mark.parametrize(("left", "ended"), [(10.0, False), (0.0, False), (-0.001, True)])
def test_a_lease_lasts_until_its_end(left: float, *, ended: bool) -> None:
    assert lease_has_ended(NOW, lease=LEASE, ends=NOW + left) is ended


def test_a_lease_that_was_given_before_the_clock_was_set_back_has_ended() -> None:
    assert lease_has_ended(NOW, lease=LEASE, ends=NOW + LEASE + HOUR)


def test_a_small_step_back_of_the_clock_ends_no_lease() -> None:
    assert not lease_has_ended(NOW, lease=LEASE, ends=NOW + LEASE + 5.0)


@pytest.mark.parametrize(
    ("left", "due"), [(10.0, False), (5.0, False), (4.999, True), (0.0, True), (-1.0, True)]
)
def test_a_lease_is_extended_once_less_than_half_is_left(left: float, *, due: bool) -> None:
    assert lease_is_due(NOW, lease=LEASE, ends=NOW + left) is due


def test_a_lease_that_ends_later_than_a_new_one_would_is_written_anew() -> None:
    assert lease_is_due(NOW, lease=LEASE, ends=NOW + LEASE + 0.001)
    assert lease_is_due(NOW, lease=1.0, ends=NOW + LEASE)


def test_no_lease_that_is_not_due_has_ended() -> None:
    for left in range(-30, 40):
        ends = NOW + left
        assert lease_is_due(NOW, lease=LEASE, ends=ends) or not lease_has_ended(
            NOW, lease=LEASE, ends=ends
        )
