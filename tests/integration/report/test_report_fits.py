"""What a report gathers of fits that were made in steps."""

from __future__ import annotations

from pathlib import Path

from tests.contract.fits_contract import progress
from tests.integration.worker.test_worker_loop import made_shop

from fairlead.artifacts import Artifacts
from fairlead.records import NewTask, Result, Trial
from fairlead.report import page
from fairlead.report.material import load
from fairlead.stores import Stores


def trial(number: int) -> Trial:
    return Trial(number=number, family="sklearn.linear_model:Ridge", params={"alpha": 1.0 + number})


def test_the_fits_of_the_best_trials_are_shown_by_the_best_of_those_that_share_one(
    tmp_path: Path,
) -> None:
    with made_shop(tmp_path) as shop:
        tasks, fits, study = shop.ledger.tasks, shop.ledger.fits, shop.study.id
        tasks.add(study, [NewTask(kind="trials", trials=(trial(3), trial(4)))])
        for scores in ({0: 3.0}, {1: 2.0}, {2: None}, {3: 1.5, 4: 1.0}):
            claim = tasks.claim("w", lease=60.0)
            assert claim is not None
            first = claim.trials[0].number
            for step in range(3):
                fits.report(claim, progress(first, step))
            results = [
                Result(number=number, state="failed" if score is None else "done", score=score)
                for number, score in scores.items()
            ]
            tasks.commit(claim, results)
        tasks.add(study, [NewTask(kind="refit", trials=(trial(4),))])
        claim = tasks.claim("w", lease=60.0)
        assert claim is not None
        fits.report(claim, progress(4, 9))
        stores = Stores(ledger=shop.ledger, artifacts=Artifacts(shop.worker.artifacts))
        material = load(shop.ledger.studies.get(study), stores)
    shown = {
        number: [report.progress.step for report in reports]
        for number, reports in material.fits.items()
    }
    # An error: the lowest is the best.
    assert list(shown.items()) == [(4, [0, 1, 2, 9]), (1, [0, 1, 2]), (0, [0, 1, 2])]
    assert 'data-chart="fit_workers"' in page.render(material, library="")


def test_a_study_without_such_fits_has_none_of_it(tmp_path: Path) -> None:
    with made_shop(tmp_path) as shop:
        stores = Stores(ledger=shop.ledger, artifacts=Artifacts(shop.worker.artifacts))
        material = load(shop.study, stores)
    assert material.fits == {}
    assert 'data-chart="fit' not in page.render(material, library="")
