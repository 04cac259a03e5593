from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fairlead.data.features import Features
from fairlead.errors import Corrupt
from fairlead.inference import Exported
from fairlead.records import Column, Signature

SIGNATURE = Signature(columns=(Column(name="a", kind="number"),), target="y")
ROWS = Features(numbers=np.array([[1.0], [2.0]]), text=np.empty((2, 0), np.int32))


def _model(constant: Any, *, node: Any = None) -> Any:
    """prediction = flat(numbers) + constant."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [-1])
    nodes = [
        *([node] if node else []),
        helper.make_node("Reshape", ["numbers", "shape"], ["flat"]),
        helper.make_node("Add", ["flat", "constant"], ["prediction"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows"])],
        [shape, *([constant] if constant else [])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _constant() -> Any:
    return helper.make_tensor("constant", TensorProto.FLOAT, [1], [10.0])


def _external(tensor: Any, path: Path) -> Any:
    """The same tensor, with its content in a file that is really there."""
    path.write_bytes(np.array([10.0], np.float32).tobytes())
    tensor.ClearField("float_data")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", path.name), ("offset", "0"), ("length", "4")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def test_a_model_predicts_from_bytes_and_from_a_file_alike(tmp_path: Path) -> None:
    content = _model(_constant()).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(content)
    from_bytes = Exported(content, SIGNATURE).predict(ROWS)
    assert from_bytes.tolist() == [11.0, 12.0]
    assert from_bytes.dtype == np.float64
    assert Exported(tmp_path / "model.onnx", SIGNATURE).predict(ROWS).tolist() == [11.0, 12.0]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08"])
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    with pytest.raises(Corrupt):
        Exported(content, SIGNATURE)


def test_a_model_cut_short_is_refused() -> None:
    content = _model(_constant()).SerializeToString()
    for length in range(0, len(content), 7):
        with pytest.raises(Corrupt):
            Exported(content[:length], SIGNATURE)


def test_a_constant_in_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = _model(_external(_constant(), tmp_path / "secret"))
    with pytest.raises(Corrupt, match="reads other files"):
        Exported(model.SerializeToString(), SIGNATURE)


def test_an_attribute_in_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    node = helper.make_node("Constant", [], ["constant"], value=_constant())
    _external(node.attribute[0].t, tmp_path / "secret")
    with pytest.raises(Corrupt, match="reads other files"):
        Exported(_model(None, node=node).SerializeToString(), SIGNATURE)


def test_a_graph_inside_a_graph_is_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inner = helper.make_graph(
        [helper.make_node("Identity", ["hidden"], ["out"])],
        "inner",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])],
        [_external(helper.make_tensor("hidden", TensorProto.FLOAT, [1], [1.0]), tmp_path / "s")],
    )
    condition = helper.make_node("If", ["yes"], ["constant"], then_branch=inner, else_branch=inner)
    model = _model(None, node=condition)
    model.graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, [1], [True]))
    onnx.checker.check_model(model, skip_opset_compatibility_check=True)
    with pytest.raises(Corrupt, match="reads other files"):
        Exported(model.SerializeToString(), SIGNATURE)
