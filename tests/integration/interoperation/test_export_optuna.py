"""`fairlead export --to optuna`, read by Optuna itself."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from tests.integration.interoperation import searched
from tests.integration.interoperation.conftest import Home
from tests.support.postgres import database

from fairlead.export import optuna_storage
from fairlead.export.material import load
from fairlead.ledger.store import open_ledger

URL = "sqlite:///optuna.db"
STATES = {"done": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}


def read(home: Home, where: str = URL, name: str = "prices") -> optuna.Study:
    if "://" in where:
        path = home.folder.parent / where.removeprefix("sqlite:///")
        return optuna.load_study(study_name=name, storage=f"sqlite:///{path}")
    backend = JournalFileBackend(str(home.folder.parent / where))
    return optuna.load_study(study_name=name, storage=JournalStorage(backend))


@pytest.fixture(params=[URL, "journal.log"], ids=["database", "journal"])
def where(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_optuna_reads_every_trial(prices: Home, where: str) -> None:
    said = prices.json("prices", "--to", "optuna", where)
    assert (said["target"], said["name"], said["trials"], said["added"]) == (
        where,
        "prices",
        12,
        12,
    )
    study = read(prices, where)
    assert study.direction is StudyDirection.MINIMIZE
    assert study.metric_names == ["mse"]
    assert study.user_attrs["fairlead.study"] == said["study"]
    assert [trial.number for trial in study.trials] == list(range(12))
    for trial in study.trials:
        _holds(trial)
    assert study.best_trial.number == study.user_attrs["best"] == 0
    assert study.best_value == searched.result(0).score


def _holds(trial: FrozenTrial) -> None:
    mine, result = searched.trial(trial.number), searched.result(trial.number)
    assert trial.params["family"] == trial.user_attrs["family"] == mine.family
    assert trial.user_attrs["fairlead.trial"] == trial.number
    assert trial.datetime_start is not None
    assert trial.datetime_complete is not None
    assert trial.datetime_start <= trial.datetime_complete
    if trial.number == 4:
        assert trial.state is TrialState.FAIL
        assert trial.user_attrs["reason"].startswith("Poisson")
        assert trial.user_attrs["attempts"] == 3
        return
    assert trial.state.name == STATES[result.state]
    assert trial.user_attrs["fold_scores"] == list(result.scores)
    assert trial.user_attrs["seconds"] == result.seconds
    assert list(trial.intermediate_values) == list(range(1, len(result.curve or result.scores) + 1))
    assert trial.intermediate_values[1] == (result.curve or result.scores)[0]
    if result.curve:
        assert trial.value == trial.intermediate_values[2] == result.curve[1]
    if result.score is not None:
        assert trial.value == result.score


def test_families_that_share_a_parameter_share_its_name(prices: Home) -> None:
    prices.done("prices", "--to", "optuna", URL)
    found: dict[str, Any] = {}
    for trial in read(prices).trials:
        found |= trial.distributions
    assert found == {
        "family": CategoricalDistribution(("lightgbm", "forest", "ridge")),
        "num_leaves": IntDistribution(1, 64),
        "learning_rate": FloatDistribution(1e-4, 1.0, log=True),
        "extra": CategoricalDistribution((7,)),
        "alpha": FloatDistribution(0.0, 1.0, step=0.1),
        "lightgbm.max_depth": CategoricalDistribution((5, None)),
        "forest.max_depth": IntDistribution(1, 9, step=2),
        "max_features": CategoricalDistribution(("sqrt", "0.5", "1", "1.0", "true")),
    }


def test_optunas_importances_and_samplers_take_the_study(prices: Home) -> None:
    prices.done("prices", "--to", "optuna", URL)
    study = read(prices)
    assert optuna.importance.get_param_importances(study)["family"] >= 0
    study.sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=1)
    asked = study.ask({"alpha": FloatDistribution(0.0, 1.0, step=0.1)})
    assert 0 <= asked.params["alpha"] <= 1


def test_the_direction_is_the_metrics(home: Home) -> None:
    home.folder.mkdir()
    home.search(name="cells", metric="accuracy")
    home.done("cells", "--to", "optuna", URL)
    assert read(home, name="cells").direction is StudyDirection.MAXIMIZE


def test_exporting_again_adds_nothing(prices: Home, where: str) -> None:
    prices.done("prices", "--to", "optuna", where)
    before = read(prices, where).trials
    said = prices.json("prices", "--to", "optuna", where)
    assert (said["trials"], said["added"], said["updated"]) == (12, 0, 0)
    assert read(prices, where).trials == before


def test_a_study_that_went_on_is_completed(home: Home, where: str) -> None:
    home.folder.mkdir()
    home.search(until=2)
    home.done("prices", "--to", "optuna", where)
    states = [trial.state for trial in read(home, where).trials]
    assert states == [TrialState.COMPLETE] * 2 + [TrialState.RUNNING] + [TrialState.WAITING] * 9
    home.search(until=12)
    said = home.json("prices", "--to", "optuna", where)
    assert (said["added"], said["updated"]) == (0, 10)
    for trial in read(home, where).trials:
        _holds(trial)
    assert home.json("prices", "--to", "optuna", where)["updated"] == 0


def test_both_ways_of_writing_are_read_alike(prices: Home, tmp_path: Path) -> None:
    """The tables are written directly; Optuna's own methods say what must be in them."""
    with searched.opened(prices.folder) as ledger:
        material = load(ledger.studies.get("prices"), ledger)
    found: list[list[Mapping[str, object]]] = []
    for name, revisions in (("tables", optuna_storage._REVISIONS), ("methods", set[str]())):
        url = f"sqlite:///{tmp_path / name}.db"
        with pytest.MonkeyPatch.context() as patch, optuna_storage.opened(url) as storage:
            patch.setattr(optuna_storage, "_REVISIONS", revisions)
            optuna_storage.write(material, storage, on_progress=lambda *_: None)
            assert isinstance(storage, RDBStorage)
            head = storage.get_head_version()
        study = optuna.load_study(study_name="prices", storage=url)
        found.append([trial.__dict__ for trial in study.trials])
    assert found[0] == found[1]
    assert {head} <= optuna_storage._REVISIONS


