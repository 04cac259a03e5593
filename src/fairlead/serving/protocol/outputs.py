"""The outputs of a model as tensors of the Open Inference Protocol, and predictions as JSON.

Regression has `prediction` [rows]; classes have `probabilities` [rows, classes] and `label` [rows].
Numbers are FP32, as the model gives them: the predictions of `fairlead predict`, to the last bit.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from struct import pack
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from fairlead.errors import Failed, Invalid
from fairlead.formatting import shown
from fairlead.records import Scalar, Signature
from fairlead.serving.protocol.datatypes import DATATYPES
from fairlead.serving.protocol.documents import (
    InferRequest,
    Parameters,
    RequestOutput,
    ResponseOutput,
)
from fairlead.serving.protocol.wording import hint

LabelType: TypeAlias = Literal["BYTES", "BOOL", "INT64", "FP64"]


def check_predicted(predicted: NDArray[Any], rows: int) -> None:
    """Refuse to answer with NaN or infinity, which JSON cannot say and nobody can use.

    Raises:
        Failed: Names the first such row; or there is not one prediction for each row.
    """
    if len(predicted) != rows:
        raise Failed(f"the model gave {len(predicted)} predictions for {rows} rows")
    if not _finite(predicted):
        row, *_ = np.argwhere(~np.isfinite(predicted))[0].tolist()
        raise Failed(f"row {row + 1}: the model predicted {predicted[row]}, which is no prediction")


def _finite(predicted: NDArray[Any]) -> bool:
    if predicted.size == 1:  # most requests; numpy takes ten times as long
        return math.isfinite(predicted.item())
    return bool(np.isfinite(predicted).all())


def shortest(values: NDArray[Any]) -> list[float]:
    """Numbers, row-major, in the fewest digits that read, as float32, as the same number.

    A model gives float32: 28.917278, which as float64 is 28.917278289794922. Where float32 does
    not hold a number it stays as it is. So does `fairlead predict` write them.
    """
    numbers: list[float] = values.ravel().tolist()
    single = array("f", numbers)
    short = [float(str(one)) for one in np.asarray(single)]
    held, again = single.tolist(), array("f", short).tolist()
    if numbers == held == again:
        return short
    fits = (number == was == read for number, was, read in zip(numbers, held, again, strict=True))
    return [brief if fit else n for brief, n, fit in zip(short, numbers, fits, strict=True)]


def labels(probabilities: NDArray[Any], classes: Sequence[Scalar]) -> list[Scalar]:
    """The most probable class of each row, the first of equals."""
    return [classes[index] for index in probabilities.argmax(axis=1).tolist()]


def label_type(classes: Sequence[Scalar]) -> LabelType:
    """The datatype that holds every class."""
    kinds = set(map(type, classes))
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        return "INT64"
    return "FP64" if kinds <= {int, float} else "BYTES"


_UNKNOWN = ("classification", "shared_memory_region")  # ways to ask for an output that we have not


class Wanted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An output that is asked for."""

    name: str
    binary: bool


def names(signature: Signature) -> tuple[str, ...]:
    """The outputs of a model."""
    return ("prediction",) if signature.classes is None else ("probabilities", "label")


# ---- what is asked for ----------------------------------------------------------------------


def wanted(request: InferRequest, known: Sequence[str]) -> tuple[Wanted, ...]:
    """The outputs that are asked for, in that order; all of them where none is named.

    Raises:
        Invalid: The model has none such, or not as asked.
    """
    binary = _flag(request.parameters, "binary_data_output", default=False)
    if not request.outputs:
        return tuple(Wanted(name=name, binary=binary) for name in known)
    found: dict[str, Wanted] = {}
    for output in request.outputs:
        if output.name in found:
            raise Invalid(f"output {shown(output.name)} is asked for twice")
        found[output.name] = _wanted(output, known, binary=binary)
    return tuple(found.values())


def _wanted(output: RequestOutput, known: Sequence[str], *, binary: bool) -> Wanted:
    if output.name not in known:
        raise Invalid(
            f"output {shown(output.name)}: the model gives none of this name"
            f"{hint(output.name, known)}"
        )
    parameters = output.parameters or {}
    unknown = next((name for name in _UNKNOWN if parameters.get(name)), None)
    if unknown:
        raise Invalid(
            f"output {output.name!r}: the parameter {unknown} is not for clients of this server; "
            "ask for the output alone"
        )
    return Wanted(name=output.name, binary=_flag(parameters, "binary_data", default=binary))


def _flag(parameters: Parameters, name: str, *, default: bool) -> bool:
    value = (parameters or {}).get(name, default)
    if type(value) is not bool:
        raise Invalid(f"the parameter {name} is {shown(value)}, neither true nor false")
    return value


# ---- what is answered -----------------------------------------------------------------------


def output(
    wanted: Wanted, predicted: NDArray[Any], signature: Signature
) -> tuple[ResponseOutput, bytes]:
    """An output with its elements, in the document or, binary, beside it."""
    datatype, shape = describe(wanted.name, signature)
    tensor = ResponseOutput(name=wanted.name, datatype=datatype, shape=[len(predicted), *shape])
    content = b""
    if wanted.binary:
        content = _content(wanted.name, predicted, signature)
        tensor.parameters = {"binary_data_size": len(content)}
    else:
        tensor.data = _elements(wanted.name, predicted, signature)
    return tensor, content


def describe(name: str, signature: Signature) -> tuple[str, list[int]]:
    """The datatype of an output, and its shape without the rows."""
    classes = signature.classes or ()
    if name == "label":
        return label_type(classes), []
    return "FP32", [len(classes)] if name == "probabilities" else []


def _elements(name: str, predicted: NDArray[Any], signature: Signature) -> list[Any]:
    return _labels(predicted, signature) if name == "label" else shortest(predicted)


def _content(name: str, predicted: NDArray[Any], signature: Signature) -> bytes:
    if name != "label":
        return predicted.astype("<f4").tobytes()
    found = _labels(predicted, signature)
    stored = DATATYPES[label_type(signature.classes or ())].stored
    return np.array(found, dtype=stored).tobytes() if stored else b"".join(map(_bytes, found))


def _labels(predicted: NDArray[Any], signature: Signature) -> list[Any]:
    """Labels of one type: where some classes have a fraction, all are FP64."""
    assert signature.classes
    found = labels(predicted, signature.classes)
    match label_type(signature.classes):
        case "FP64":
            return [float(str(label)) for label in found]
        case "BYTES":
            return [str(label) for label in found]
        case _:
            return found


def _bytes(label: str) -> bytes:
    content = label.encode()
    return pack("<I", len(content)) + content
