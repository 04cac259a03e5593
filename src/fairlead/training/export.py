"""A model and its preparation as one ONNX graph, and the parity of the two.

The graph goes from a signature's raw columns to its output: the preparation's nodes first, then the
graph of the family. Parity compares its predictions with those of the model as trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.families.onnx_graph import FEATURES, checked, output_of, rename, sealed
from fairlead.records import Parity, Signature

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairlead.families.family import Family, Fitted
    from fairlead.training.prepare import Preparation

TOLERANCE = 1e-4
ROWS_BEYOND = 0.001
"""Share of rows that may be further apart than the tolerance: a float32 value that crosses a
threshold takes another branch, whatever the precision of the sums."""


def export(preparation: Preparation, family: Family, fitted: Fitted, signature: Signature) -> bytes:
    """One ONNX model from the signature's raw columns to its output.

    Its inputs are `numbers` and `text`, each only where there are such columns; a missing number
    is NaN, a missing text is the empty one.

    Args:
        preparation: As fitted on the rows that the model was fitted on.
        family: The model's.
        fitted: The model.
        signature: Of the table.

    Raises:
        Unexportable: The model has no ONNX form.
    """
    import onnx

    before = prepared(preparation, signature)
    width = len(signature.numbers) + preparation.width
    model = onnx.load_model_from_string(family.onnx(fitted, width=width))
    output = output_of(fitted)
    names = {FEATURES: before.output, output.name: output.name}
    rename(model.graph, lambda name: names.get(name, f"model_{name}"))
    for node in reversed(before.nodes):
        model.graph.node.insert(0, node)
    model.graph.initializer.extend(before.constants)
    return checked(sealed(model, before.inputs, output))


def parity(trained: NDArray[Any], exported: NDArray[Any], *, spread: float | None) -> Parity:
    """How far two models' predictions for the same rows are apart, and whether that passes.

    It passes where at most 0.1 % of the rows are further apart than the tolerance, which is 1e-4
    of the target's standard deviation, or of probability: so below 1000 rows none may be. A
    prediction that is not a number passes only where it is NaN in both.

    Args:
        trained: [rows] or [rows, classes], of the model as it was trained.
        exported: The same of its ONNX form.
        spread: Standard deviation of the target; None for probabilities.
    """
    apart = _distances(trained, exported) / (spread or 1.0)
    beyond = int((apart > TOLERANCE).sum())
    return Parity(
        rows=len(apart),
        beyond=beyond,
        worst=float(apart.max(initial=0.0)),
        tolerance=TOLERANCE,
        passed=beyond <= int(len(apart) * ROWS_BEYOND),
    )


def _distances(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Distances [rows]; infinite where only one of the two is a finite number."""
    import numpy as np

    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(one.astype(float) - other))
    rows = np.nan_to_num(apart, nan=np.inf, posinf=np.inf)
    return rows if rows.ndim == 1 else rows.max(axis=1)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The part of a graph before the model.

    Args:
        inputs: The model's inputs.
        nodes: In order.
        constants: Their initializers.
        output: The tensor [rows, width] that the model takes.
    """

    inputs: Sequence[Any]
    nodes: Sequence[Any]
    constants: Sequence[Any]
    output: str


def prepared(preparation: Preparation, signature: Signature) -> Prepared:
    """The preparation as ONNX."""
    parts = [_numbers(preparation, signature)] if signature.numbers else []
    parts += [_text(signature, preparation.vocabulary)] if signature.text else []
    return parts[0] if len(parts) == 1 else _side_by_side(parts)


def _numbers(preparation: Preparation, signature: Signature) -> Prepared:
    from onnx import TensorProto, helper

    width = len(signature.numbers)
    inputs = [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["rows", width])]
    if preparation.fill is None:
        return Prepared(inputs=inputs, nodes=[], constants=[], output="numbers")
    fill = helper.make_tensor("fill", TensorProto.FLOAT, [1, width], preparation.fill)
    nodes = [
        helper.make_node("IsNaN", ["numbers"], ["missing"]),
        helper.make_node("Where", ["missing", fill.name, "numbers"], ["filled"]),
    ]
    return Prepared(inputs=inputs, nodes=nodes, constants=[fill], output="filled")


def _text(signature: Signature, vocabulary: Sequence[Sequence[str]]) -> Prepared:
    from onnx import TensorProto, helper

    width = len(signature.text)
    inputs = [helper.make_tensor_value_info("text", TensorProto.STRING, ["rows", width])]
    columns = [_encoded(place, texts) for place, texts in enumerate(vocabulary)]
    joined = _side_by_side(columns, name="encoded")
    return Prepared(
        inputs=inputs, nodes=joined.nodes, constants=joined.constants, output=joined.output
    )


def _encoded(place: int, texts: Sequence[str]) -> Prepared:
    """One text column: a column of its own for each text; zeros in all for any other text."""
    from onnx import TensorProto, helper

    column, ones, flat = (f"text_{place}_{part}" for part in ("column", "ones", "flat"))
    index = helper.make_tensor(f"text_{place}_index", TensorProto.INT64, [1], [place])
    shape = helper.make_tensor(f"text_{place}_shape", TensorProto.INT64, [2], [0, len(texts)])
    nodes = [
        helper.make_node("Gather", ["text", index.name], [column], axis=1),
        helper.make_node(
            "OneHotEncoder",
            [column],
            [ones],
            domain="ai.onnx.ml",
            cats_strings=[text.encode() for text in texts],
            zeros=1,
        ),
        helper.make_node("Reshape", [ones, shape.name], [flat]),
    ]
    return Prepared(inputs=[], nodes=nodes, constants=[index, shape], output=flat)


def _side_by_side(parts: Sequence[Prepared], *, name: str = "prepared") -> Prepared:
    from onnx import helper

    join = helper.make_node("Concat", [part.output for part in parts], [name], axis=1)
    return Prepared(
        inputs=[one for part in parts for one in part.inputs],
        nodes=[*(node for part in parts for node in part.nodes), join],
        constants=[one for part in parts for one in part.constants],
        output=name,
    )
