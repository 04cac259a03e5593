"""What an ONNX file is known to do, from its graph.

Only this module needs the package `onnx`, which is slow to import and takes the file apart into
many times its size. A serving process is given what was found here, with the file's digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fairlead.errors import Corrupt

_STEADY = {  # operators whose result for a row does not depend on how many rows there are
    "Cast",
    "Concat",
    "Gather",
    "Identity",
    "Imputer",
    "IsNaN",
    "Mul",
    "OneHotEncoder",
    "Pad",
    "Reshape",
    "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
    "Where",
}
_HANDED_ON = {"Cast", "Concat", "Gather", "Identity", "Reshape"}
"""Operators that leave a missing number missing."""


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """What an ONNX file says of itself.

    Args:
        steady: A row's prediction is the same bits, however many rows are asked together.
        missing: A number may be missing: something stands for it before the model sees it.

    A model was trained to take missing numbers where its graph puts what was learnt from the
    training rows (the spec's `data.impute`, or an imputer in a pipeline) into their place. Trees
    have a way for them too, but no training table of Fairlead's leads there: without
    `data.impute` a table with missing numbers is refused, so that way means nothing.
    """

    steady: bool
    missing: bool


def inspect(content: bytes) -> Inspected:
    """What this ONNX file says of itself.

    Raises:
        Corrupt: It is no ONNX model, or one that reads other files.
    """
    graph = _checked(content)
    return Inspected(
        steady=all(node.op_type in _STEADY for node in graph.node), missing=_takes_missing(graph)
    )


def _takes_missing(graph: Any) -> bool:
    """Whether something stands for each missing number before anything is computed with it."""
    holding, marks = {"numbers"}, set[str]()  # tensors with missing numbers; where they are
    for node in graph.node:
        if holding.isdisjoint(node.input) or _fills(node, holding, marks):
            continue
        if node.op_type == "IsNaN":
            marks.update(node.output)
        elif node.op_type in _HANDED_ON:
            holding.update(node.output)
        else:
            return False
    return True


def _fills(node: Any, holding: set[str], marks: set[str]) -> bool:
    if node.op_type == "Where":
        mark, filling, _ = node.input
        return mark in marks and filling not in holding
    return node.op_type == "Imputer" and any(
        attribute.name == "replaced_value_float" and attribute.f != attribute.f  # NaN is not itself
        for attribute in node.attribute
    )


def _checked(content: bytes) -> Any:
    """The model's graph. A tensor may name a file to be read in its place: none is, here.

    Raises:
        Corrupt: One does, or this is no ONNX model.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:
        raise Corrupt(f"{len(content)} bytes are not an ONNX model: {error}") from error
    nodes = [node for function in model.functions for node in function.node]
    if any(tensor.external_data for tensor in _tensors(model.graph, nodes)):
        raise Corrupt("the ONNX model reads other files, which is refused")
    return model.graph


def _tensors(graph: Any, nodes: Iterable[Any] = ()) -> Iterator[Any]:
    """Every tensor of a graph, of the graphs inside it, and of these further nodes."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for attribute in (one for node in (*graph.node, *nodes) for one in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for inner in (attribute.g, *attribute.graphs):
            yield from _tensors(inner)
