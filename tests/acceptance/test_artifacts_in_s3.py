"""The whole path with the artefacts in a bucket: as with a folder, and through faults."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Place
from tests.support import faulty_proxy as faults
from tests.support.faulty_proxy import FaultyProxy
from tests.support.s3 import S3, prefix

SPEC = """
name: sugar
data: {source: diabetes, seed: 0}
search:
  method: random
  trials: 4
  folds: 2
  over:
    - family: random_forest
      params: {n_estimators: [5, 10], max_depth: [2, 4]}
promote: {when: always}
"""
ROWS = "age,sex,bmi,bp,s1,s2,s3,s4,s5,s6\n59,2,32.1,101,157,93.2,38,4,4.9,87\n"
RUN = ("run", "sugar.yaml", "--workers", "2")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(folder=tmp_path)
    (tmp_path / "sugar.yaml").write_text(SPEC)
    (tmp_path / "rows.csv").write_text(ROWS)
    yield made
    made.end()


@pytest.fixture
def bucket(s3: S3) -> dict[str, str]:
    return {"FAIRLEAD_ARTIFACTS": f"s3://{s3.bucket}/{prefix()}"}


def outcome(place: Place, **environ: str) -> dict[int, Any]:
    """Parameters, scores and states of the trials, by number."""
    ran = place.json(*RUN, **environ)
    trials = place.json("trials", ran["study"], **environ)
    return {each["number"]: (each["params"], each["score"], each["state"]) for each in trials}


def test_a_bucket_keeps_what_a_run_makes_for_all_that_follows(
    place: Place, bucket: dict[str, str]
) -> None:
    place.done(*RUN, **bucket)
    assert not (place.home / "artifacts").exists()
    place.done(*RUN, "--set", "data.seed=1", **bucket)
    place.done("promote", "sugar", "1", "--why", "a test", **bucket)
    predicted = place.done("predict", "sugar", "rows.csv", **bucket).splitlines()[1]

    # Where the cache is empty, as on another machine, all comes from the bucket.
    (place.home / "artifacts-cache").rename(place.folder / "elsewhere")
    assert place.done("predict", "sugar", "rows.csv", **bucket).splitlines()[1] == predicted
    serving = place.serve(**bucket)
    asked = shlex.split(serving.until("curl "))
    row = dict(zip(*(line.split(",") for line in ROWS.splitlines()), strict=True))
    asked[-1] = json.dumps({"rows": [{name: float(value) for name, value in row.items()}]})
    answer = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
    assert answer["predictions"] == pytest.approx([float(predicted)], rel=1e-6)
    assert serving.stop() == 0
    place.done("gc", **bucket)


def test_the_trials_are_those_of_a_folder(
    place: Place, bucket: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Place(folder=tmp_path_factory.mktemp("folder"))
    (other.folder / "sugar.yaml").write_text(SPEC)
    in_a_bucket, in_a_folder = outcome(place, **bucket), outcome(other)
    assert len(in_a_bucket) == 4
    assert in_a_bucket == in_a_folder


def test_a_run_goes_on_through_faults_of_its_bucket(
    place: Place, bucket: dict[str, str], s3: S3
) -> None:
    with FaultyProxy(s3.endpoint).running() as proxy:
        planned = [
            proxy.plan(faults.refused, method="PUT", times=2),
            proxy.plan(faults.answer_lost, method="PUT", times=2),
            proxy.plan(faults.cut_in_the_middle, method="GET", times=2),
            proxy.plan(faults.cut_at_once, method="*", times=2),
        ]
        trials = outcome(place, **bucket, AWS_ENDPOINT_URL=proxy.url)
        assert [each.met for each in planned] == [2, 2, 2, 2]
    assert {state for _, _, state in trials.values()} == {"done"}
    assert place.done("predict", "sugar", "rows.csv", **bucket)


@pytest.mark.parametrize("command", [RUN, ("predict", "sugar", "rows.csv")], ids=["run", "predict"])
def test_wrong_credentials_end_a_command_with_one_line(
    place: Place, bucket: dict[str, str], command: tuple[str, ...]
) -> None:
    if command[0] == "predict":
        place.done(*RUN, **bucket)
        (place.home / "artifacts-cache").rename(place.folder / "elsewhere")
    ended = place.run(*command, **bucket, AWS_SECRET_ACCESS_KEY="hush-hush")
    assert ended.returncode == 1
    assert "artefact store 's3://" in ended.stderr.splitlines()[-1]
    assert "hush-hush" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
