"""An autoscaler over a Ray cluster: from zero and to zero, an actor dies, and no trial is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.postgres import database
from tests.support.ray import CORES, RayCluster, ray_cluster
from tests.support.waiting import wait_until

from fairlead.ledger.store import open_ledger

SPEC = """
name: prices
data: {source: boston, target: MEDV, seed: 1}
search:
  method: random
  trials: 24
  folds: 3
  over:
    - family: random_forest
      params: {n_estimators: 60, min_samples_leaf: {low: 1, high: 300}}
promote: {when: never}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as started:
        yield started


@pytest.fixture
def environ(cluster: RayCluster, postgres: str, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    with database(postgres) as url:
        yield {
            **os.environ,
            **cluster.environ,
            "FAIRLEAD_LEDGER": url,
            "FAIRLEAD_ARTIFACTS": (tmp_path / "artifacts").as_uri(),
            "FAIRLEAD_LEASE": "2",
            "FAIRLEAD_MLFLOW_URI": "none",
        }


def command(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "fairlead", "--home", str(home), *words]


def done(home: Path, *words: str, environ: Mapping[str, str]) -> str:
    ended = subprocess.run(
        command(home, *words),
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def started(
    log: Path, home: Path, *words: str, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            command(home, *words),
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def scored(trials: str) -> list[Any]:
    return [
        (one["number"], one["params"], one["scores"], one["state"]) for one in json.loads(trials)
    ]


def workers(cluster: RayCluster) -> list[psutil.Process]:
    """The processes of workers on the cluster, of all processes that descend from its head."""
    return [
        one
        for one in psutil.Process(cluster.head).children(recursive=True)
        if one.status() != psutil.STATUS_ZOMBIE and "--until-eof" in one.cmdline()
    ]


def autoscale(
    cluster: RayCluster, tmp_path: Path, name: str, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    words = ["--runner", "ray", "--address", cluster.address, "--max", str(CORES), "--json"]
    words += ["--within", "2", "--cooldown", "2", "--env", "FAIRLEAD_HOME"]
    home = {"FAIRLEAD_HOME": str(tmp_path / "node")}
    log = tmp_path / f"{name}.log"
    return started(log, tmp_path / name, "autoscale", *words, environ={**environ, **home})


def decisions(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


@pytest.mark.timeout(900)
def test_an_actor_and_an_autoscaler_die_and_every_trial_counts_once(
    cluster: RayCluster, environ: Mapping[str, str], tmp_path: Path
) -> None:
    spec = tmp_path / "prices.yaml"
    spec.write_text(SPEC)
    alone = {**os.environ, "FAIRLEAD_MLFLOW_URI": "none"}
    done(tmp_path / "alone", "run", str(spec), environ=alone)
    expected = scored(done(tmp_path / "alone", "trials", "prices", "--json", environ=alone))
    assert len(expected) == 24

    run = done(tmp_path / "laptop", "submit", str(spec), environ=environ).strip()
    controller = started(
        tmp_path / "controller.log", tmp_path / "controller", "controller", environ=environ
    )
    first = autoscale(cluster, tmp_path, "first", environ)
    second = None
    try:
        with open_ledger(environ["FAIRLEAD_LEDGER"]) as ledger:
            study = ledger.runs.get(run).study
            wait_until(lambda: ledger.studies.counts(study).done >= 3)
            wait_until(lambda: len(ledger.tasks.running()) > 1)
            workers(cluster)[0].parent().kill()  # the actor; its worker ends with it
            second = autoscale(cluster, tmp_path, "second", environ)
            wait_until(lambda: "waiting for its end" in (tmp_path / "second.log").read_text())
            there = {worker.name for worker in ledger.workers.alive()}
            first.kill()
            first.wait()
            outcome = json.loads(done(tmp_path / "laptop", "watch", run, "--json", environ=environ))
            assert outcome["study"] == study
            wait_until(lambda: not workers(cluster))
            events = ledger.studies.events(study)
        committed = Counter(one.task for one in events if one.kind == "committed")
        assert set(committed.values()) == {1}
        assert there & {one.worker for one in events if one.kind == "committed"}
        assert {one.worker.partition("-")[0] for one in events if one.worker} == {"ray"}
        trials = done(tmp_path / "laptop", "trials", "prices", "--json", environ=environ)
        assert scored(trials) == expected
        wait_until(lambda: decisions(tmp_path / "second.log")[-1]["cause"] == "none")
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0
        controller.send_signal(signal.SIGTERM)
        assert controller.wait(60) == 0
    finally:
        for process in (first, second, controller):
            if process is not None:
                process.kill()
                process.wait()
    assert decisions(tmp_path / "first.log")[0]["there"] == 0
    assert actors(cluster) == []


def actors(cluster: RayCluster) -> list[str]:
    code = (
        "import ray, ray.util\n"
        f"ray.init({cluster.address!r}, logging_level='ERROR', log_to_driver=False)\n"
        "print(*(one['name'] for one in ray.util.list_named_actors(all_namespaces=True)))\n"
    )
    environ = {**os.environ, **cluster.environ}
    asked = [sys.executable, "-c", code]
    return subprocess.run(
        asked, env=environ, capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cores", "2"], "--cores is of a cluster: give --runner ray, too."),
        (["--runner", "ray", "--env", "FAIRLEAD_NO_SUCH"], "$FAIRLEAD_NO_SUCH is to be given to"),
        (["--runner", "ray", "--address", "head"], "its address must be auto, HOST:PORT or ray:"),
    ],
    ids=["local", "variable", "address"],
)
def test_what_cannot_be_is_one_line_and_status_2(
    tmp_path: Path, words: list[str], said: str
) -> None:
    with open_ledger(tmp_path / "ledger.db"):
        pass
    ended = subprocess.run(
        command(tmp_path, "autoscale", *words), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
