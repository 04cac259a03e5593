"""`fairlead run` with its fits on Spark: the model of one process, to the byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.job.conftest import Place

pytestmark = pytest.mark.distributed

SPECS = {
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
MODEL = "model.onnx"
ON_SPARK = "train={workers: 2, engine: spark, microbatches: 4, resources: {memory: 1.5GiB}}"
ALONE = "train={workers: 1, microbatches: 4}"


def outcome(place: Place, spec: str, train: str) -> tuple[list[Any], set[str]]:
    """The scores of the trials and of the candidate, and the digests of the candidate's models."""
    place.write("shared.yaml", spec)
    sets = ("--set", train, "--set", "promote.when=never")
    told = place.json("run", "shared.yaml", "--workers", "1", *sets)
    score = told["holdout_score"]
    models = {
        json.dumps(one["files"][MODEL]) for one in manifests(place) if one["holdout_score"] == score
    }
    return [*(trial["scores"] for trial in told["trials"]), score], models


def manifests(place: Place) -> list[dict[str, Any]]:
    """Those of the candidates and versions that are kept."""
    every = (path for path in (place.home / "artifacts").rglob("*") if path.is_file())
    documents = [json.loads(path.read_text()) for path in every if path.read_bytes()[:1] == b"{"]
    return [one for one in documents if "holdout_score" in one]


@pytest.mark.parametrize("kind", [pytest.param("trees", marks=pytest.mark.long), "network"])
def test_a_run_on_spark_gives_the_model_that_one_process_gives(
    tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    alone = Place(folder=tmp_path_factory.mktemp("alone"))
    spark = Place(folder=tmp_path_factory.mktemp("spark"))
    scores, models = outcome(alone, SPECS[kind], ALONE)
    assert models
    assert outcome(spark, SPECS[kind], ON_SPARK) == (scores, models)
    assert list(spark.folder.rglob("spark-gang-*.log"))
