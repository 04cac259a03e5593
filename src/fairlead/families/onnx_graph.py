"""ONNX graphs as Fairlead writes them: pinned versions, one input, one output.

Each family has a converter, whose graph is cut here to the one output that a signature promises.
The nodes for the raw columns before the model are added by training/export.py.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fairlead.errors import Unexportable
from fairlead.families.family import Fitted

OPSET = 18
ML_OPSET = 3
IR = 8
"""Pinned, so that the same model gives the same bytes, and old runtimes read them."""

FEATURES = "features"


def sealed(model: Any, inputs: Sequence[Any], output: Any) -> bytes:
    """The model with these inputs, this output and the pinned versions, as bytes.

    It is changed in place: a large forest is hundreds of megabytes, and copies of it are slow.

    Raises:
        Unexportable: It is larger than the format can be (2 GB).
    """
    from onnx import helper

    graph = model.graph
    for field in ("doc_string", "metadata_props", "producer_version", "opset_import"):
        model.ClearField(field)
    for field in ("doc_string", "value_info", "input", "output"):
        graph.ClearField(field)
    graph.name = "fairlead"
    graph.input.extend(inputs)
    graph.output.append(output)
    model.ir_version, model.producer_name = IR, "fairlead"
    model.opset_import.extend(
        [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    )
    try:
        return bytes(model.SerializeToString(deterministic=True))
    except Exception as error:
        raise Unexportable(f"what it is converted to cannot be written: {error}") from error


def checked(content: bytes) -> bytes:
    """The same bytes, which are a valid ONNX model.

    Raises:
        Unexportable: They are none.
    """
    from onnx import checker, shape_inference

    try:
        checker.check_model(content, full_check=True)
    except (checker.ValidationError, shape_inference.InferenceError, ValueError) as error:
        raise Unexportable(f"what it is converted to is not valid: {error}") from error
    return content


def rename(graph: Any, names: Callable[[str], str]) -> None:
    """Rename every tensor of a graph and of those inside it, in place."""
    for node in graph.node:
        node.input[:] = [names(name) if name else name for name in node.input]
        node.output[:] = [names(name) if name else name for name in node.output]
        for inner in inner_graphs(node):
            rename(inner, names)
            inner.ClearField("value_info")  # which says what a runtime finds out by itself
            for value in (*inner.input, *inner.output):
                value.name = names(value.name)
                for size in value.type.tensor_type.shape.dim:
                    size.ClearField("dim_param")
    for tensor in graph.initializer:
        tensor.name = names(tensor.name)


def settle(graph: Any) -> None:
    """Have a graph inside another be one of the many that say the same, in place.

    Converters name and order tensors by what they converted before, and give some on unchanged.
    """
    same = _unchanged(graph)
    nodes = [copy.deepcopy(node) for node in graph.node if node.op_type != "Identity"]
    for node in nodes:
        node.ClearField("domain")
        node.input[:] = [same.get(name, name) for name in node.input]
        for inner in inner_graphs(node):
            rename(inner, lambda name: same.get(name, name))
    nodes += _given(graph, nodes, same)
    ordered = _in_order(nodes, [value.name for value in graph.output])
    graph.ClearField("node")
    graph.node.extend(ordered)


def _unchanged(graph: Any) -> Mapping[str, str]:
    """The tensor that each is which is given on unchanged."""
    same: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Identity":
            same[node.output[0]] = same.get(node.input[0], node.input[0])
    return same


def _given(graph: Any, nodes: Sequence[Any], same: Mapping[str, str]) -> Iterator[Any]:
    """Give each tensor once, and further ones, or those from outside, as copies."""
    from onnx import helper

    own = {value.name for value in graph.input} | {name for one in nodes for name in one.output}
    for place, value in enumerate(graph.output):
        name = same.get(value.name, value.name)
        value.name = name if name in own else f"{name}__{place}"
        own.discard(name)
        if value.name != name:
            yield helper.make_node("Identity", [name], [value.name])


def _in_order(nodes: Sequence[Any], outputs: Sequence[str]) -> Sequence[Any]:
    """The nodes by what the outputs need and nothing else: neither names nor places decide."""
    makers = {name: node for node in nodes for name in node.output}
    ordered: dict[str, Any] = {}

    def visit(name: str) -> None:
        node = makers.get(name)
        if node is not None and node.output[0] not in ordered:
            for needed in _used(node):
                visit(needed)
            ordered[node.output[0]] = node

    for name in outputs:
        visit(name)
    return list(ordered.values())


def inner_graphs(node: Any) -> Iterator[Any]:
    """The graphs inside a node: the body of a loop, the branches of a condition."""
    for attribute in node.attribute:
        yield from ([attribute.g] if attribute.HasField("g") else [])
        yield from attribute.graphs


def output_of(fitted: Fitted) -> Any:
    """The description of the output that a signature promises for this model."""
    from onnx import TensorProto, helper

    if fitted.classes is None:
        return helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows"])
    return helper.make_tensor_value_info(
        "probabilities", TensorProto.FLOAT, ["rows", fitted.classes]
    )


def output_name(converted: Any, fitted: Fitted, family: str) -> str:
    """The tensor of predictions, or of probabilities, of a graph that gives labels before these.

    Raises:
        Unexportable: It gives no probabilities.
    """
    place, outputs = 0 if fitted.classes is None else 1, converted.graph.output
    if place >= len(outputs):
        raise Unexportable(f"{family}: what its objective gives are no probabilities of classes")
    return str(outputs[place].name)


def finished(
    converted: Any, source: str, fitted: Fitted, *, width: int, link: Sequence[str] = ()
) -> bytes:
    """A converter's graph, cut to one output of the promised name and shape.

    Args:
        converted: The converter's model; its input is named FEATURES.
        source: The tensor that holds predictions [rows, 1] or probabilities [rows, seen classes].
        fitted: What was converted.
        width: Number of features.
        link: What makes predictions of the tensor's scores, where the converter left that out.
    """
    from onnx import TensorProto, helper

    graph, source = converted.graph, f"converted_{source}"
    rename(graph, lambda name: name if name == FEATURES else f"converted_{name}")
    _keep_what_leads_to(source, graph)
    nodes, source = _linked(source, link)
    graph.node.extend(nodes)
    tail, constants = _tail(source, fitted)
    graph.node.extend(tail)
    graph.initializer.extend(constants)
    features = helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["rows", width])
    return sealed(converted, [features], output_of(fitted))


def _keep_what_leads_to(source: str, graph: Any) -> None:
    """Remove labels, maps, and whatever else the tensor does not depend on."""
    wanted = {source}
    for place in reversed(range(len(graph.node))):
        if wanted.isdisjoint(graph.node[place].output):
            del graph.node[place]
        else:
            wanted.update(_used(graph.node[place]))
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in wanted:
            del graph.initializer[place]


def _used(node: Any) -> Iterator[str]:
    """The tensors that a node depends on; of graphs inside it their own as well."""
    yield from node.input
    for inner in inner_graphs(node):
        yield from (value.name for value in inner.output)
        for each in inner.node:
            yield from _used(each)


# ---- links ------------------------------------------------------------------------------------
#
# What an objective makes of the sum of its trees, and converters know for some objectives only.
#
# Of classes, a sigmoid of the sum is a property of the trees' node. Other links are nodes after it;
# these are computed in another way for one row than for many, so such a model is asked row by row.

EXP = ("Exp",)
SIGMOID = ("Sigmoid",)
SOFTPLUS = ("Softplus",)
SIGNED_SQUARE = ("Abs", "Mul")
"""x times |x|: its second operator takes the scores, too."""


def _linked(source: str, link: Sequence[str]) -> tuple[list[Any], str]:
    """The link's nodes, and the tensor that they give."""
    from onnx import helper

    nodes, last = [], source
    for place, operator in enumerate(link):
        inputs = [last] if operator != "Mul" else [source, last]
        last = f"linked_{place}"
        nodes.append(helper.make_node(operator, inputs, [last]))
    return nodes, last


def trees_of(converted: Any) -> Any:
    """The graph's one node of trees."""
    [node] = [node for node in converted.graph.node if node.op_type.startswith("TreeEnsemble")]
    return node


def transform(trees: Any, function: str) -> None:
    """Have trees of classes give LOGISTIC, the sigmoid, or SOFTMAX of their sums, in place.

    ONNX Runtime leaves this undone for trees of one amount.
    """
    for attribute in trees.attribute:
        if attribute.name == "post_transform":
            attribute.s = function.encode()


def scale(trees: Any, factor: float) -> None:
    """Multiply the sums of trees, in place."""
    for attribute in trees.attribute:
        if attribute.name in {"class_weights", "target_weights", "base_values"}:
            attribute.floats[:] = [value * factor for value in attribute.floats]


def rebase(trees: Any, change: Callable[[float], float]) -> None:
    """Change what trees add to their sums, in place."""
    for attribute in trees.attribute:
        if attribute.name == "base_values":
            attribute.floats[:] = [change(value) for value in attribute.floats]


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
    """Append a column of zeros, and take it for every class that was never seen."""
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
