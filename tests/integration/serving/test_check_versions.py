"""The check of a version, with a real child process each time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from onnx import TensorProto, helper

from fairlead.artifacts import Artifacts
from fairlead.errors import Corrupt, Failed, Unexportable
from fairlead.inference import Exported, Inspected
from fairlead.records import Limits
from fairlead.serving.check import check
from tests.integration.serving.making import (
    ONE,
    adding,
    candidate,
    crafted,
    exported,
    signature,
    stored,
    table,
)
from tests.support.families import LIGHT

GOLDEN = {"rows": [{"number": 1.0}, {"number": 2.5}], "predictions": [11.0, 12.5]}


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def _fault(artifacts: Artifacts, content: bytes, **limits: Any) -> str:
    """Why a model of one number is refused."""
    made = candidate(artifacts, content, ONE, golden=GOLDEN)
    with pytest.raises(Failed) as raised:
        check(made, artifacts, name="sums v1", limits=Limits(**limits))
    return str(raised.value)


@pytest.mark.parametrize("name", LIGHT)
def test_a_version_of_each_family_is_proved_and_its_compact_form_predicts_the_same(
    name: str, artifacts: Artifacts
) -> None:
    described, rows = signature(text=True), table(missing=True, text=True)
    content = exported(name, missing=True, text=True)
    facts = check(candidate(artifacts, content, described, rows=rows), artifacts, name=f"{name} v1")
    assert facts.missing
    assert facts.steady == (name != "linear")
    assert facts.size == len(content)
    assert 0 < facts.seconds < 1
    assert facts.compact is not None
    found = Inspected(steady=facts.steady, missing=facts.missing)
    compact = Exported(artifacts.get(facts.compact), described, found)
    assert np.array_equal(compact.predict(rows), Exported(content, described).predict(rows))


def test_a_version_that_tells_classes_apart_is_proved(artifacts: Artifacts) -> None:
    described = signature(classes=3)
    made = candidate(artifacts, exported("random_forest", classes=3), described)
    facts = check(made, artifacts, name="kinds v1")
    assert facts.steady
    assert not facts.missing


def test_a_version_without_golden_rows_is_loaded_and_asked_all_the_same(
    artifacts: Artifacts,
) -> None:
    made = candidate(artifacts, adding(10), ONE, golden={"rows": [], "predictions": []})
    assert check(made, artifacts, name="sums v1").seconds > 0


def test_a_version_without_an_onnx_form_is_refused(artifacts: Artifacts) -> None:
    made = candidate(artifacts, adding(10), ONE, golden=GOLDEN)
    del made.files["model.onnx"]  # type: ignore[attr-defined] # a dict here
    with pytest.raises(Unexportable, match="checking sums v1: it has no ONNX form"):
        check(made, artifacts, name="sums v1")


def test_another_prediction_than_the_golden_one_is_told_with_its_row(artifacts: Artifacts) -> None:
    lower = float(np.nextafter(np.float32(10), np.float32(9)))
    fault = _fault(artifacts, adding(lower))
    assert "golden row 1, asked alone: it predicts" in fault
    assert "and predicted 11.0 when it was made" in fault


def test_a_prediction_that_depends_on_the_other_rows_is_told(artifacts: Artifacts) -> None:
    """Each number times the first one; none of these operators is known for such a thing."""
    first = helper.make_tensor("place", TensorProto.INT64, [], [0])
    nodes = [
        helper.make_node("Reshape", ["numbers", "flat_shape"], ["flat"]),
        helper.make_node("Gather", ["flat", "place"], ["first"]),
        helper.make_node("Mul", ["flat", "first"], ["prediction"]),
    ]
    golden = {**GOLDEN, "predictions": [1.0, 6.25]}
    made = candidate(artifacts, crafted(nodes, first), ONE, golden=golden)
    with pytest.raises(Failed, match=r"golden row 2, asked among 64: it predicts 2\.5, and"):
        check(made, artifacts, name="sums v1")


@pytest.mark.parametrize("constant", [float("nan"), float("inf")])
def test_a_prediction_that_is_no_finite_number_is_refused(
    constant: float, artifacts: Artifacts
) -> None:
    assert f"golden row 1: it predicts {constant}" in _fault(artifacts, adding(constant))


def test_a_damaged_file_is_refused(artifacts: Artifacts, tmp_path: Path) -> None:
    made = candidate(artifacts, adding(10), ONE, golden=GOLDEN)
    file = stored(tmp_path / "artifacts", made.files["model.onnx"].digest)
    file.chmod(0o600)
    file.write_bytes(adding(11))
    with pytest.raises(Corrupt, match="damaged"):
        check(made, artifacts, name="sums v1")


def test_bytes_that_are_no_model_are_refused(artifacts: Artifacts) -> None:
    assert "are not an ONNX model" in _fault(artifacts, b"\x00" * 1000)


def test_a_model_that_reads_other_files_is_refused(artifacts: Artifacts, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(np.array([10.0], np.float32).tobytes())
    tensor = helper.make_tensor("constant", TensorProto.FLOAT, [1], [0.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(tmp_path / "secret"))
    nodes = [
        helper.make_node("Reshape", ["numbers", "flat_shape"], ["flat"]),
        helper.make_node("Add", ["flat", "constant"], ["prediction"]),
    ]
    assert "reads other files, which is refused" in _fault(artifacts, crafted(nodes, tensor))


def test_a_model_that_crashes_its_process_is_told_by_the_signal(artifacts: Artifacts) -> None:
    assert "its process crashed with SIGSEGV" in _fault(artifacts, _a_tree_too_deep(50_000))


def test_a_process_that_ends_without_a_word_is_told_by_its_status(
    artifacts: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = "import os, sys\nprint('out of cheese', file=sys.stderr, flush=True)\nos._exit(7)\n"
    (tmp_path / "onnxruntime.py").write_text(library)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    fault = _fault(artifacts, adding(10))
    assert fault == "checking sums v1: its process ended with status 7: out of cheese"


def test_a_model_that_never_ends_is_stopped_at_the_time_limit(artifacts: Artifacts) -> None:
    began, before = time.monotonic(), set(psutil.Process().children())
    fault = _fault(artifacts, _endless(), seconds=4)
    assert "it had not ended after 4 s and was stopped" in fault or "SIGXCPU" in fault
    assert time.monotonic() - began < 20
    left = set(psutil.Process().children()) - before
    assert not [one for one in left if one.status() != "zombie"]


def test_a_model_that_wants_all_memory_is_refused(artifacts: Artifacts) -> None:
    fault = _fault(artifacts, _filling(1 << 33), memory=1 << 30)
    assert "Failed to allocate memory" in fault
    assert "it may use 1024 MiB of memory" in fault


def test_a_check_ends_with_the_program_that_asked_for_it(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from fairlead.artifacts import Artifacts
from fairlead.serving.check import check
from tests.integration.serving.making import ONE, candidate
from tests.integration.serving.test_check_versions import GOLDEN, _endless
artifacts = Artifacts(Path(sys.argv[1]))
made = candidate(artifacts, _endless(), ONE, golden=GOLDEN)
check(made, artifacts, name="sums v1")
"""
    root = Path(__file__).parents[3]
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    try:
        child = _child_of(parent.pid)
        os.kill(parent.pid, signal.SIGKILL)
        child.wait(timeout=30)
    finally:
        parent.kill()
        parent.wait()


