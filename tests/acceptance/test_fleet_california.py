"""California with three boosters: a fleet's study is, bit for bit, that of a run on one machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import rabbitmq
from tests.support.postgres import database
from tests.support.s3 import S3, prefix

SPEC = """
name: california
data: {source: california, impute: mean, seed: 3}
search:
  method: random
  trials: 9
  folds: 2
  over:
    - family: xgboost
      params: {n_estimators: [20, 40], max_depth: [3, 6]}
    - family: lightgbm
      params: {n_estimators: [20, 40], num_leaves: [7, 31], learning_rate: 0.1}
    - family: catboost
      params: {iterations: [20, 40], depth: [3, 5], learning_rate: 0.1}
promote: {when: always}
"""


@pytest.fixture
def stores(
    postgres: str, s3: S3, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    with database(postgres) as url:
        yield {
            "FAIRLEAD_LEDGER": url,
            "FAIRLEAD_QUEUE": rabbitmq.own_names(rabbitmq.shared_url(tmp_path_factory)),
            "FAIRLEAD_ARTIFACTS": f"s3://{s3.bucket}/{prefix()}",
        }


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "fairlead", "--home", str(folder), *words]


def done(folder: Path, *words: str, **environ: str) -> str:
    ended = subprocess.run(
        command(folder, *words),
        env=os.environ | {"FAIRLEAD_MLFLOW_URI": "none"} | environ,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def study(outcome: str) -> Any:
    """What came of a run, but for times and for how many attempts it took."""
    found = json.loads(outcome)
    trials = [
        {name: one[name] for name in ("number", "family", "params", "scores", "score", "state")}
        for one in found["trials"]
    ]
    names = ("study", "best", "holdout_score", "version", "promoted", "verdict")
    return {**{name: found[name] for name in names}, "trials": trials}


def test_a_fleet_on_postgresql_rabbitmq_and_s3_makes_the_study_of_one_machine(
    tmp_path: Path, stores: Mapping[str, str]
) -> None:
    spec = tmp_path / "california.yaml"
    spec.write_text(SPEC)
    alone = done(tmp_path / "alone", "run", str(spec), "--json", "--workers", "2")
    programs = [("controller",), *(("worker", "--name", f"w{number}") for number in range(4))]
    running = [
        subprocess.Popen(
            command(tmp_path / f"m{number}", *words),
            env={**os.environ, "FAIRLEAD_MLFLOW_URI": "none", **stores},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number, words in enumerate(programs)
    ]
    try:
        run = done(tmp_path / "laptop", "submit", str(spec), **stores).strip()
        together = done(tmp_path / "laptop", "watch", run, "--json", **stores)
        history = done(tmp_path / "laptop", "logs", run, "--json", **stores)
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        ended = [process.wait(60) for process in running]
    assert ended == [0] * 5
    assert study(together) == study(alone)
    workers = {line["worker"] for line in json.loads(history) if line["kind"] == "committed"}
    assert len(workers) > 1
