"""A network of Keras that an Indexed Job, a TFJob and executors of Spark train to the same bits."""

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

SPACE = [
    {
        "family": "keras",
        "params": {"units": 128, "learning_rate": 0.005, "batch": 500, "epochs": 5},
    }
]
HOURS = {"kubernetes": 3, "tfjob": 4, "spark": 5}
"""A study of another engine is the same one; of another limit in time it is another."""


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
    return finished(installed, begun(installed, "kubernetes"))


def begun(installed: Installed, engine: str, **train: Any) -> subprocess.Popen[str]:
    """A study with this engine, applied and followed by the command."""
    resources = {"cpu": 0.1, "memory": "1500MiB"}
    shared = {"workers": 2, "engine": engine, "microbatches": 2, "resources": resources, **train}
    hours = f"{HOURS[engine]}h"
    document = {
        "name": f"digits-{engine}",
        "data": {"source": "mnist", "target": "label", "task": "classification"},
        "search": {
            "method": "grid",
            "folds": 2,
            "metric": "accuracy",
            "task_time": hours,
            "over": SPACE,
        },
        "train": shared,
        "promote": {"when": "always"},
    }
    path = Path(tempfile.mkdtemp()) / f"digits-{engine}.yaml"
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


def test_an_indexed_job_learns_the_digits(indexed: Mapping[str, Any]) -> None:
    assert indexed["holdout_score"] > ENOUGH, indexed


@pytest.mark.usefixtures("operator")
def test_a_tfjob_that_is_deleted_meanwhile_has_the_same_bits(
    installed: Installed, indexed: Mapping[str, Any]
) -> None:
    running = begun(installed, "tfjob")
    wait_until(lambda: len(ranks(installed.cluster)) == 2, seconds=LONG, every=0.5)
    (made,) = installed.cluster.list(TFJob, labels=RANKS)
    installed.cluster.delete(TFJob, made.metadata.name)
    assert result(installed, finished(installed, running)) == result(installed, indexed)


def test_executors_of_spark_have_the_same_bits(
    installed: Installed, indexed: Mapping[str, Any]
) -> None:
    running = begun(installed, "spark", master="k8s://https://kubernetes.default.svc")
    wait_until(lambda: len(ranks(installed.cluster)) == 2, seconds=LONG, every=0.5)
    assert result(installed, finished(installed, running)) == result(installed, indexed)


def ranks(cluster: Cluster) -> list[str]:
    """The pods of ranks that run."""
    pods = cluster.list(Pod, labels=RANKS)
    running = [one for one in pods if one.status and one.status.phase == "Running"]
    return [str(one.metadata.name) for one in running if one.metadata]
