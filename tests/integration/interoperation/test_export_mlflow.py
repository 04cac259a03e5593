"""`fairlead export --to mlflow`, read by mlflow-skinny's own client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.interoperation import searched
from tests.integration.interoperation.conftest import Home

from fairlead.records import NewTask

URI = "sqlite:///mlflow.db"
STATUS = {"done": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
STATES = {"FINISHED": "done", "KILLED": "pruned", "FAILED": "failed", "RUNNING": "running"}

READER = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1])
experiment = client.get_experiment_by_name(sys.argv[2])
runs = client.search_runs([experiment.experiment_id], max_results=1000)
print(json.dumps([
    {
        "id": run.info.run_id, "name": run.info.run_name, "status": run.info.status,
        "start": run.info.start_time, "end": run.info.end_time,
        "params": run.data.params, "metrics": run.data.metrics, "tags": run.data.tags,
        "folds": [[each.step, each.value]
            for each in client.get_metric_history(run.info.run_id, "fold_score")],
        "epochs": [[each.step, each.value]
            for each in client.get_metric_history(run.info.run_id, "epoch_score")],
    }
    for run in runs
]))
"""


def read(home: Home, uri: str = URI, experiment: str = "prices") -> Runs:
    """What MLflow's client tells of the runs, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READER, uri, experiment],
        cwd=home.folder.parent,
        env={**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.PIPE,
        timeout=240.0,
        check=True,
    )
    return Runs(json.loads(done.stdout))


class Runs:
    """The runs of one experiment: of the study, and of its trials by number."""

    def __init__(self, runs: list[dict[str, Any]]) -> None:
        trials = [run for run in runs if "fairlead.trial" in run["tags"]]
        (self.parent,) = [run for run in runs if "fairlead.trial" not in run["tags"]]
        self.trials = {int(run["tags"]["fairlead.trial"]): run for run in trials}
        assert len(self.trials) == len(trials)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.trials[number] for number in sorted(self.trials))


@pytest.fixture(params=[URI, "file:./mlruns"], ids=["database", "files"])
def uri(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_mlflow_tells_the_runs_with_metrics_and_parameters(prices: Home, uri: str) -> None:
    said = prices.json("prices", "--to", "mlflow", uri)
    assert (said["target"], said["name"], said["trials"], said["added"]) == (uri, "prices", 12, 12)
    runs = read(prices, uri)
    assert runs.parent["name"] == "prices"
    assert runs.parent["status"] == "FINISHED"
    assert runs.parent["metrics"] == {"score": searched.result(0).score}
    assert runs.parent["params"] == {"method": "random", "metric": "mse", "folds": "3"}
    assert runs.parent["tags"]["fairlead.best"] == "0"
    assert sorted(runs.trials) == list(range(12))
    for run in runs:
        _holds(run, runs.parent)


def _holds(run: dict[str, Any], parent: dict[str, Any]) -> None:
    number = int(run["tags"]["fairlead.trial"])
    trial, result = searched.trial(number), searched.result(number)
    assert run["tags"]["mlflow.parentRunId"] == parent["id"]
    assert run["tags"]["fairlead.study"] == parent["tags"]["fairlead.study"]
    assert run["name"] == f"trial {number}"
    assert parent["start"] <= run["start"] <= run["end"] <= parent["end"]
    assert run["params"].pop("family") == trial.family
    assert {*run["params"]} == {*trial.params}
    if number == 4:
        assert run["status"] == "FAILED"
        assert run["tags"]["fairlead.reason"].startswith("Poisson")
        assert run["metrics"] == {"seconds": 0.0}
        return
    assert run["status"] == STATUS[result.state]
    assert run["tags"]["fairlead.state"] == result.state
    assert sorted(run["folds"]) == [[fold, score] for fold, score in enumerate(result.scores)]
    assert sorted(run["epochs"]) == [[n, score] for n, score in enumerate(result.curve, start=1)]
    assert run["metrics"]["seconds"] == result.seconds
    assert run["metrics"].get("score") == result.score
    if "learning_rate" in trial.params:
        assert float(run["params"]["learning_rate"]) == trial.params["learning_rate"]
        assert run["params"]["max_depth"] == ("5", "null")[number % 2]


def test_more_scores_than_one_request_takes_are_all_told(home: Home, uri: str) -> None:
    home.folder.mkdir()
    curve = tuple(1 / epoch for epoch in range(1, 1501))
    with searched.opened(home.folder) as ledger:
        study = ledger.studies.open(searched.study_of(size=1))
        ledger.tasks.add(study.id, [NewTask(kind="trials", trials=(searched.trial(0),))])
        result = replace(searched.result(0), curve=curve)
        ledger.tasks.commit(searched.claimed(ledger, study), [result])
        ledger.studies.finish(study.id, of=1, size=1, best=0)
    home.done("prices", "--to", "mlflow", uri)
    (run,) = read(home, uri)
    assert sorted(run["epochs"]) == [[epoch, score] for epoch, score in enumerate(curve, start=1)]
    assert run["metrics"]["score"] == result.score


def test_exporting_again_adds_nothing(prices: Home, uri: str) -> None:
    prices.done("prices", "--to", "mlflow", uri)
    before = read(prices, uri)
    said = prices.json("prices", "--to", "mlflow", uri)
    assert (said["trials"], said["added"], said["updated"]) == (12, 0, 0)
    after = read(prices, uri)
    assert list(after) == list(before)
    assert after.parent == before.parent


def test_a_study_that_went_on_is_completed(home: Home) -> None:
    home.folder.mkdir()
    home.search(until=2)
    said = home.json("prices", "--to", "mlflow", URI)
    assert (said["trials"], said["added"]) == (3, 3)  # a trial that waits has no run
    runs = read(home)
    assert [run["status"] for run in runs] == ["FINISHED", "FINISHED", "RUNNING"]
    assert runs.parent["status"] == "RUNNING"
    home.search(until=12)
    said = home.json("prices", "--to", "mlflow", URI)
    assert (said["added"], said["updated"]) == (9, 1)
    runs = read(home)
    assert runs.parent["status"] == "FINISHED"
    assert [run["status"] for run in runs][:4] == ["FINISHED", "FINISHED", "FINISHED", "KILLED"]
    assert runs.trials[2]["metrics"]["score"] == searched.result(2).score


KILLED = """
import os, signal, sys
from mlflow import MlflowClient
call, left = MlflowClient.{method}, [{calls}]
def dying(*args, **named):
    done = call(*args, **named)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
