"""The example whose builder stands in a file beside it, as the pages run it on a cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.lacking import lacking
from tests.support.installation import Installed, done, installation

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

IMAGE = "FAIRLEAD_TEST_DISTRIBUTED_IMAGE"
OPERATOR = Path("tests/cluster/platforms/training")
HOURS = {"kubernetes": 3, "tfjob": 4}
"""A study of another engine is the same one; of another limit in time it is another."""
SMALL = ("--set", "train.resources={cpu: 0.1, memory: 1500MiB}")
"""So that its ranks fit on a node of two cores, beside other work."""


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    image = os.environ.get(IMAGE) or lacking(f"an image of TARGET=distributed: set ${IMAGE}")
    with installation("postgresql", "training", image=image) as made:
        yield made


def run(installed: Installed, engine: str) -> tuple[Mapping[str, Any], str]:
    """What the command prints of the example on this engine, and the bytes of its model."""
    command = [sys.executable, "-m", "fairlead", "run", "examples/digits.yaml"]
    command += ["--on", "kubernetes", "--namespace", installed.namespace]
    command += ["--set", f"train.engine={engine}", *SMALL, "--cpu", "100m", "--json"]
    command += ["--set", f"search.task_time={HOURS[engine]}h"]
    followed = json.loads(done(command, os.environ, seconds=1200))
    outcome: Mapping[str, Any] = installed.fairlead("watch", followed["run"])
    files = installed.files("digits", int(outcome["version"]))
    return outcome, files["model.onnx"]


def test_the_example_is_the_same_model_of_an_indexed_job_and_of_a_tfjob(
    installed: Installed,
) -> None:
    if subprocess.run([OPERATOR, "up"], check=False).returncode:
        lacking("the Kubeflow training operator: see tests/cluster/platforms/training")
    outcome, model = run(installed, "kubernetes")
    assert outcome["holdout_score"] > 0.93, outcome
    again, same = run(installed, "tfjob")
    assert (again["holdout_score"], same) == (outcome["holdout_score"], model)