def _child_of(pid: int) -> psutil.Process:
    """The process of the check, once it runs the model."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        for child in psutil.Process(pid).children():
            if "fairlead.serving.check" in child.cmdline() and child.cpu_times().user > 0.1:
                return child
        time.sleep(0.02)
    raise AssertionError("no check began")


def _a_tree_too_deep(depth: int) -> bytes:
    """ONNX Runtime goes down a tree by recursion when it loads one."""
    inner, leaves = range(depth), range(depth, 2 * depth + 1)
    places = [*inner, *leaves]
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        ["numbers"],
        ["sum"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0] * len(places),
        nodes_nodeids=places,
        nodes_featureids=[0] * len(places),
        nodes_values=[0.0] * len(places),
        nodes_modes=["BRANCH_LEQ"] * len(inner) + ["LEAF"] * len(leaves),
        nodes_truenodeids=[*range(1, depth + 1), *([0] * len(leaves))],
        nodes_falsenodeids=[*range(depth + 1, 2 * depth + 1), *([0] * len(leaves))],
        target_treeids=[0] * len(leaves),
        target_nodeids=[*leaves],
        target_ids=[0] * len(leaves),
        target_weights=[1.0] * len(leaves),
    )
    return crafted([ensemble, helper.make_node("Reshape", ["sum", "flat_shape"], ["prediction"])])


def _endless() -> bytes:
    """A loop of 2 ** 62 rounds."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes_on"]),
            helper.make_node("Add", ["value", "value"], ["twice"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, ["rows"]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("twice", TensorProto.FLOAT, ["rows"]),
        ],
    )
    rounds = helper.make_tensor("rounds", TensorProto.INT64, [], [1 << 62])
    nodes = [
        helper.make_node("Reshape", ["numbers", "flat_shape"], ["flat"]),
        helper.make_node("Loop", ["rounds", "", "flat"], ["prediction"], body=body),
    ]
    return crafted(nodes, rounds)


def _filling(size: int) -> bytes:
    """Adds the sum of so many zeros."""
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [1], [size])
    nodes = [
        helper.make_node("ConstantOfShape", ["sizes"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["nothing"], keepdims=0),
        helper.make_node("Reshape", ["numbers", "flat_shape"], ["flat"]),
        helper.make_node("Add", ["flat", "nothing"], ["prediction"]),
    ]
    return crafted(nodes, sizes)