KILLED = """
import os, signal, sys
from fairlead.export import optuna_storage
optuna_storage.BATCH = 5
put, left = optuna_storage.{writer}.put, [{batches}]
def dying(self, trials):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return put(self, trials)
optuna_storage.{writer}.put = dying
from fairlead.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_what_a_killed_export_left_is_completed(prices: Home, where: str, batches: int) -> None:
    writer = "_Tables" if where == URL else "_Methods"
    program = KILLED.format(writer=writer, batches=batches)
    words = prices.command("prices", "--to", "optuna", where)[3:]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=prices.folder.parent, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert len(read(prices, where).trials) == 5 * batches
    assert prices.json("prices", "--to", "optuna", where)["added"] == 12 - 5 * batches
    for trial in read(prices, where).trials:
        _holds(trial)


def test_two_exports_at_once_add_each_trial_once(prices: Home, where: str) -> None:
    prices.done("prices", "--to", "optuna", where, "--name", "another")  # makes the tables
    words = prices.command("prices", "--to", "optuna", where)
    both = [subprocess.Popen(words, cwd=prices.folder.parent) for _ in range(2)]
    assert [each.wait(120) for each in both] == [0, 0]
    assert [trial.number for trial in read(prices, where).trials] == list(range(12))


def test_a_study_of_the_same_name_gets_one_of_its_own(prices: Home) -> None:
    prices.done("prices", "--to", "optuna", URL)
    prices.search(seed=1)
    said = prices.json("prices", "--to", "optuna", URL)
    assert said["name"] == f"prices-{said['study'][:8]}"
    assert prices.json("prices", "--to", "optuna", URL)["name"] == said["name"]
    line = prices.refused(2, "prices", "--to", "optuna", URL, "--name", "prices")
    assert line.startswith("another study of that storage is called 'prices'")


def test_trials_of_others_are_left_alone(prices: Home) -> None:
    prices.done("prices", "--to", "optuna", URL)
    read(prices).add_trial(optuna.trial.create_trial(value=1.0))
    assert prices.json("prices", "--to", "optuna", URL)["added"] == 0
    assert len(read(prices).trials) == 13


def test_a_database_of_something_else_is_refused_and_left(prices: Home) -> None:
    before = (prices.folder / "ledger.db").read_bytes()
    line = prices.refused(2, "prices", "--to", "optuna", "sqlite:///home/ledger.db")
    assert line == "'sqlite:///home/ledger.db' is this installation's ledger: name another file"
    copy = prices.folder.parent / "copy.db"
    with sqlite3.connect(copy) as target, sqlite3.connect(prices.folder / "ledger.db") as source:
        source.backup(target)
    line = prices.refused(2, "prices", "--to", "optuna", "copy.db")
    assert "is a database of something else" in line
    assert (prices.folder / "ledger.db").read_bytes() == before


@pytest.mark.parametrize(
    ("status", "url", "line"),
    [
        (2, "nonsense://x", "'nonsense://x' is no URL of a database"),
        (2, "sqlite:///none/optuna.db", "cannot be opened: unable to open database file"),
        (2, "none/journal.log", "there is no folder 'none'"),
        (2, "text.db", "cannot be opened: file is not a database"),
        (2, "text.log", "'text.log' is no file of a JournalStorage"),
        (1, "postgresql://me:secret@127.0.0.1:9/x", "exporting to 'postgresql://me:***@127.0.0.1"),
    ],
)
def test_a_storage_that_cannot_be_used_is_said_in_a_line(
    prices: Home, status: int, url: str, line: str
) -> None:
    for name in ("text.db", "text.log"):
        (prices.folder.parent / name).write_text("this is text, and no storage\n" * 9)
    said = prices.refused(status, "prices", "--to", "optuna", url)
    assert line in said
    assert "secret" not in said


def test_a_postgresql_database_takes_the_study(prices: Home, postgres: str) -> None:
    with database(postgres) as url:
        assert prices.json("prices", "--to", "optuna", url)["added"] == 12
        assert prices.json("prices", "--to", "optuna", url)["added"] == 0
        with optuna_storage.opened(url) as storage:
            trials = optuna.load_study(study_name="prices", storage=storage).trials
    for trial in trials:
        _holds(trial)


def test_a_ledger_on_postgresql_is_refused(prices: Home, postgres: str) -> None:
    with database(postgres) as url:
        open_ledger(url).__exit__(None, None, None)
        line = prices.refused(2, "prices", "--to", "optuna", url)
        assert "is a database of something else" in line
