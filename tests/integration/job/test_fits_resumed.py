"""A fit that is lost goes on from its last checkpoint, to the bits that it would have had."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.job.conftest import Place, processes_of
from tests.support import softmax
from tests.support.waiting import wait_until

SPEC = """
name: shared
data: {source: digits}
search:
  method: random
  folds: 2
  trials: 1
  over:
    - family: "./softmax.py:Softmax"
      params: {epochs: 8, learning_rate: 0.002, pause: 0.01, slow: 99}
train: {workers: %d, microbatches: 3, checkpoint: 0.5s}
promote: {when: never}
"""
Told = tuple[list[float], float]


def written(place: Place, workers: int) -> Place:
    shutil.copy(softmax.__file__, place.folder / "softmax.py")
    place.write("shared.yaml", SPEC % workers)
    place.environ["FAIRLEAD_LEASE"] = "2"
    return place


def told(outcome: dict[str, Any]) -> Told:
    [trial] = outcome["trials"]
    return trial["scores"], outcome["holdout_score"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What one process makes of the study."""
    calm = written(Place(folder=tmp_path_factory.mktemp("calm")), workers=1)
    return told(calm.json("run", "shared.yaml", "--workers", "1"))


def rows(place: Place, question: str) -> list[tuple[Any, ...]]:
    path = place.home / "ledger.db"
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        return ledger.execute(question).fetchall()


def has_checkpoint(place: Place, attempt: int, fold: str) -> bool:
    """Whether an attempt has kept a checkpoint in the middle of this fit."""
    question = (
        f"select 1 from fit_progress where attempt = {attempt} and checkpoint is not null "
        f"and fold {fold} and step between 5 and steps * 3 / 4"
    )
    with contextlib.suppress(sqlite3.OperationalError):  # the tables are being made
        return bool(rows(place, question))
    return False


def named(place: Place, *words: str) -> list[psutil.Process]:
    return [one for one in processes_of(place) if set(words) & {one.name(), *one.cmdline()}]


def kill_children(place: Place) -> None:
    for process in named(place, "fairlead-child", "fairlead.worker.child"):
        process.kill()


def kill_workers(place: Place) -> None:
    for process in named(place, "worker"):
        process.kill()


def kill_all(place: Place) -> None:
    for process in processes_of(place):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


LOST = {kill_children: "its process was killed", kill_workers: "its worker ended (status -9)"}
"""What `run` says of the attempt."""
STAGES = {"first": "= 0", "second": "= 1", "refit": "is null"}
KILLS = {"first": kill_children, "second": kill_workers, "refit": kill_all}
CASES = [
    pytest.param(
        kill,
        fold,
        id=f"{stage}-{kill.__name__}",
        marks=[] if kill is KILLS[stage] else pytest.mark.long,
    )
    for stage, fold in STAGES.items()
    for kill in KILLS.values()
]
"""Each stage once, and each kill once; the others with those that take long."""


@pytest.mark.parametrize(("kill", "fold"), CASES)
def test_a_fit_whose_driver_is_killed_goes_on_from_its_checkpoint_with_another_number_of_workers(
    place: Place, undisturbed: Told, kill: Callable[[Place], None], fold: str
) -> None:
    run = written(place, workers=2).start("run", "shared.yaml", "--workers", "1")
    wait_until(lambda: has_checkpoint(place, 1, fold), seconds=240)
    kill(place)
    if kill is kill_all:
        run.wait(30)
        written(place, workers=3)
    else:
        status, said = run.wait(240), (place.folder / "output.log").read_text()
        assert status == 0, said
        assert f"lost: {LOST[kill]}" in said
        assert re.search(r"attempt 2: the fit goes on at step \d+", said)
    assert told(place.json("run", "shared.yaml", "--workers", "1")) == undisturbed
    [(told_last,)] = rows(
        place, f"select max(step) from fit_progress where attempt = 1 and fold {fold}"
    )
    [went_on, *_] = re.findall(r"the fit goes on at step (\d+)", logs(place))
    assert 0 < int(went_on) <= told_last + 1
    [(ranks,)] = rows(place, "select max(workers) from fit_progress where attempt = 2")
    assert ranks == (3 if kill is kill_all else 2)
    assert [one for one in checkpoints(place) if list(place.home.rglob(one))] == []
    assert all(path.stat().st_size for path in Path(place.home / "logs").glob("gang-*.log"))


def checkpoints(place: Place) -> list[str]:
    return [one for (one,) in rows(place, "select checkpoint from fit_progress") if one]


def logs(place: Place) -> str:
    return "".join(path.read_text() for path in Path(place.home / "logs").glob("*.log"))


@pytest.mark.parametrize("damage", [pytest.param("cut", marks=pytest.mark.long), "other"])
def test_a_damaged_checkpoint_is_said_and_the_fit_starts_anew(
    place: Place, undisturbed: Told, damage: str
) -> None:
    written(place, workers=1).start("run", "shared.yaml", "--workers", "1")
    wait_until(lambda: has_checkpoint(place, 1, "= 1"), seconds=60)
    kill_all(place)
    [(digest,)] = rows(
        place,
        "select checkpoint from fit_progress where checkpoint is not null order by id desc limit 1",
    )
    [kept] = [path for path in place.home.rglob(digest) if path.is_file()]
    content = kept.read_bytes()
    kept.chmod(0o600)
    kept.write_bytes(content[:-100] if damage == "cut" else content.replace(b"trials", b"trails"))
    assert told(place.json("run", "shared.yaml", "--workers", "1")) == undisturbed
    assert "the fit starts anew" in logs(place)


def test_a_checkpoint_of_another_spec_is_said_and_changes_no_bit(
    place: Place, undisturbed: Told
) -> None:
    written(place, workers=1)
    mine = interrupted(place, task=1)
    other = interrupted(place, "--set", "search.over[0].params.learning_rate=0.004", task=2)
    assert mine != other
    with contextlib.closing(sqlite3.connect(place.home / "ledger.db")) as ledger, ledger:
        ledger.execute("update tasks set checkpoint = ? where id = 1", (other,))
    assert told(place.json("run", "shared.yaml", "--workers", "1")) == undisturbed
    assert "the checkpoint is of another study; the fit starts anew" in logs(place)


def interrupted(place: Place, *sets: str, task: int) -> str:
    """The checkpoint that is left of this task, whose run was killed in its second fold."""
    place.start("run", "shared.yaml", "--workers", "1", *sets)
    second = f"select 1 from fit_progress where task = {task} and fold = 1 and checkpoint <> ''"

    def has_one() -> bool:
        with contextlib.suppress(sqlite3.OperationalError):  # the tables are being made
            return bool(rows(place, second))
        return False

    wait_until(has_one, seconds=60)
    kill_all(place)
    [(kept,)] = rows(place, f"select checkpoint from tasks where id = {task}")
    return str(kept)
