"""What every ledger does for who reads in pages and follows. Inherited by each ledger's test."""

from __future__ import annotations

from dataclasses import replace

from fairlead.ledger.interface import Ledger
from fairlead.records import NumberedEvent, Run, TrialRow
from tests.contract.ledger_contract import STUDY, done, finish, must_claim, refit, task

RUN = Run(id="", study=STUDY.id, spec="{}")


def all_trials(ledger: Ledger, limit: int) -> list[TrialRow]:
    found: list[TrialRow] = []
    mark = None
    while True:
        page, mark = ledger.studies.trials_page(STUDY.id, after=mark, limit=limit)
        assert len(page) <= limit
        found += page
        if mark is None:
            return found
        assert len(page) == limit


def settled(ledger: Ledger) -> int:
    mark = ledger.histories.mark()
    assert ledger.histories.is_settled(mark)
    return mark.last


class PagingContract:
    def test_studies_and_runs_come_in_pages_the_newest_first(self, ledger: Ledger) -> None:
        for letter in "abcde":
            ledger.studies.open(replace(STUDY, id=letter * 64))
            ledger.runs.open(replace(RUN, study=letter * 64))
        studies, runs = ledger.studies.all(), ledger.runs.all()
        assert list(ledger.studies.page(after=None, limit=2)) == list(studies[:2])
        assert list(ledger.studies.page(after=studies[1].id, limit=9)) == list(studies[2:])
        assert list(ledger.runs.page(after=None, limit=2)) == list(runs[:2])
        assert list(ledger.runs.page(after=runs[1].id, limit=9)) == list(runs[2:])
        assert list(ledger.runs.page(after="none", limit=9)) == []
        assert list(ledger.studies.page(after="none", limit=9)) == []

    def test_pages_of_trials_are_the_trials_whatever_became_of_them(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.studies.open(replace(STUDY, id="9" * 64))
        ledger.tasks.add(STUDY.id, [task(0, 1, 2), task(3), task(4), task(5, 6)])
        ledger.tasks.add("9" * 64, [task(0), task(1)])
        ledger.tasks.add(STUDY.id, [task(7), task(8), task(9), task(10), refit(3)])
        claim = ledger.tasks.claim("w", lease=60, study=STUDY.id)
        assert claim is not None
        ledger.tasks.commit(claim, [done(0), done(1), done(2)])
        assert ledger.tasks.claim("w", lease=60, study=STUDY.id)
        wanted = list(ledger.studies.trials(STUDY.id))
        assert len(wanted) == 10
        for limit in (1, 2, 3, 4, 9, 10, 11):
            assert all_trials(ledger, limit) == wanted

    def test_trials_beyond_the_size_are_on_no_page(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(number) for number in range(10)])
        finish(ledger, size=3, best=1)
        assert [row.trial.number for row in all_trials(ledger, 2)] == [0, 1, 2]

    def test_the_leading_trial_is_the_first_with_the_best_score(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0, 1, 2)])
        assert ledger.studies.leading(STUDY.id, highest=True) is None
        ledger.tasks.commit(must_claim(ledger), [done(0, 1.0), done(1, 2.0), done(2, 2.0)])
        highest, lowest = (ledger.studies.leading(STUDY.id, highest=way) for way in (True, False))
        assert highest is not None
        assert lowest is not None
        assert (highest.number, lowest.number) == (1, 0)
        assert ledger.studies.result(STUDY.id, 2) == replace(highest, number=2)
        assert ledger.studies.result(STUDY.id, 7) is None

    def test_the_history_is_read_from_any_line_on(self, ledger: Ledger) -> None:
        assert settled(ledger) == 0
        other = replace(STUDY, id="9" * 64)
        ledger.studies.open(STUDY)
        ledger.studies.open(other)
        ledger.studies.pause(STUDY.id, by="ann")
        ledger.studies.resume(other.id)
        upto = settled(ledger)
        assert upto == ledger.histories.last()
        ledger.studies.prioritize(STUDY.id, 3, by="ann")

        every = ledger.histories.lines(after=0, upto=upto, limit=9)
        assert [line.event.kind for line in every] == ["opened", "opened", "paused", "resumed"]
        assert [line.event.study for line in every[:2]] == [STUDY.id, other.id]
        assert every[2].event.text == "by ann"
        rest: list[NumberedEvent] = [
            *ledger.histories.lines(after=every[0].id, upto=settled(ledger), limit=9)
        ]
        assert rest[:3] == list(every[1:])
        assert rest[3].event.text == "to 3 by ann"
        own = ledger.histories.lines(after=0, upto=settled(ledger), limit=2, study=STUDY.id)
        assert [line.event for line in own] == list(ledger.studies.events(STUDY.id)[:2])
