"""An autoscaler over a Kubernetes cluster: a pod and an autoscaler die, and no trial is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod, Secret
from tests.support import cluster as clusters
from tests.support.autoscalers import causes, command, done, scored, slow_spec, started, waiting
from tests.support.waiting import wait_until

from fairlead.kube.client import Cluster
from fairlead.ledger.store import open_ledger

MOST = 3


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with clusters.namespace() as name, Cluster(namespace=name) as connected:
        yield connected


@pytest.fixture(scope="module")
def stores(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[clusters.Stores]:
    with clusters.server(tmp_path_factory.mktemp("stores")) as started:
        yield started


@pytest.fixture
def environ(stores: clusters.Stores) -> Mapping[str, str]:
    own = {
        "FAIRLEAD_LEDGER": stores.url,
        "FAIRLEAD_MLFLOW_URI": "none",
        "FAIRLEAD_IMAGE": clusters.image(),
    }
    return {**os.environ, **stores.environ, **own}


def words(cluster: Cluster) -> list[str]:
    """The command line of an autoscaler there."""
    said = ["autoscale", "--runner", "kubernetes", "--namespace", cluster.namespace]
    said += ["--max", str(MOST), "--within", "2", "--cooldown", "2", "--cores", "0.05"]
    return [*said, "--env", "FAIRLEAD_SERVER_TOKEN", "--env", "FAIRLEAD_ALLOW_PLAIN_HTTP"]


def autoscale(
    cluster: Cluster, tmp_path: Path, name: str, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    log = tmp_path / f"{name}.log"
    return started(log, tmp_path / name, *words(cluster), "--json", environ=environ)


@pytest.mark.timeout(900)
def test_a_pod_and_an_autoscaler_die_and_every_trial_counts_once(
    cluster: Cluster, stores: clusters.Stores, environ: Mapping[str, str], tmp_path: Path
) -> None:
    spec = slow_spec(tmp_path, trials=40, seconds=0.5)
    alone = {**os.environ, "FAIRLEAD_MLFLOW_URI": "none"}
    done(tmp_path / "alone", "run", str(spec), environ=alone)
    expected = scored(done(tmp_path / "alone", "trials", "prices", "--json", environ=alone))
    assert len(expected) == 40
    run = done(tmp_path / "laptop", "submit", str(spec), environ=environ).strip()
    scaling = {name: autoscale(cluster, tmp_path, name, environ) for name in ("one", "two")}
    try:
        with open_ledger(stores.home / "ledger.db") as ledger:
            study = ledger.runs.get(run).study
            wait_until(lambda: len(ledger.tasks.running()) > 1, seconds=240)
            busy = ledger.workers.alive()[0].name
            cluster.delete(Pod, busy, grace=0)
            wait_until(lambda: waiting(tmp_path))
            second = waiting(tmp_path)
            (first,) = scaling.keys() - {second}
            there = {worker.name for worker in ledger.workers.alive()}
            done_by_then = ledger.studies.counts(study).done
            scaling[first].kill()
            scaling[first].wait()
            outcome = json.loads(done(tmp_path / "laptop", "watch", run, "--json", environ=environ))
            assert outcome["study"] == study
            wait_until(lambda: not running(cluster), seconds=240, every=0.5)
            events = ledger.studies.events(study)
        committed = [one for one in events if one.kind == "committed"]
        assert set(Counter(one.task for one in committed).values()) == {1}
        assert there & {one.worker for one in committed[done_by_then:]}
        assert {one.worker.partition("-")[0] for one in events if one.worker} == {"autoscaler"}
        trials = done(tmp_path / "laptop", "trials", "prices", "--json", environ=environ)
        assert scored(trials) == expected
        wait_until(lambda: causes(tmp_path, second)[-1] == "none")
        scaling[second].send_signal(signal.SIGTERM)
        assert scaling[second].wait(60) == 0
    finally:
        for process in scaling.values():
            process.kill()
            process.wait()
    named = {"app.kubernetes.io/name": "fairlead"}
    for kind in (Job, Pod, Secret):
        assert cluster.list(kind, labels=named) == []


def test_workers_that_never_have_enough_memory_end_it_with_a_line(
    cluster: Cluster, environ: Mapping[str, str], tmp_path: Path
) -> None:
    said = [*words(cluster), "--name", "small", "--min", "1", "--memory", "0.03"]
    ended = subprocess.run(
        command(tmp_path, *said),
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 1
    why = "OOMKilled: it took more memory than its limit of 30 MB"
    assert f"workers end as soon as they start ({why})" in ended.stderr


def running(cluster: Cluster) -> list[Pod]:
    pods = cluster.list(Pod, labels={"app.kubernetes.io/component": "worker"})
    return [pod for pod in pods if pod.status and pod.status.phase in {"Pending", "Running"}]
