"""What a fit tells, from a real child through its worker into the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.worker.test_worker_loop import Shop, made_shop

from fairlead.artifacts import Artifacts
from fairlead.errors import Unreachable
from fairlead.gang import checkpoint as checkpoints
from fairlead.ledger.fits import SqlFits
from fairlead.ledger.tasks import SqlTasks
from fairlead.records import Claim, FitProgress
from fairlead.worker import decide, process

ROOT = Path(__file__).parents[3]
STEPS = 30

pytestmark = pytest.mark.timeout(120)

Fitting = Callable[..., None]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with made_shop(tmp_path) as made:
        yield made


@pytest.fixture
def fitting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fitting:
    """Have children fit in steps, and tell at this rate."""

    def fit(
        *, report: float = 0.0, checkpoint: float = 0.0, seconds: float = 0.002, steps: int = STEPS
    ) -> None:
        monkeypatch.setattr(process, "PROGRAM", "tests.support.stepwise_child")
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("STEPS", str(steps))
        monkeypatch.setenv("STEP_SECONDS", str(seconds))
        monkeypatch.setenv("STEPS_TAKEN", str(tmp_path / "steps"))
        monkeypatch.setenv("REPORT_SECONDS", str(report))
        monkeypatch.setenv("CHECKPOINT_SECONDS", str(checkpoint))

    return fit


class EndsAfter(SqlTasks):
    """Tasks whose worker stops after its first."""

    worker: Any

    def claim(self, worker: str, **how: Any) -> Claim | None:
        self.worker.stop.after_task = True
        found = super().claim(worker, **how)
        self.worker.stop.after_task = False
        return found

    def commit_and_claim(self, completed: Any, **how: Any) -> Any:
        self.worker.stop.ask()
        return super().commit_and_claim(completed, **{**how, "most": 0})


def work_on_one_task(shop: Shop) -> None:
    shop.ledger.tasks = tasks = EndsAfter(shop.ledger._database)
    tasks.worker = shop.worker
    shop.worker.run()


def steps_taken(tmp_path: Path) -> list[tuple[int, int]]:
    """Of each step that was taken: rows of its fold, and its number."""
    lines = (tmp_path / "steps").read_text().splitlines()
    return [(int(rows), int(step)) for rows, step in map(str.split, lines)]


def test_what_a_fit_tells_is_in_the_ledger_with_the_end_of_each_fit(
    shop: Shop, fitting: Fitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitting(checkpoint=3600.0)
    monkeypatch.setattr(decide, "REPORT_EVERY", 0.0)
    work_on_one_task(shop)
    reports = shop.ledger.fits.reports(shop.study.id)
    told = [(report.progress.fold, report.progress.step) for report in reports]
    assert told == sorted(told)
    assert told[-1] == (1, STEPS - 1)
    last = reports[-1].progress
    assert (last.trial, last.steps, last.loss, last.workers) == (0, STEPS, 1 / STEPS, 1)
    assert last.rows_per_second > 0
    assert shop.ledger.studies.counts(shop.study.id).done == 1


def test_a_fit_that_tells_without_pause_is_reported_now_and_then(
    shop: Shop, fitting: Fitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitting(seconds=0.0, steps=3000, checkpoint=3600.0)
    heard: list[float] = []

    class Heard(EndsAfter):
        def heartbeat(self, claim: Claim, *, lease: float) -> None:
            heard.append(lease)
            super().heartbeat(claim, lease=lease)

    monkeypatch.setattr(decide, "REPORT_EVERY", 3600.0)
    shop.worker.lease = 0.5  # so that its lease is extended while the child tells
    shop.ledger.tasks = tasks = Heard(shop.ledger._database)
    tasks.worker = shop.worker
    shop.worker.run()
    reports = shop.ledger.fits.reports(shop.study.id)
    assert len(reports) == 2  # the first that came, and the last
    assert reports[-1].progress.step == 2999
    assert shop.ledger.studies.counts(shop.study.id).done == 1
    assert heard


def test_another_attempt_goes_on_from_the_last_checkpoint(
    shop: Shop, fitting: Fitting, tmp_path: Path
) -> None:
    fitting(seconds=0.02)
    stopping = shop.worker

    class StopsAtCheckpoint(SqlFits):
        def report(self, claim: Claim, progress: FitProgress) -> None:
            super().report(claim, progress)
            if progress.checkpoint and progress.step >= 3:
                stopping.stop.ask(at_once=True)

    shop.ledger.fits = StopsAtCheckpoint(shop.ledger._database)
    # so that each is reported
    with pytest.MonkeyPatch.context() as soon:
        soon.setattr(decide, "REPORT_EVERY", 0.0)
        stopping.run()
    assert shop.history() == [("claimed", 1), ("released", 1)]
    before = steps_taken(tmp_path)
    kept = shop.ledger.fits.reports(shop.study.id)[-1].progress
    assert kept.checkpoint is not None

    shop.ledger.fits = SqlFits(shop.ledger._database)
    claim = shop.ledger.tasks.claim("looks", lease=60.0)
    assert claim is not None
    assert claim.checkpoint == kept.checkpoint
    shop.ledger.tasks.release(claim, "looked")
    stopping.stop = type(stopping.stop)()
    work_on_one_task(shop)
    after = steps_taken(tmp_path)[len(before) :]
    assert after[0][1] == kept.step + 1
    assert shop.ledger.studies.counts(shop.study.id).done == 1
    assert set(shop.ledger.roots.digests()) == {
        digest for digest in (shop.study.table,) if digest is not None
    }


def test_checkpoints_go_once_another_takes_their_place_or_the_result_is_there(
    shop: Shop, fitting: Fitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitting(seconds=0.01)
    store = Artifacts(shop.worker.artifacts)
    seen: list[str] = []

    class Looks(SqlFits):
        def report(self, claim: Claim, progress: FitProgress) -> None:
            super().report(claim, progress)
            if progress.checkpoint is not None:
                assert store.exists(progress.checkpoint)
                assert [one for one in seen if store.exists(one)] == seen[-1:]
                seen.append(progress.checkpoint)

    monkeypatch.setattr(decide, "REPORT_EVERY", 0.0)
    shop.ledger.fits = Looks(shop.ledger._database)
    shop.worker.remove_checkpoint = lambda digest, at: store.delete(digest, unless_after=at)
    work_on_one_task(shop)
    assert len(seen) > 5
    assert not any(store.exists(one) for one in seen)
    assert shop.ledger.studies.counts(shop.study.id).done == 1


def test_who_is_asked_to_leave_gives_a_fit_back_at_its_next_checkpoint(
    shop: Shop, fitting: Fitting, tmp_path: Path
) -> None:
    fitting(seconds=0.02, steps=10_000, checkpoint=0.2)

    class Asked(SqlFits):
        def report(self, claim: Claim, progress: FitProgress) -> None:
            super().report(claim, progress)
            shop.ledger.tasks.ask_to_leave([shop.worker.name])

    shop.ledger.fits = Asked(shop.ledger._database)
    shop.worker.run()
    assert shop.history() == [("claimed", 1), ("released", 1)]
    claim = shop.ledger.tasks.claim("looks", lease=60.0)
    assert claim is not None
    assert claim.checkpoint is not None
    assert len(steps_taken(tmp_path)) < 1000


def test_a_checkpoint_that_cannot_be_removed_costs_nothing(shop: Shop, fitting: Fitting) -> None:
    fitting(checkpoint=0.05)
    noted: list[str] = []

    def refuse(_digest: str, _at: float) -> None:
        raise PermissionError("not yours")

    shop.worker.remove_checkpoint, shop.worker.note = refuse, noted.append
    work_on_one_task(shop)
    assert noted == ["removing a checkpoint: PermissionError: not yours; going on"]
    assert shop.ledger.studies.counts(shop.study.id).done == 1


def test_a_ledger_that_is_away_for_reports_delays_them_and_ends_no_fit(
    shop: Shop, fitting: Fitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitting(checkpoint=0.03)
    noted: list[str] = []

    class Away(SqlFits):
        asked = 0

        def report(self, claim: Claim, progress: FitProgress) -> None:
            self.asked += 1
            if self.asked <= 3:
                raise Unreachable("no ledger for a report")
            super().report(claim, progress)

    monkeypatch.setattr(decide, "REPORT_EVERY", 0.01)
    shop.ledger.fits, shop.worker.note = Away(shop.ledger._database), noted.append
    work_on_one_task(shop)
    assert noted == ["reporting a fit: no ledger for a report; going on"]
    assert shop.ledger.studies.counts(shop.study.id).done == 1
    reports = shop.ledger.fits.reports(shop.study.id)
    assert reports[-1].progress.step == STEPS - 1


def test_the_newest_checkpoint_is_told_though_no_report_of_it_came_through(
    shop: Shop, fitting: Fitting, tmp_path: Path
) -> None:
    """A worker that is told to stop reports what it has before it gives its task back."""
    fitting(seconds=0.02)
    stopping = shop.worker

    class StopsAtFirst(SqlFits):
        def report(self, claim: Claim, progress: FitProgress) -> None:
            super().report(claim, progress)
            if len(steps_taken(tmp_path)) < 8:
                return
            stopping.stop.ask(at_once=True)

    shop.ledger.fits = StopsAtFirst(shop.ledger._database)
    with pytest.MonkeyPatch.context() as soon:
        soon.setattr(decide, "REPORT_EVERY", 0.1)
        stopping.run()
    claim = shop.ledger.tasks.claim("looks", lease=60.0)
    assert claim is not None
    assert claim.checkpoint is not None
    left = checkpoints.load(Artifacts(stopping.artifacts).get(claim.checkpoint))
    assert left.place.trials == (0,)
    assert 0 < int(left.arrays["step"]) <= len(steps_taken(tmp_path))


def test_a_fit_whose_task_another_has_ends_at_its_next_report(
    shop: Shop, fitting: Fitting, tmp_path: Path
) -> None:
    fitting(seconds=0.02, steps=10_000)
    noted: list[str] = []

    class TakenAway(SqlFits):
        def report(self, claim: Claim, progress: FitProgress) -> None:
            shop.ledger.tasks.lose("w")
            assert shop.ledger.tasks.claim("other", lease=60.0) is not None
            shop.worker.stop.ask()
            super().report(claim, progress)

    shop.ledger.fits, shop.worker.note = TakenAway(shop.ledger._database), noted.append
    shop.worker.run()
    assert noted == ["task 1 attempt 1: lease lost; result discarded"]
    assert shop.ledger.fits.reports(shop.study.id) == []
    assert len(steps_taken(tmp_path)) < 10_000
