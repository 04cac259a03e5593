"""What every ledger does with the progress of fits. Inherited as LedgerContract is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fairlead.errors import Invalid, Lost
from fairlead.ledger import fits
from fairlead.ledger.interface import MAX_FAULTS, MAX_LOST, Ledger
from fairlead.records import Claim, Digest, FitProgress
from tests.contract.ledger_contract import (
    LEASE,
    STUDY,
    done,
    finish,
    let_lease_end,
    must_claim,
    refit,
    task,
)

CHECKPOINT = "c" * 64
LATER = "d" * 64


def progress(trial: int = 0, step: int = 0, checkpoint: Digest | None = None) -> FitProgress:
    return FitProgress(
        trial=trial,
        fold=1,
        step=step,
        steps=5000,
        epoch=step / 300,
        loss=1 / (step + 3),
        accuracy=0.1 + 0.2,
        rows_per_second=1234.5,
        workers=4,
        checkpoint=checkpoint,
    )


def claimed(ledger: Ledger, *trials: int) -> Claim:
    ledger.studies.open(STUDY)
    ledger.tasks.add(STUDY.id, [task(*trials or (0,))])
    return must_claim(ledger)


def steps(ledger: Ledger) -> list[int]:
    return [report.progress.step for report in ledger.fits.reports(STUDY.id)]


class FitsContract:
    """How fits go that are made in steps."""

    def test_what_a_fit_tells_comes_back_with_every_bit(self, ledger: Ledger) -> None:
        claim, before = claimed(ledger), ledger.now()
        told = [progress(), replace(progress(step=1), fold=None, accuracy=None)]
        for each in told:
            ledger.fits.report(claim, each)
        reports = ledger.fits.reports(STUDY.id)
        assert [report.progress for report in reports] == told
        assert {(report.task, report.attempt) for report in reports} == {(claim.task, 1)}
        assert before <= reports[0].at <= reports[1].at <= ledger.now()
        assert reports[1].checkpointed is None

    def test_reports_are_read_on_from_the_last_one_that_was_read(self, ledger: Ledger) -> None:
        claim = claimed(ledger)
        for step in range(5):
            ledger.fits.report(claim, progress(step=step))
        first = ledger.fits.reports(STUDY.id, limit=2)
        others = ledger.fits.reports(STUDY.id, after=first[-1].id)
        assert [one.progress.step for one in [*first, *others]] == [0, 1, 2, 3, 4]
        assert ledger.fits.reports(STUDY.id, after=others[-1].id) == []

    def test_reports_are_those_of_a_study_or_of_a_trial_of_it(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        other = ledger.studies.open(replace(STUDY, id="6" * 64))
        for study in (STUDY, other):
            ledger.tasks.add(study.id, [task(0, 1)])
            claim = must_claim(ledger)
            for number in (0, 1):
                ledger.fits.report(claim, progress(number, step=number))
        assert len(ledger.fits.reports(STUDY.id)) == 2
        (found,) = ledger.fits.reports(other.id, trial=1)
        assert (found.task, found.progress.trial) == (claim.task, 1)
        assert ledger.fits.reports("nobody") == []

    def test_what_an_attempt_notes_is_a_line_of_the_history(self, ledger: Ledger) -> None:
        claim = claimed(ledger)
        ledger.fits.note(claim, "rank 1 ended")
        last = ledger.studies.events(STUDY.id)[-1]
        assert (last.kind, last.text) == ("noted", "rank 1 ended")
        assert (last.task, last.attempt, last.worker) == (claim.task, 1, claim.worker)
        (line,) = ledger.histories.lines(after=0, upto=10**9, limit=9, kinds=["noted", "lost"])
        assert line.event == last
        assert ledger.studies.spans(STUDY.id)[0].ended is None
        ledger.tasks.lose(claim.worker, "its process was killed")
        assert ledger.studies.events(STUDY.id)[-1].text == "its process was killed"
        with pytest.raises(Lost):
            ledger.fits.note(claim, "of an attempt that is over")

    def test_of_running_fits_the_last_report_is_told(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1), task(2)])
        claims = [must_claim(ledger, f"w{number}") for number in range(3)]
        for claim in claims[:2]:
            for step in (0, 1):
                ledger.fits.report(claim, progress(claim.trials[0].number, step))
        found = ledger.fits.running(STUDY.id)
        assert [(one.progress.trial, one.progress.step) for one in found] == [(0, 1), (1, 1)]
        assert ledger.fits.running() == found
        assert ledger.fits.running("nobody") == []
        ledger.tasks.commit(claims[0], [done(0)])
        assert [one.progress.trial for one in ledger.fits.running(STUDY.id)] == [1]
        assert len(ledger.fits.reports(STUDY.id)) == 4

    def test_an_attempt_that_has_told_nothing_yet_is_not_told_of(self, ledger: Ledger) -> None:
        claim = claimed(ledger)
        ledger.fits.report(claim, progress())
        ledger.tasks.release(claim, "drained")
        must_claim(ledger)
        assert ledger.fits.running(STUDY.id) == []

    def test_the_next_attempt_is_told_of_the_last_checkpoint(self, ledger: Ledger) -> None:
        claim = claimed(ledger)
        assert claim.checkpoint is None
        for made in (CHECKPOINT, LATER, None):
            ledger.fits.report(claim, progress(checkpoint=made))
        ledger.tasks.release(claim, "drained")
        again = must_claim(ledger)
        assert again.checkpoint == LATER
        let_lease_end(ledger, again)
        third = must_claim(ledger, "other")
        assert (third.attempt, third.checkpoint) == (3, LATER)

    def test_each_report_says_when_the_last_checkpoint_was_made(self, ledger: Ledger) -> None:
        claim = claimed(ledger)
        for made in (None, CHECKPOINT, None):
            ledger.fits.report(claim, progress(checkpoint=made))
        ledger.tasks.release(claim, "drained")
        ledger.fits.report(must_claim(ledger), progress())
        none, made_at, *others = ledger.fits.reports(STUDY.id)
        assert none.checkpointed is None
        assert made_at.checkpointed == made_at.at
        assert {each.checkpointed for each in others} == {made_at.at}
        assert others[-1].attempt == 2

    def test_an_attempt_that_lost_its_task_writes_nothing(self, ledger: Ledger) -> None:
        late = claimed(ledger)
        let_lease_end(ledger, late)
        ledger.fits.report(must_claim(ledger, "other"), progress(checkpoint=CHECKPOINT))
        with pytest.raises(Lost, match="'other' has the task"):
            ledger.fits.report(late, progress(step=9, checkpoint=LATER))
        assert steps(ledger) == [0]
        assert set(ledger.roots.digests()) == {STUDY.table, CHECKPOINT}

    def test_only_tasks_that_have_not_ended_name_their_last_checkpoint(
        self, ledger: Ledger
    ) -> None:
        claim = claimed(ledger)
        for made in (CHECKPOINT, LATER):
            ledger.fits.report(claim, progress(checkpoint=made))
            assert set(ledger.roots.digests()) == {STUDY.table, made}
        ledger.tasks.commit(claim, [done(0)])
        assert set(ledger.roots.digests()) == {STUDY.table}
        ledger.tasks.add(STUDY.id, [refit(0)])
        ledger.fits.report(again := must_claim(ledger), progress(checkpoint=CHECKPOINT))
        ledger.tasks.commit_refit(again, "e" * 64)
        assert set(ledger.roots.digests()) == {STUDY.table, "e" * 64}

    def test_a_task_that_is_withdrawn_or_given_up_names_no_checkpoint(self, ledger: Ledger) -> None:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1), task(2)])
        for _ in range(MAX_LOST):
            ledger.fits.report(lost := must_claim(ledger), progress(checkpoint=CHECKPOINT))
            let_lease_end(ledger, lost)
        for trial in (1, 2):
            ledger.fits.report(claim := must_claim(ledger), progress(trial, checkpoint=LATER))
        ledger.tasks.release(claim, "drained")
        assert set(ledger.roots.digests()) == {STUDY.table, LATER}
        finish(ledger, size=1, best=None)
        assert set(ledger.roots.digests()) == {STUDY.table}

    def test_the_last_attempt_after_faults_starts_anew(self, ledger: Ledger) -> None:
        claim = claimed(ledger)
        ledger.fits.report(claim, progress(checkpoint=CHECKPOINT))
        found = []
        for _ in range(MAX_FAULTS - 1):
            ledger.tasks.fault(claim, "raised")
            found.append((claim := must_claim(ledger)).checkpoint)
        assert found == [CHECKPOINT, None]

    def test_a_shared_fit_that_is_split_names_no_checkpoint_of_its_own(
        self, ledger: Ledger
    ) -> None:
        claim = claimed(ledger, 0, 1)
        for _ in range(MAX_FAULTS - 1):
            ledger.tasks.fault(claim, "raised")
            claim = must_claim(ledger)
        ledger.fits.report(claim, progress(checkpoint=CHECKPOINT))
        ledger.tasks.fault(claim, "raised")
        again = [must_claim(ledger), must_claim(ledger)]
        assert [(len(each.trials), each.checkpoint) for each in again] == [(1, None), (1, None)]

    @pytest.mark.parametrize(
        "change",
        [
            {"trial": 3},
            {"step": -1},
            {"steps": 1 << 31},
            {"fold": -1},
            {"workers": 1 << 40},
            {"checkpoint": "../../etc/passwd"},
        ],
        ids=repr,
    )
    def test_a_report_that_cannot_be_is_refused(
        self, ledger: Ledger, change: dict[str, Any]
    ) -> None:
        claim = claimed(ledger)
        with pytest.raises(Invalid):
            ledger.fits.report(claim, replace(progress(), **change))
        assert steps(ledger) == []
        ledger.tasks.heartbeat(claim, lease=LEASE)

    @pytest.mark.parametrize("loss", [float("nan"), float("inf")])
    def test_a_loss_that_is_no_number_is_refused(self, ledger: Ledger, loss: float) -> None:
        claim = claimed(ledger)
        with pytest.raises(Invalid):
            ledger.fits.report(claim, replace(progress(), loss=loss))
        assert steps(ledger) == []

    def test_a_fit_that_tells_much_is_thinned_out_over_all_its_length(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fits, "KEPT_FIT_REPORTS", 4)
        claim = claimed(ledger)
        kept = []
        for number in range(1, 19):
            ledger.fits.report(claim, progress(step=number))
            kept.append(steps(ledger))
        assert kept[3] == [1, 2, 3, 4]
        assert kept[4] == [2, 4, 5]
        assert kept[7] == [2, 4, 6, 8]
        assert kept[8] == [4, 8, 9]
        assert kept[15] == [4, 8, 12, 16]
        assert kept[17] == [8, 16, 18]
