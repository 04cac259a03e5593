"""`fairlead run` with its fits on Spark: the model of one process, to the byte."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.job.conftest import Place
from tests.support import softmax

pytestmark = pytest.mark.distributed

SPECS = {
    "steps": """
name: shared
data: {source: digits}
search:
  method: random
  folds: 2
  trials: 1
  over: [{family: "./softmax.py:Softmax", params: {batch: 256}}]
""",
    "trees": """
name: shared
data: {source: boston}
search:
  method: grid
  folds: 2
  over: [{family: xgboost, params: {n_estimators: [5, 20], max_depth: 3}}]
""",
    "network": """
name: shared
data: {source: mnist, holdout: {share: 0.9}}
search:
  method: grid
  folds: 2
  over: [{family: keras, params: {units: 16, epochs: [1, 2], batch: 128}}]
""",
}
ON_SPARK = "train={workers: 2, engine: spark, microbatches: 4, resources: {memory: 1.5GiB}}"
ALONE = "train={workers: 1, microbatches: 4}"


def outcome(place: Place, spec: str, train: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the run printed, and the digests of the model's files."""
    shutil.copy(softmax.__file__, place.folder / "softmax.py")
    place.write("shared.yaml", spec)
    sets = ("--set", train, "--set", "promote.when=never")
    printed = place.json("run", "shared.yaml", "--workers", "1", *sets)
    [file] = [path for path in _manifests(place) if '"holdout_score"' in path.read_text()]
    files = json.loads(file.read_text())["files"]
    own = {name: file for name, file in files.items() if name != "environment.json"}
    return printed, own


def _manifests(place: Place) -> list[Path]:
    files = (path for path in (place.home / "artifacts").rglob("*") if path.is_file())
    return [path for path in files if path.read_bytes()[:1] == b"{"]


@pytest.mark.parametrize("kind", SPECS)
def test_a_run_on_spark_gives_the_files_that_one_process_gives(
    tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    alone = Place(folder=tmp_path_factory.mktemp("alone"))
    spark = Place(folder=tmp_path_factory.mktemp("spark"))
    told, files = outcome(alone, SPECS[kind], ALONE)
    told_on_spark, files_on_spark = outcome(spark, SPECS[kind], ON_SPARK)
    scores = [trial["scores"] for trial in told["trials"]]
    assert [trial["scores"] for trial in told_on_spark["trials"]] == scores
    assert files_on_spark == files
    assert "model.onnx" in files or kind == "steps"
    assert list((spark.home / "logs").glob("spark-gang-*.log"))
