"""ONNX graphs as Fairlead writes them.

Belongs here: the pinned versions of the format, and what turns a converter's graph into one with
the one output that a signature promises. Does not: converters (each family calls its own), and
the columns before the model (training/export.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fairlead.errors import Unexportable
from fairlead.families.family import Fitted

OPSET = 18
ML_OPSET = 3
IR = 8
"""Pinned, so that the same model gives the same bytes, and old runtimes read them."""

FEATURES = "features"


def model_of(
    nodes: Iterable[Any], initializers: Iterable[Any], inputs: Sequence[Any], output: Any
) -> bytes:
    """A checked ONNX model of these parts.

    Raises:
        Unexportable: The parts do not make a valid model, or one too large for the format.
    """
    from onnx import checker, helper

    graph = helper.make_graph(list(nodes), "fairlead", inputs, [output], list(initializers))
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="fairlead")
    try:
        checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))
    except (checker.ValidationError, ValueError, RuntimeError) as error:
        raise Unexportable(f"its ONNX form is not valid: {error}") from error


def output_of(fitted: Fitted) -> Any:
    """The description of the output that a signature promises for this model."""
    from onnx import TensorProto, helper

    if fitted.classes is None:
        return helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows"])
    return helper.make_tensor_value_info(
        "probabilities", TensorProto.FLOAT, ["rows", fitted.classes]
    )


def finished(converted: Any, source: str, fitted: Fitted, *, width: int) -> bytes:
    """A converter's graph, cut to one output of the promised name and shape.

    Args:
        converted: The converter's model; its input is named FEATURES.
        source: The tensor that holds predictions [rows, 1] or probabilities [rows, seen classes].
        fitted: What was converted.
        width: Number of features.
    """
    from onnx import TensorProto, compose, helper

    graph = compose.add_prefix(converted, "converted_", rename_inputs=False).graph
    nodes = _leading_to(f"converted_{source}", graph.node)
    features = helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["rows", width])
    tail, constants = _tail(f"converted_{source}", fitted)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    return model_of([*nodes, *tail], [*kept, *constants], [features], output_of(fitted))


def _leading_to(name: str, nodes: Sequence[Any]) -> list[Any]:
    """The nodes that a tensor comes from, in their order: labels and maps are left behind."""
    wanted, kept = {name}, []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1]


def _tail(source: str, fitted: Fitted) -> tuple[list[Any], list[Any]]:
    if fitted.classes is None:
        return _flattened(source)
    if len(fitted.seen) == fitted.classes:
        return _named(source)
    return _widened(source, fitted)


def _flattened(source: str) -> tuple[list[Any], list[Any]]:
    from onnx import TensorProto, helper

    shape = helper.make_tensor("flat_shape", TensorProto.INT64, [1], [-1])
    return [helper.make_node("Reshape", [source, shape.name], ["prediction"])], [shape]


def _named(source: str) -> tuple[list[Any], list[Any]]:
    from onnx import helper

    return [helper.make_node("Identity", [source], ["probabilities"])], []


def _widened(source: str, fitted: Fitted) -> tuple[list[Any], list[Any]]:
    """A column of zeros is appended, and stands for every class that was never seen."""
    from onnx import TensorProto, helper

    order = [
        fitted.seen.index(label) if label in fitted.seen else len(fitted.seen)
        for label in range(fitted.classes or 0)
    ]
    pads = helper.make_tensor("wide_pads", TensorProto.INT64, [4], [0, 0, 0, 1])
    columns = helper.make_tensor("wide_columns", TensorProto.INT64, [len(order)], order)
    nodes = [
        helper.make_node("Pad", [source, pads.name], ["wide_padded"]),
        helper.make_node("Gather", ["wide_padded", columns.name], ["probabilities"], axis=1),
    ]
    return nodes, [pads, columns]
