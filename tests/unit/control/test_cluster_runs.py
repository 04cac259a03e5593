"""A Study as its follower tells of it, from the statuses that the operator writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fairlead.control import cluster_runs
from fairlead.control.cluster_runs import StudyOnCluster, follow
from fairlead.kube.client import Cluster
from fairlead.operator.status import MOST_FITS, RunView, of_run
from fairlead.records import Counts, FitProgress, FitReport, Run, Study
from fairlead.study.progress import FitUnderWay, SearchProgress, Silent
from fairlead.study.stop import StopRequest

STUDY = Study(id="s", name="digits", spec="{}", table="t", size=4)
REPORTS = [
    FitReport(
        id=7 + trial,
        task=3,
        attempt=1,
        at=1000.0,
        checkpointed=None if trial else 990.0,
        progress=FitProgress(
            trial=trial,
            fold=None,
            step=9,
            steps=100,
            epoch=1.0,
            loss=0.25,
            accuracy=None if trial else 0.5,
            rows_per_second=1500.0,
            workers=2,
        ),
    )
    for trial in range(20)
]


class Told(Silent):
    def __init__(self) -> None:
        self.fits: list[Sequence[FitUnderWay]] = []
        self.searches: list[SearchProgress] = []

    def fitting(self, fits: Sequence[FitUnderWay]) -> None:
        self.fits.append(fits)

    def searching(self, snapshot: SearchProgress) -> None:
        self.searches.append(snapshot)


class Statuses:
    """A cluster whose Study has one status after another, as JSON has them."""

    def __init__(self, views: Sequence[RunView]) -> None:
        self._statuses = [kept(json.loads(json.dumps(of_run(view)[0]))) for view in views]

    def get(self, _kind: Any, name: str) -> Any:
        status = {**self._statuses.pop(0), "observedGeneration": 1}
        metadata = SimpleNamespace(name=name, namespace="ml", generation=1)
        return SimpleNamespace(metadata=metadata, status=status)


def kept(value: Any) -> Any:
    """What an API server keeps of a status: no null."""
    if isinstance(value, dict):
        return {key: kept(one) for key, one in value.items() if one is not None}
    return [kept(one) for one in value] if isinstance(value, list) else value


def test_the_fits_of_a_study_are_shown_as_on_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_runs, "_EVERY", 0.0)
    began = datetime.now(UTC).timestamp() - 3600
    run = Run(id="s.1", study="s", spec="{}", began=began)
    view = RunView(run=run, study=STUDY, counts=Counts(running=1, done=1), metric="mse")
    views = [
        replace(view, fits=REPORTS),
        view,
        replace(view, run=replace(run, state="done", version=1)),
    ]
    told, cluster = Told(), cast("Cluster", Statuses(views))
    applied = StudyOnCluster(name="digits", namespace="ml", generation=1, status={})
    follow(cluster, applied, told, StopRequest())
    first, second = told.fits
    assert [fit.report for fit in first] == REPORTS[:MOST_FITS]
    assert first[0].checkpoint_age == 10.0
    assert list(second) == []
    assert 3600 <= told.searches[0].elapsed < 3700
