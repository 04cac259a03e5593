"""The fits of a study as a listener is told of them, from a real ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.contract.fits_contract import CHECKPOINT, claimed, progress
from tests.contract.ledger_contract import STUDY, done

from fairlead.ledger.store import open_ledger
from fairlead.study.progress import FITS_EVERY, FitsWatch, FitUnderWay, Silent


class Told(Silent):
    def __init__(self) -> None:
        self.fits: list[Sequence[FitUnderWay]] = []
        self.notes: list[str] = []

    def note(self, line: str) -> None:
        self.notes.append(line)

    def fitting(self, fits: Sequence[FitUnderWay]) -> None:
        self.fits.append(fits)


def test_fits_are_told_of_now_and_then_and_once_more_when_none_goes_on(tmp_path: Path) -> None:
    now, told = [0.0], Told()
    with open_ledger(tmp_path / "ledger.db") as ledger:
        watch = FitsWatch(ledger, STUDY.id, told, clock=lambda: now[0])
        watch.look()
        assert told.fits == []
        claim = claimed(ledger)
        ledger.fits.report(claim, progress(checkpoint=CHECKPOINT))
        watch.look()
        assert told.fits == []  # too soon
        for _ in range(2):
            now[0] += FITS_EVERY
            watch.look()
        first, second = (fits[0] for fits in told.fits)
        assert (first.silent, first.checkpoint_age) == (0.0, 0.0)
        assert (second.silent, second.checkpoint_age) == (FITS_EVERY, FITS_EVERY)
        ledger.fits.report(claim, progress(step=1))
        now[0] += FITS_EVERY
        watch.look()
        assert told.fits[-1][0].report.progress.step == 1
        assert told.fits[-1][0].silent == 0.0
        ledger.tasks.commit(claim, [done(0)])
        for _ in range(2):
            now[0] += FITS_EVERY
            watch.look()
        assert [len(fits) for fits in told.fits] == [1, 1, 1, 0]


def test_what_attempts_note_and_which_are_lost_is_told_once(tmp_path: Path) -> None:
    now, told = [0.0], Told()
    with open_ledger(tmp_path / "ledger.db") as ledger:
        claim = claimed(ledger)
        ledger.fits.note(claim, "before anybody watched")
        watch = FitsWatch(ledger, STUDY.id, told, clock=lambda: now[0])
        ledger.fits.note(claim, "rank 1 ended 3 times")
        ledger.tasks.lose(claim.worker, "its process was killed")
        for _ in range(3):
            watch.look()
            now[0] += FITS_EVERY
    of = f"task {claim.task} attempt 1"
    assert told.notes == [f"{of}: rank 1 ended 3 times", f"{of}: lost: its process was killed"]
