"""Graphs of converters: what is renamed in them and cut off, in the graphs inside them as well."""

from __future__ import annotations

import numpy as np
import pytest

from fairlead.families.family import Fitted
from fairlead.families.onnx_graph import FEATURES, checked, finished

onnxruntime = pytest.importorskip("onnxruntime")


def test_a_loop_has_its_names_and_what_it_takes_from_outside() -> None:
    from onnx import TensorProto, helper, numpy_helper

    def value(name: str, kind: int, shape: list[int | str]) -> object:
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [
            helper.make_node("Add", ["total", "step"], ["more"]),  # step is of the graph outside
            helper.make_node("Identity", ["again"], ["still"]),
        ],
        "body",
        [
            value("number", TensorProto.INT64, []),
            value("again", TensorProto.BOOL, []),
            value("total", TensorProto.FLOAT, ["rows", 1]),
        ],
        [value("still", TensorProto.BOOL, []), value("more", TensorProto.FLOAT, ["rows", 1])],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["factor", "factor"], ["step"]),
            helper.make_node("Loop", ["times", "", FEATURES], ["scores"], body=body),
        ],
        "converted",
        [value(FEATURES, TensorProto.FLOAT, ["rows", 1])],
        [value("scores", TensorProto.FLOAT, ["rows", 1])],
        [
            numpy_helper.from_array(np.float32([[2.0]]), "factor"),
            numpy_helper.from_array(np.int64(3), "times"),
        ],
    )
    fitted = Fitted(model=None, classes=None, seen=())
    content = checked(finished(helper.make_model(graph), "scores", fitted, width=1))
    session = onnxruntime.InferenceSession(content)
    rows = np.float32([[1.0], [5.0]])
    assert session.run(None, {FEATURES: rows})[0].tolist() == [13.0, 17.0]
