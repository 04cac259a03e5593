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

import psutil
import pytest
from tests.support.autoscalers import causes, command, done, scored, slow_spec, started, waiting
from tests.support.postgres import database
from tests.support.ray import CORES, RayCluster, ray_cluster
from tests.support.waiting import wait_until

from fairlead.ledger.store import open_ledger


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


@pytest.mark.timeout(900)
def test_an_actor_and_an_autoscaler_die_and_every_trial_counts_once(
    cluster: RayCluster, environ: Mapping[str, str], tmp_path: Path
) -> None:
    spec = slow_spec(tmp_path, trials=24, seconds=0.15)
    alone = {**os.environ, "FAIRLEAD_MLFLOW_URI": "none"}
    done(tmp_path / "alone", "run", str(spec), environ=alone)
    expected = scored(done(tmp_path / "alone", "trials", "prices", "--json", environ=alone))
    assert len(expected) == 24
    run = done(tmp_path / "laptop", "submit", str(spec), environ=environ).strip()
    controller = started(
        tmp_path / "controller.log", tmp_path / "controller", "controller", environ=environ
    )
    scaling = {name: autoscale(cluster, tmp_path, name, environ) for name in ("one", "two")}
    try:
        with open_ledger(environ["FAIRLEAD_LEDGER"]) as ledger:
            study = ledger.runs.get(run).study
            wait_until(lambda: len(ledger.tasks.running()) > 1)
            workers(cluster)[0].parent().kill()  # the actor; its worker ends with it
            wait_until(lambda: waiting(tmp_path))
            second = waiting(tmp_path)
            (first,) = scaling.keys() - {second}
            there = {worker.name for worker in ledger.workers.alive()}
            done_by_then = ledger.studies.counts(study).done
            scaling[first].kill()
            scaling[first].wait()
            outcome = json.loads(done(tmp_path / "laptop", "watch", run, "--json", environ=environ))
            assert outcome["study"] == study
            wait_until(lambda: not workers(cluster))
            events = ledger.studies.events(study)
        committed = [one for one in events if one.kind == "committed"]
        assert set(Counter(one.task for one in committed).values()) == {1}
        assert there & {one.worker for one in committed[done_by_then:]}
        assert {one.worker.partition("-")[0] for one in events if one.worker} == {"ray"}
        trials = done(tmp_path / "laptop", "trials", "prices", "--json", environ=environ)
        assert scored(trials) == expected
        wait_until(lambda: causes(tmp_path, second)[-1] == "none")
        for process in (scaling[second], controller):
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    finally:
        for process in (*scaling.values(), controller):
            process.kill()
            process.wait()
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


def test_no_room_is_a_line_and_holds_nobody_up(cluster: RayCluster, tmp_path: Path) -> None:
    """On one machine a SQLite ledger will do."""
    with open_ledger(tmp_path / "ledger.db"):
        pass
    log = tmp_path / "log"
    words = ["--runner", "ray", "--address", cluster.address, "--min", "1", "--cores", "64"]
    environ = {**os.environ, **cluster.environ}
    scaling = started(log, tmp_path, "autoscale", *words, environ=environ)
    try:
        wait_until(lambda: "to start: no node of the Ray cluster has" in log.read_text())
        waits = "1 worker waits to start: no node of the Ray cluster has 64 CPUs"
        assert f"{waits}; the largest has {CORES} CPUs\n" in log.read_text()
        scaling.send_signal(signal.SIGTERM)
        assert scaling.wait(60) == 0
    finally:
        scaling.kill()
        scaling.wait()
    assert actors(cluster) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--runner", "ray", "--env", "FAIRLEAD_NO_SUCH"], "$FAIRLEAD_NO_SUCH is to be given to"),
        (["--runner", "ray", "--address", "head"], "its address must be auto, HOST:PORT or ray:"),
    ],
    ids=["variable", "address"],
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