MlflowClient.{method} = dying
from fairlead.export.mlflow_runs import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("method", "calls"),
    [
        ("create_experiment", 1),
        pytest.param("create_run", 1, marks=pytest.mark.long),
        ("create_run", 4),
        pytest.param("log_batch", 4, marks=pytest.mark.long),
        pytest.param("set_terminated", 4, marks=pytest.mark.long),
    ],
)
def test_what_a_killed_export_left_is_completed(prices: Home, method: str, calls: int) -> None:
    """The process that writes is killed after a call to MLflow, so after each kind of them."""
    with searched.opened(prices.folder) as ledger:
        study = ledger.studies.get("prices").id
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED.format(method=method, calls=calls)],
        cwd=prices.folder.parent,
        input=json.dumps({"study": study, "uri": URI, "experiment": "prices"}),
        env={**os.environ, "FAIRLEAD_HOME": str(prices.folder), "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    prices.done("prices", "--to", "mlflow", URI)
    runs = read(prices)
    assert sorted(runs.trials) == list(range(12))
    for run in runs:
        _holds(run, runs.parent)


PRINTING = """
import sys
from mlflow import MlflowClient
call = MlflowClient.set_terminated
def printing(*args, **named):
    print("View run at: http://localhost/")
    return call(*args, **named)
MlflowClient.set_terminated = printing
from fairlead.export.mlflow_runs import main
sys.exit(main())
"""


def test_what_mlflow_prints_is_no_answer(prices: Home) -> None:
    """Its client prints the address of each run that ends on a server."""
    with searched.opened(prices.folder) as ledger:
        study = ledger.studies.get("prices").id
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRINTING],
        cwd=prices.folder.parent,
        input=json.dumps({"study": study, "uri": URI, "experiment": "prices"}),
        env={**os.environ, "FAIRLEAD_HOME": str(prices.folder), "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[-1]["written"]["added"] == 12
    assert "View run at" in done.stderr


def test_studies_of_one_name_share_an_experiment(prices: Home) -> None:
    prices.done("prices", "--to", "mlflow", URI)
    prices.search(seed=1)
    assert prices.json("prices", "--to", "mlflow", URI)["added"] == 12
    prices.done("prices", "--to", "mlflow", URI, "--name", "another")
    assert len(read(prices, experiment="another").trials) == 12


@pytest.mark.parametrize(
    ("status", "uri", "line"),
    [
        (2, "mlflow.db", "'mlflow.db' is no URI of MLflow's tracking: such as sqlite:///"),
        (2, "nonsense://x", "'nonsense://x' is no URI of MLflow's tracking"),
        (2, "sqlite:///home/ledger.db", "is this installation's ledger"),
        (2, "sqlite:///none/mlflow.db", "cannot be opened: unable to open database file"),
        (1, "http://me:secret@127.0.0.1:9", "exporting to 'http://me:***@127.0.0.1:9': "),
    ],
)
def test_a_uri_that_cannot_be_used_is_said_in_a_line(
    prices: Home, status: int, uri: str, line: str
) -> None:
    said = prices.refused(status, "prices", "--to", "mlflow", uri, MLFLOW_HTTP_REQUEST_TIMEOUT="5")
    assert line in said
    assert "secret" not in said


def test_a_database_of_something_else_is_refused_and_left(prices: Home, tmp_path: Path) -> None:
    prices.done("prices", "--to", "optuna", "other.db")
    before = (tmp_path / "other.db").read_bytes()
    line = prices.refused(2, "prices", "--to", "mlflow", "sqlite:///other.db")
    assert "is a database of something else" in line
    assert (tmp_path / "other.db").read_bytes() == before
