"""What every ledger does with schedules. Inherited as LedgerContract is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairlead.errors import Invalid, Lost, NotFound
from fairlead.ledger.interface import Ledger
from fairlead.records import Run, Schedule
from tests.contract.ledger_contract import LEASE, STUDY, wait_until_past

DAILY = Schedule(
    model="prices",
    every=86400.0,
    source="new.csv",
    deploy=True,
    priority=3,
    by="jo@desk",
    first=1000.25,
    due=2000.5,
)
RUN = Run(id="", study=STUDY.id, spec='{"name": "prices"}')


def held(ledger: Ledger, by: str = "one", *, lease: float = LEASE) -> Schedule:
    ledger.studies.open(STUDY)
    schedule = ledger.schedules.put(DAILY)
    assert ledger.schedules.take(schedule, by, lease=lease)
    return replace(schedule, holder=by)


class SchedulesContract:
    def test_a_schedule_is_kept_as_it_was_asked_for(self, ledger: Ledger) -> None:
        before = ledger.now()
        put = ledger.schedules.put(DAILY)
        assert put == replace(DAILY, created=put.created)
        assert before <= put.created <= ledger.now()
        assert ledger.schedules.get("prices") == put
        other = ledger.schedules.put(Schedule(model="boston", every=60.0))
        assert list(ledger.schedules.all()) == [other, put]

    @pytest.mark.parametrize(
        "change",
        [
            {"every": 0.0},
            {"every": -60.0},
            {"every": 59.9},
            {"every": 1e300},
            {"first": -1e300},
            {"due": 1e300},
            {"priority": 1 << 62},
            {"model": "a\nb"},
        ],
        ids=repr,
    )
    def test_a_schedule_that_cannot_be_is_refused(
        self, ledger: Ledger, change: dict[str, float | str]
    ) -> None:
        with pytest.raises(Invalid, match="must be"):
            ledger.schedules.put(replace(DAILY, **change))  # type: ignore[arg-type] # of its fields
        assert list(ledger.schedules.all()) == []
        ledger.schedules.put(DAILY)
        with pytest.raises(Invalid, match="must be"):
            ledger.schedules.resume("prices", due=-1e300)

    def test_one_that_is_changed_keeps_what_came_of_it(self, ledger: Ledger) -> None:
        schedule = held(ledger)
        ledger.schedules.note(schedule, outcome="failed", reason="no data", due=3000.0)
        ledger.schedules.pause("prices")
        weekly = replace(DAILY, every=7 * 86400.0, source=None, priority=None, due=4000.0)
        changed = ledger.schedules.put(weekly)
        assert (changed.outcome, changed.reason) == ("failed", "no data")
        assert changed.created == schedule.created
        assert (changed.every, changed.source, changed.due) == (7 * 86400.0, None, 4000.0)
        assert not changed.paused

    def test_a_schedule_that_is_not_there_is_not_found(self, ledger: Ledger) -> None:
        for asked in (
            lambda: ledger.schedules.get("prices"),
            lambda: ledger.schedules.remove("prices"),
            lambda: ledger.schedules.pause("prices"),
            lambda: ledger.schedules.resume("prices", due=0.0),
        ):
            with pytest.raises(NotFound, match="'prices' has no schedule"):
                asked()
        ledger.schedules.put(DAILY)
        ledger.schedules.remove("prices")
        assert list(ledger.schedules.all()) == []

    def test_one_process_holds_a_due_time(self, ledger: Ledger) -> None:
        schedule = held(ledger)
        assert ledger.schedules.get("prices").holder == "one"
        assert not ledger.schedules.take(schedule, "two", lease=LEASE)
        assert ledger.schedules.take(schedule, "one", lease=LEASE)
        ledger.schedules.release("prices", "two")  # who does not hold it
        assert not ledger.schedules.take(schedule, "two", lease=LEASE)
        ledger.schedules.release("prices", "one")
        assert ledger.schedules.take(schedule, "two", lease=LEASE)

    def test_another_takes_over_once_the_lease_has_ended(self, ledger: Ledger) -> None:
        schedule = held(ledger, lease=0.001)
        wait_until_past(ledger, ledger.now() + 0.002)
        assert ledger.schedules.get("prices").holder is None
        assert ledger.schedules.take(schedule, "two", lease=LEASE)
        with pytest.raises(Lost):
            ledger.schedules.begin(schedule, RUN, due=3000.0)
        with pytest.raises(Lost):
            ledger.schedules.note(schedule, outcome="failed", reason="late", due=3000.0)
        assert list(ledger.runs.all()) == []
        assert ledger.schedules.get("prices").due == DAILY.due

    def test_a_due_time_ends_with_a_run_and_the_next_one(self, ledger: Ledger) -> None:
        schedule = held(ledger)
        before = ledger.now()
        run = ledger.schedules.begin(schedule, RUN, due=3000.0)
        assert ledger.runs.get(run.id) == run
        after = ledger.schedules.get("prices")
        assert (after.run, after.outcome, after.reason) == (run.id, "began", "")
        assert (after.due, after.first, after.holder) == (3000.0, DAILY.first, None)
        assert after.noted is not None
        assert before <= after.noted <= ledger.now()
        with pytest.raises(Lost):
            ledger.schedules.begin(schedule, RUN, due=4000.0)
        assert not ledger.schedules.take(schedule, "two", lease=LEASE)  # that time is over
        assert ledger.schedules.take(after, "two", lease=LEASE)

    def test_a_due_time_without_a_run_ends_with_its_reason(self, ledger: Ledger) -> None:
        schedule = held(ledger)
        run = ledger.schedules.begin(schedule, RUN, due=3000.0)
        assert ledger.schedules.take(ledger.schedules.get("prices"), "one", lease=LEASE)
        following = replace(ledger.schedules.get("prices"), holder="one")
        ledger.schedules.note(following, outcome="skipped", reason="goes on", due=5000.0)
        after = ledger.schedules.get("prices")
        assert (after.run, after.outcome, after.reason) == (run.id, "skipped", "goes on")
        assert (after.due, after.holder) == (5000.0, None)

    def test_who_holds_one_that_is_changed_or_removed_has_lost_it(self, ledger: Ledger) -> None:
        schedule = held(ledger)
        ledger.schedules.put(replace(DAILY, every=60.0))
        with pytest.raises(Lost):
            ledger.schedules.begin(schedule, RUN, due=3000.0)
        schedule = held(ledger)
        ledger.schedules.remove("prices")
        with pytest.raises(Lost):
            ledger.schedules.note(schedule, outcome="failed", reason="", due=3000.0)
        assert not ledger.schedules.take(schedule, "one", lease=LEASE)
        assert list(ledger.runs.all()) == []

    def test_a_paused_one_is_taken_by_nobody_until_it_is_resumed(self, ledger: Ledger) -> None:
        schedule = ledger.schedules.put(DAILY)
        assert ledger.schedules.pause("prices").paused
        assert not ledger.schedules.take(schedule, "one", lease=LEASE)
        resumed = ledger.schedules.resume("prices", due=9000.0)
        assert (resumed.paused, resumed.due) == (False, 9000.0)
        assert ledger.schedules.resume("prices", due=1.0).due == 9000.0  # it was not paused
        assert ledger.schedules.take(resumed, "one", lease=LEASE)

    def test_what_is_being_begun_when_it_is_paused_begins(self, ledger: Ledger) -> None:
        schedule = held(ledger)
        ledger.schedules.pause("prices")
        assert ledger.schedules.take(schedule, "one", lease=LEASE)
        assert ledger.schedules.begin(schedule, RUN, due=3000.0).state == "running"
