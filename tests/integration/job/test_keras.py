"""Networks of Keras from a spec to a version; a network that misbehaves fails its trials."""

from __future__ import annotations

import pytest

from fairlead.artifacts import Artifacts
from fairlead.ledger.store import open_ledger
from fairlead.registry.registry import Registry
from tests.integration.job.conftest import Place

pytestmark = pytest.mark.distributed

BUILDER = """\
import time

import keras
from keras import layers as L


def build(signature, units=16, how="well"):
    if how == "raise":
        raise RuntimeError("no luck today")
    while how == "hang":
        time.sleep(1)
    if how == "text":
        return "a model"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    hidden = [L.Flatten(), L.Dense(units, activation="relu"), L.Dropout(0.1)]
    outputs = 3 if how == "shape" else signature.outputs
    model = keras.Sequential([keras.Input(signature.shape), *hidden, L.Dense(outputs)])
    model.compile(keras.optimizers.Adam(1e30 if how == "nan" else 0.003), loss)
    return model
"""
SPEC = """
name: digits
data: {{source: digits, seed: 0}}
search:
  method: grid
  folds: 2
  {limits}
  over:
    - family: keras
      model: ./network.py:build
      params: {params}
promote: {{when: always}}
"""


def test_a_network_of_ones_own_is_searched_exported_and_registered(place: Place) -> None:
    place.write("network.py", BUILDER)
    params = "{units: [8, 32], epochs: [2, 20]}"
    place.write("digits.yaml", SPEC.format(params=params, limits=""))
    outcome = place.json("run", "digits.yaml", "--workers", "1")
    assert {trial["state"] for trial in outcome["trials"]} == {"done"}
    assert outcome["best"]["params"] == {"units": 32, "epochs": 20}
    assert outcome["best"]["score"] > 0.8
    with open_ledger(place.home / "ledger.db") as ledger:
        registry = Registry(ledger=ledger, artifacts=Artifacts(place.home / "artifacts"))
        (version,) = ledger.versions.all("digits")
        made = registry.candidate(version)
    assert made.family == "keras:./network.py:build"
    assert made.unexportable is None
    assert made.parity is not None
    assert made.parity.passed
    assert {"model.npz", "model.onnx"} < made.files.keys()


@pytest.mark.parametrize(
    ("how", "limits", "reason"),
    [
        ("raise", "", "./network.py:9: model './network.py:build' cannot be built with"),
        pytest.param(
            "text",
            "",
            "./network.py:7: model './network.py:build' gives \"a model\"",
            marks=pytest.mark.long,
        ),
        ("nan", "", ": the loss is "),
        ("hang", "task_time: 20s", "over its time limit of 20 s"),
    ],
)
def test_a_network_that_misbehaves_fails_its_own_trials(
    place: Place, how: str, limits: str, reason: str
) -> None:
    place.write("network.py", BUILDER)
    params = f"{{how: [well, {how}], epochs: 2}}"
    place.write("digits.yaml", SPEC.format(params=params, limits=limits))
    outcome = place.json("run", "digits.yaml", "--workers", "1")
    well, ill = sorted(outcome["trials"], key=lambda trial: trial["params"]["how"] != "well")
    assert well["state"] == "done"
    assert ill["state"] == "failed"
    assert reason in ill["reason"]
    assert ill["attempts"] == (3 if how == "hang" else 1)


@pytest.mark.parametrize(
    ("command", "how", "reason"),
    [
        ("plan", "raise", "./network.py:9: model './network.py:build' cannot be built with "),
        ("plan", "shape", "gives (3,) for a row, and there are 10 classes"),
        ("run", "hang", "./network.py:11: model './network.py:build' cannot be built with "),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_before_anything_is_written(
    place: Place, command: str, how: str, reason: str
) -> None:
    place.write("network.py", BUILDER)
    limits = "task_time: 5s" if how == "hang" else ""
    place.write("digits.yaml", SPEC.format(params=f"{{how: [{how}, well]}}", limits=limits))
    done = place.run(command, "digits.yaml")
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("digits.yaml:10:14: search.over[0].model: ./network.py:")
    assert reason in last
    assert (how == "hang") == last.endswith("it has not ended within 5 s")
    assert not (place.home / "ledger.db").exists()


def test_a_function_that_takes_no_such_parameter_is_refused_before_the_run(place: Place) -> None:
    place.write("network.py", BUILDER)
    place.write("digits.yaml", SPEC.format(params="{unit: 3}", limits=""))
    done = place.run("run", "digits.yaml")
    assert done.returncode == 2
    assert "digits.yaml:11:22: search.over[0].params.unit" in done.stderr
    assert "tensorflow" not in done.stderr.lower()
    assert "there is no parameter 'unit'; did you mean 'units'?" in done.stderr
