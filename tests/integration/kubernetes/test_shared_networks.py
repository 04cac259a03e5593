"""Networks of Keras that pods train together: Indexed Jobs, TFJobs and executors of Spark.

In modes exact and averaging they come to the same bits, whoever computes; in mode allreduce to a
model that is as good.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from lightkube.resources.core_v1 import Pod
from tests.lacking import lacking
from tests.support.installation import Installed, installation
from tests.support.waiting import wait_until

from fairlead.engines.tfjob import TFJob
from fairlead.kube.client import Cluster

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

IMAGE = "FAIRLEAD_TEST_DISTRIBUTED_IMAGE"
OPERATOR = Path("tests/cluster/platforms/training")
RANKS = {"app.kubernetes.io/component": "rank"}
ENOUGH = 0.93
"""Of the images that no fit has seen, so many are to be told right."""
LONG = 900.0

SPACE = {
    "family": "keras",
    "params": {"units": 128, "learning_rate": 0.005, "batch": 500, "epochs": 5},
}
NAMES = ("indexed", "tfjob", "spark", "mean", "mean-tfjob", "sums", "sums-tfjob", "sums-lost")
"""Of runs. A study of another engine is the same one; of another limit in time it is another."""


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    image = os.environ.get(IMAGE) or lacking(f"an image of TARGET=distributed: set ${IMAGE}")
    with installation("postgresql", "training", image=image) as made:
        yield made


@pytest.fixture(scope="module")
def operator() -> None:
    if subprocess.run([OPERATOR, "up"], check=False).returncode:
        lacking("the Kubeflow training operator: see tests/cluster/platforms/training")


@pytest.fixture(scope="module")
def indexed(installed: Installed) -> Mapping[str, Any]:
    """What an Indexed Job comes to."""
    return finished(installed, begun(installed, "indexed"))


def begun(
    installed: Installed,
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    **train: Any,
) -> subprocess.Popen[str]:
    """A study, applied and followed by the command."""
    resources = {"cpu": 0.1, "memory": "1500MiB"}
    shared = {"workers": 2, "engine": "kubernetes", "resources": resources, **train}
    if "mode" not in train:
        shared["microbatches"] = 2
    space = {**SPACE, "params": {**SPACE["params"], **(params or {})}}  # type: ignore[dict-item]
    document = {
        "name": f"digits-{name}",
        "data": {"source": "mnist", "target": "label", "task": "classification"},
        "search": {
            "method": "grid",
            "folds": 2,
            "metric": "accuracy",
            "task_time": f"{3 + NAMES.index(name)}h",
            "over": [space],
        },
        "train": shared,
        "promote": {"when": "always"},
    }
    path = Path(tempfile.mkdtemp()) / f"digits-{name}.yaml"
    path.write_text(json.dumps(document))
    command = [sys.executable, "-m", "fairlead", "run", str(path), "--on", "kubernetes"]
    command += ["--namespace", installed.namespace, "--workers", "1"]
    command += ["--cpu", "100m", "--memory", "3Gi", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(installed: Installed, running: subprocess.Popen[str]) -> Mapping[str, Any]:
    """What came of the run."""
    out, said = running.communicate(timeout=LONG)
    assert running.returncode == 0, said
    found: Mapping[str, Any] = installed.fairlead("watch", json.loads(out)["run"])
    return found


def result(installed: Installed, outcome: Mapping[str, Any]) -> tuple[Any, Any]:
    """What must be the same whoever computes: the scores, and the bytes of the exported model."""
    files = installed.files(str(outcome["model"]), int(outcome["version"]))
    return [one["scores"] for one in outcome["trials"]], files["model.onnx"]


# ---- mode exact -------------------------------------------------------------------------------


def test_an_indexed_job_learns_the_digits(indexed: Mapping[str, Any]) -> None:
    assert indexed["holdout_score"] > ENOUGH, indexed


@pytest.mark.usefixtures("operator")
def test_a_tfjob_that_is_deleted_meanwhile_has_the_same_bits(
    installed: Installed, indexed: Mapping[str, Any]
) -> None:
    running = begun(installed, "tfjob", engine="tfjob")
    wait_until(lambda: len(ranks(installed.cluster)) == 2, seconds=LONG, every=0.5)
    (made,) = installed.cluster.list(TFJob, labels=RANKS)
    installed.cluster.delete(TFJob, made.metadata.name)
    assert result(installed, finished(installed, running)) == result(installed, indexed)


def test_executors_of_spark_have_the_same_bits(
    installed: Installed, indexed: Mapping[str, Any]
) -> None:
    master = "k8s://https://kubernetes.default.svc"
    running = begun(installed, "spark", engine="spark", master=master)
    wait_until(lambda: len(ranks(installed.cluster)) == 2, seconds=LONG, every=0.5)
    assert result(installed, finished(installed, running)) == result(installed, indexed)


# ---- mode averaging ---------------------------------------------------------------------------


@pytest.mark.usefixtures("operator")
def test_means_of_weights_are_the_same_of_an_indexed_job_and_a_tfjob(installed: Installed) -> None:
    mode = {"mode": "averaging", "pull_every": 8}
    job = finished(installed, begun(installed, "mean", **mode))
    assert job["holdout_score"] > ENOUGH, job
    tfjob = finished(installed, begun(installed, "mean-tfjob", engine="tfjob", **mode))
    assert result(installed, tfjob) == result(installed, job)


# ---- mode allreduce ---------------------------------------------------------------------------

ALLREDUCE = {"mode": "allreduce", "pull_every": 8}


def test_ranks_of_an_indexed_job_add_their_gradients(installed: Installed) -> None:
    outcome = finished(installed, begun(installed, "sums", **ALLREDUCE))
    assert outcome["holdout_score"] > ENOUGH, outcome


@pytest.mark.usefixtures("operator")
def test_ranks_of_a_tfjob_add_their_gradients(installed: Installed) -> None:
    outcome = finished(installed, begun(installed, "sums-tfjob", engine="tfjob", **ALLREDUCE))
    assert outcome["holdout_score"] > ENOUGH, outcome


def test_where_a_rank_is_lost_all_are_made_anew_and_the_attempt_goes_on(
    installed: Installed,
) -> None:
    """From the last state that the driver has."""
    name, cluster = "digits-sums-lost", installed.cluster
    running = begun(installed, "sums-lost", params={"epochs": 15}, **ALLREDUCE)
    wait_until(lambda: len(ranks(cluster)) == 2, seconds=LONG, every=0.5)
    wait_until(lambda: installed.fits(name), seconds=LONG, every=0.5)
    before = {*ranks(cluster)}
    assert len(before) == 2
    cluster.delete(Pod, max(before), grace=1)
    wait_until(lambda: len({*ranks(cluster)} - before) == 2, seconds=LONG, every=0.2)
    outcome = finished(installed, running)
    assert outcome["holdout_score"] > ENOUGH, outcome
    assert {one["attempt"] for one in installed.fits(name)} == {1}


def ranks(cluster: Cluster) -> list[str]:
    """The pods of ranks that run."""
    pods = cluster.list(Pod, labels=RANKS)
    running = [one for one in pods if one.status and one.status.phase == "Running"]
    return sorted(str(one.metadata.name) for one in running if one.metadata)
