"""Trials are pruned at the ends of epochs, the same ones whatever computes and whatever dies."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.integration.job.conftest import Place
from tests.integration.job.test_killed import children, workers
from tests.support import softmax
from tests.support.waiting import wait_until

SPEC = """
name: curves
data: {source: digits}
search:
  method: %s
  folds: 2
  trials: 30
  lag: 4
  prune: median
  over:
    - family: "./softmax.py:Softmax"
      params: {epochs: 4, learning_rate: {low: 1.0e-5, high: 1.0e-2, log: true}, pause: %s}
train: {workers: %d, microbatches: 3, checkpoint: 0.2s}
promote: {when: never}
"""
METHODS = ("random", "tpe")
Told = list[tuple[Any, ...]]


def written(place: Place, method: str, *, ranks: int = 1, pause: float = 0.0) -> Place:
    shutil.copy(softmax.__file__, place.folder / "softmax.py")
    place.write("curves.yaml", SPEC % (method, pause, ranks))
    place.environ["FAIRLEAD_LEASE"] = "2"
    return place


def told(outcome: dict[str, Any]) -> Told:
    keys = ("number", "state", "scores", "curve", "reason")
    return [(t["params"]["learning_rate"], *(t[key] for key in keys)) for t in outcome["trials"]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Told]:
    """What one worker makes of the study with this method."""

    @cache
    def made(method: str) -> Told:
        calm = written(Place(folder=tmp_path_factory.mktemp(method)), method)
        return told(calm.json("run", "curves.yaml", "--workers", "1"))

    return made


@pytest.mark.parametrize("method", METHODS)
def test_some_trials_stop_within_their_first_fold(
    undisturbed: Callable[[str], Told], method: str
) -> None:
    trials = undisturbed(method)
    assert len(trials) == 30
    stopped = [t for t in trials if t[2] == "pruned" and t[3] == []]
    assert stopped
    for _, number, _, _, curve, reason in stopped:
        assert number >= 14, "ten results must be seen, and the last four are not"
        assert len(curve) in {2, 3}
        assert reason.startswith(f"fold 0: its score after epoch {len(curve)}, {curve[-1]:.6g}, is")
    whole = [t for t in trials if t[2] == "done"]
    assert {len(t[4]) for t in whole} == {4}
    assert all(t[4][-1] == t[3][0] for t in whole), "the last score is the fold's"


@pytest.mark.parametrize(
    ("method", "count", "ranks"),
    [
        ("tpe", 3, 1),
        ("random", 1, 2),
        pytest.param("random", 3, 1, marks=pytest.mark.long),
        pytest.param("tpe", 1, 2, marks=pytest.mark.long),
    ],
)
def test_the_same_trials_stop_at_the_same_epochs_whoever_computes_them(
    place: Place, undisturbed: Callable[[str], Told], method: str, count: int, ranks: int
) -> None:
    written(place, method, ranks=ranks)
    outcome = place.json("run", "curves.yaml", "--workers", str(count))
    assert told(outcome) == undisturbed(method)


def ended(place: Place) -> int:
    """How many trials have ended."""
    path = place.home / "ledger.db"
    with (
        contextlib.suppress(sqlite3.OperationalError),  # the tables are being made
        contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger,
    ):
        return int(ledger.execute("select count(*) from results").fetchone()[0])
    return 0


@pytest.mark.parametrize("kill", [workers, pytest.param(children, marks=pytest.mark.long)])
def test_the_same_trials_stop_where_workers_are_killed_on_the_way(
    place: Place, undisturbed: Callable[[str], Told], kill: Any
) -> None:
    run = written(place, "random", pause=0.001).start("run", "curves.yaml", "--workers", "2")
    for trials in (6, 15, 20):
        wait_until(lambda least=trials: ended(place) >= least, seconds=300)
        for process in kill(place)[:1]:
            process.kill()
    assert run.wait(300) == 0, (place.folder / "output.log").read_text()
    outcome = {"trials": place.json("trials", "curves")}
    assert told(outcome) == undisturbed("random")
    assert max(trial["attempts"] for trial in outcome["trials"]) > 1
