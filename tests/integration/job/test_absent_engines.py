"""An engine that cannot be started from here is refused before anything is searched."""

from __future__ import annotations

import pytest

from tests.integration.job.conftest import Place
from tests.integration.job.test_fits_resumed import told, written

NETWORK = """
name: network
data: {source: digits}
search:
  method: grid
  folds: 2
  over: [{family: keras, params: {epochs: 1}}]
train: {workers: 2, engine: spark, mode: allreduce}
"""


@pytest.mark.parametrize(
    "family",
    [pytest.param("keras", marks=pytest.mark.distributed), "./softmax.py:Softmax"],
)
def test_allreduce_on_spark_is_refused_in_a_line_before_anything_starts(
    place: Place, family: str
) -> None:
    written(place, workers=1)
    place.write("network.yaml", NETWORK.replace("keras, params: {epochs: 1}", f'"{family}"'))
    refused = place.run("run", "network.yaml", "--workers", "1")
    assert refused.returncode == 2
    reading, line = refused.stderr.splitlines()
    assert reading == "reading the data ..."
    assert line == (
        "network.yaml:8:42: train.mode: allreduce: on Spark the processes that fit "
        f"{family!r} do not find each other: write exact or averaging, or another train.engine"
    )
    assert not (place.home / "ledger.db").exists()


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        ("spark", "train.engine: spark needs "),
        pytest.param(
            "tfjob",
            "train.engine: tfjob starts pods that call this process, which is in no pod",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_run_with_an_absent_engine_leaves_no_study(
    place: Place, engine: str, reason: str
) -> None:
    written(place, workers=1)
    place.environ["JAVA_HOME"] = str(place.folder / "none")
    absent = ("run", "shared.yaml", "--workers", "1", "--set", f"train.engine={engine}")
    refused = place.run(*absent)
    assert (refused.returncode, reason in refused.stderr) == (2, True), refused.stderr
    assert not (place.home / "ledger.db").exists()
    searched = told(place.json("run", "shared.yaml", "--workers", "1"))
    assert told(place.json(*absent)) == searched, "what is finished needs no engine"


@pytest.mark.distributed
def test_a_run_with_a_master_of_no_use_leaves_no_study(place: Place) -> None:
    written(place, workers=1)
    sets = ("--set", "train.engine=spark", "--set", "train.master=local-cluster[2,1,100]")
    refused = place.run("run", "shared.yaml", "--workers", "1", *sets)
    assert refused.returncode == 2
    assert "its workers have 100 MiB and 1 cores" in refused.stderr.splitlines()[-1]
    assert not (place.home / "ledger.db").exists()
