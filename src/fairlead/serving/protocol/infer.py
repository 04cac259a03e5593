"""The Open Inference Protocol: from bytes to a model's inputs, from predictions to bytes.

A model takes its inputs in one of two ways: as its own tensors, `numbers` [rows, number columns]
and `text` [rows, text columns], or as one input for each column, named as the column, [rows] or
[rows, 1], in any order. A model whose columns are called `numbers` or `text` is asked by tensors
where the names could mean both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from fairlead.data.lexicon import NO_TRUTH
from fairlead.errors import Invalid
from fairlead.formatting import lacking, shown
from fairlead.records import Signature
from fairlead.serving.protocol import outputs, strict
from fairlead.serving.protocol.datatypes import BYTES
from fairlead.serving.protocol.documents import (
    InferRequest,
    InferResponse,
    MetadataTensor,
    ModelMetadata,
    Parameters,
    RequestInput,
    ServerMetadata,
    unread,
)
from fairlead.serving.protocol.intake import Intake, Tensors, check_rows, intake, texts
from fairlead.serving.protocol.outputs import check_predicted
from fairlead.serving.protocol.tensor import (
    Sent,
    located,
    read_cells,
    read_numbers,
    read_texts,
    rows_of,
)
from fairlead.serving.protocol.typed_columns import TypedColumn, is_odd_truth
from fairlead.serving.protocol.wording import hint, refused
from fairlead.version import VERSION

PLATFORM = "onnxruntime_onnx"  # as Triton calls it
EXTENSIONS = ("binary_tensor_data",)
_FP32 = 4  # bytes
_PREFIX = Struct("<I")  # the length of an element of BYTES, before it

_REQUEST = msgspec.json.Decoder(InferRequest)
_ENCODER = msgspec.json.Encoder()


class Infer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request for inference.

    Args:
        inputs: Exactly what the model's ONNX form takes: `numbers` float32 [rows, number columns],
            `text` object [rows, text columns], each only where there are such columns.
        rows: How many.
        id: Echoed in the answer.
        outputs: What to answer with.
    """

    inputs: Tensors
    rows: int
    id: str | None
    outputs: tuple[outputs.Wanted, ...]


def parse_infer(
    body: bytes,
    header_length: int | None,
    signature: Signature,
    *,
    missing: bool,
    most_rows: int,
) -> Infer:
    """Read a request for inference.

    Args:
        body: The JSON document, and binary data behind it.
        header_length: Bytes of the document (Inference-Header-Content-Length); None where it is
            all of the body, 0 where there is none and the body is the raw data of the one input.
        signature: Of the model.
        missing: Whether the model takes missing numbers (NaN, or null in JSON).
        most_rows: That may be asked at once.

    Raises:
        Invalid: In one line that names input, row and column.
        TooLarge: There are too many rows, or numbers that take long to read.
    """
    model = intake(signature)
    if header_length == 0:
        inputs, rows = _raw(body, model, missing=missing, most_rows=most_rows)
        wanted = tuple(outputs.Wanted(name=n, binary=True) for n in outputs.names(signature))
        return Infer(inputs=inputs, rows=rows, id=None, outputs=wanted)
    length = len(body) if header_length is None else header_length
    document = strict.unmarked(_document(body, length))
    strict.check_size(document, model.most_values(most_rows), len(model.columns))
    strict.check_exponents(document)
    request = strict.read(_REQUEST, document)
    _check_names(request, model)
    wanted = outputs.wanted(request, outputs.names(signature))
    strict.check_keys(document, request.keys(), lambda: unread(document))
    found = _sent(request, body, length)
    inputs, rows = _inputs(found, model, missing=missing, most_rows=most_rows)
    return Infer(
        inputs=inputs, rows=rows, id=None if request.id is UNSET else request.id, outputs=wanted
    )


def _document(body: bytes, length: int) -> bytes:
    if not 0 <= length <= len(body):
        raise Invalid(
            f"Inference-Header-Content-Length is {length}, where the body has {len(body)} bytes"
        )
    return body[:length]


# ---- a raw request --------------------------------------------------------------------------
#
# Triton's raw binary request: no document, the body is the data of the model's only input, and the
# outputs are binary. github.com/triton-inference-server/server, docs/protocol


def _raw(body: bytes, model: Intake, *, missing: bool, most_rows: int) -> tuple[Tensors, int]:
    """What the model takes, and the number of rows, which follows from the body's size."""
    names = [*model.tensors]
    if names == ["numbers"]:
        tensor, data = _raw_numbers(body, len(model.tensors["numbers"])), body
    elif names == ["text"] and len(model.tensors["text"]) == 1:
        tensor, data = (
            _raw_tensor("text", [1, 1], "BYTES", len(body) + _PREFIX.size),
            _raw_text(body),
        )
    else:
        raise Invalid(
            "Inference-Header-Content-Length is 0, so the body is the raw data of the one input, "
            f"which must be numbers or a single text; this model takes {_tensors_named(model)}: "
            "send a JSON document before the data"
        )
    found = {tensor.name: located(tensor, data, 0, 0)}
    return _inputs(found, model, missing=missing, most_rows=most_rows)


def _raw_numbers(body: bytes, width: int) -> RequestInput:
    rows, rest = divmod(len(body), width * _FP32)
    if rest:
        raise Invalid(
            f"the body has {len(body)} bytes, which is no whole number of rows: a row of the raw "
            f"input 'numbers' is {width} FP32, {width * _FP32} bytes"
        )
    return _raw_tensor("numbers", [rows, width], "FP32", len(body))


def _raw_text(body: bytes) -> bytes:
    """The text as an element of BYTES; its length is the body's."""
    return _PREFIX.pack(len(body)) + body


def _raw_tensor(name: str, shape: list[int], datatype: str, size: int) -> RequestInput:
    parameters: Parameters = {"binary_data_size": size}
    return RequestInput(name=name, shape=shape, datatype=datatype, parameters=parameters)


# ---- inputs ---------------------------------------------------------------------------------


def _check_names(request: InferRequest, model: Intake) -> None:
    """Refuse inputs that the model has not; so there are no more left than it takes."""
    found: set[str] = set()
    for tensor in request.inputs:
        if tensor.name in found:
            raise Invalid(f"input {shown(tensor.name)} is there twice")
        if tensor.name not in model.known and tensor.name not in model.tensors:
            raise Invalid(
                f"input {shown(tensor.name)}: the model takes none of this name"
                f"{hint(tensor.name, (*model.tensors, *model.columns))}; {_ways(model)}"
            )
        found.add(tensor.name)


def _sent(request: InferRequest, body: bytes, whole: int) -> dict[str, Sent]:
    """The inputs by name, each with its data; binary data stands in their order."""
    found: dict[str, Sent] = {}
    start = whole
    for tensor in request.inputs:
        found[tensor.name] = one = located(tensor, body, start, whole)
        start += one.binary.size if one.binary else 0
    if start < len(body):
        raise Invalid(f"{len(body) - start} bytes are left over behind the data of the inputs")
    return found


def _inputs(
    found: Mapping[str, Sent], model: Intake, *, missing: bool, most_rows: int
) -> tuple[Tensors, int]:
    """What the model takes, and the number of rows."""
    if not found:
        raise Invalid(f"the request has no inputs; {_ways(model)}")
    by_tensor = _by_tensor(found, model)
    widths = {name: len(names) for name, names in model.tensors.items()} if by_tensor else {}
    rows = _rows(found, widths, most_rows)
    if by_tensor:
        return _tensors(found, model, rows, missing=missing), rows
    return _columns(found, model, rows, missing=missing), rows


def _by_tensor(found: Mapping[str, Sent], model: Intake) -> bool:
    """Whether the inputs are the model's own tensors; else they are its columns.

    Raises:
        Invalid: They are neither: some are not there.
    """
    if found.keys() == model.tensors.keys():
        return True
    if found.keys() == model.known:
        return False
    wanted = model.tensors if found.keys() & model.tensors.keys() else model.columns
    raise Invalid(f"the model needs {lacking([n for n in wanted if n not in found], 'input')}")


def _ways(model: Intake) -> str:
    return f"it takes {_tensors_named(model)}, or one input for each column"


def _tensors_named(model: Intake) -> str:
    return " and ".join(f"{name!r} [rows, {len(c)}]" for name, c in model.tensors.items())


def _rows(found: Mapping[str, Sent], widths: Mapping[str, int], most_rows: int) -> int:
    """How many rows every input has."""
    counts = {name: rows_of(one, widths.get(name, 1)) for name, one in found.items()}
    (first, rows), *others = counts.items()
    for name, count in others:
        if count != rows:
            raise Invalid(
                f"input {shown(name)} has {count} rows, and input {shown(first)} has {rows}"
            )
    check_rows(rows, most_rows)
    return rows


def _tensors(found: Mapping[str, Sent], model: Intake, rows: int, *, missing: bool) -> Tensors:
    inputs: Tensors = {}
    if names := model.tensors.get("numbers"):
        truths = {column.name for column in model.typed if column.meaning == "truth value"}
        _check_numbers(found["numbers"], [name for name in names if name not in truths])
        inputs["numbers"] = read_numbers(found["numbers"], rows, names, missing=missing)
        _check_truths(found["numbers"], inputs["numbers"], model)
    if names := model.tensors.get("text"):
        cells = read_texts(found["text"], rows, names)
        inputs["text"] = texts(cells, len(names), model.absent)
        for column in model.typed:
            if column.tensor == "text":
                own = cells[column.at.start :: len(names)]
                inputs["text"][:, column.at] = column.read(own, model.absent, missing=missing)
    return inputs


def _check_numbers(sent: Sent, names: Sequence[str]) -> None:
    """Refuse truth values where numbers are wanted, as a plain row's `true` is refused there."""
    if sent.kind.name == "BOOL" and names:
        column = "" if sent.tensor.name == names[0] else f", as in column {shown(names[0])}"
        raise sent.wrong(f"it is BOOL; the model wants numbers here{column}")


def _check_truths(sent: Sent, numbers: NDArray[np.float32], model: Intake) -> None:
    for column in model.typed:
        if column.meaning == "truth value":
            values = numbers[:, column.at.start]
            odd = is_odd_truth(values)
            if odd.any():
                row = int(odd.argmax())
                raise refused(sent.where, row, column.name, f"{values[row]:g} is {NO_TRUTH}")


def _columns(found: Mapping[str, Sent], model: Intake, rows: int, *, missing: bool) -> Tensors:
    plain: Tensors = {}
    for name in model.numbers:
        _check_numbers(found[name], [name])
    if model.numbers:
        plain["numbers"] = np.concatenate(
            [read_numbers(found[name], rows, [name], missing=missing) for name in model.numbers],
            axis=1,
        )
    if model.text:
        plain["text"] = np.concatenate(
            [texts(read_texts(found[name], rows, [name]), 1, model.absent) for name in model.text],
            axis=1,
        )
    typed = [
        _typed(found[column.name], column, model, rows, missing=missing) for column in model.typed
    ]
    return model.joined(plain, typed, rows)


def _typed(
    sent: Sent, column: TypedColumn, model: Intake, rows: int, *, missing: bool
) -> NDArray[Any]:
    if column.meaning == "date" and sent.kind is not BYTES:
        raise sent.wrong(f"it is {sent.kind.name}; the model wants dates here, which are BYTES")
    if column.meaning == "truth value" and sent.kind is BYTES:
        raise sent.wrong("it is BYTES; the model wants truth values here, which are BOOL")
    cells = read_cells(sent, rows, column.name)
    return column.read(cells, model.absent, missing=missing, where=sent.where)


# ---- the answer -----------------------------------------------------------------------------


def render_infer(  # noqa: PLR0913 - who answered is three names
    infer: Infer,
    predicted: NDArray[Any],
    *,
    model: str,
    version: str,
    revision: str,
    signature: Signature,
) -> tuple[bytes, int | None]:
    """The answer to a request for inference.

    Args:
        infer: The request.
        predicted: float64 [rows], or probabilities float32 [rows, classes].
        model: That answered.
        version: Of the model.
        revision: Of the model.
        signature: Of the model.

    Returns:
        The body; and where it holds binary data, the length of the JSON document before it. A
        number in JSON reads, as float32, as the very one that was predicted.

    Raises:
        Failed: A prediction is not finite, or there is not one for each row.
    """
    check_predicted(predicted, infer.rows)
    found = [outputs.output(wanted, predicted, signature) for wanted in infer.outputs]
    answer = InferResponse(
        model_name=model,
        model_version=version,
        parameters={"revision": revision},
        outputs=[tensor for tensor, _ in found],
    )
    if infer.id is not None:
        answer.id = infer.id
    document = _ENCODER.encode(answer)
    if not any(wanted.binary for wanted in infer.outputs):
        return document, None
    return b"".join((document, *(content for _, content in found))), len(document)


# ---- what the server and a model say of themselves ------------------------------------------


def server_metadata() -> dict[str, Any]:
    """What the server is, as the protocol has it."""
    said = ServerMetadata(name="fairlead", version=VERSION, extensions=list(EXTENSIONS))
    return dict(msgspec.to_builtins(said))


def model_metadata(model: str, versions: Sequence[str], signature: Signature) -> dict[str, Any]:
    """What a model takes and gives, as the protocol has it.

    Args:
        model: Its name.
        versions: That may be asked for.
        signature: Of the model. Names of columns and classes stand in `parameters` of the tensors,
            in the order in which the tensors hold them; and which columns are typed: `dates`, each
            with the names of its parts, `booleans` and `codes`.
    """
    tensors = intake(signature).tensors
    said = ModelMetadata(
        name=model,
        versions=list(versions),
        platform=PLATFORM,
        inputs=[_input(name, columns, signature) for name, columns in tensors.items()],
        outputs=[_output(name, signature) for name in outputs.names(signature)],
    )
    return dict(msgspec.to_builtins(said))


def _input(name: str, columns: Sequence[str], signature: Signature) -> MetadataTensor:
    return MetadataTensor(
        name=name,
        datatype="BYTES" if name == "text" else "FP32",
        shape=[-1, len(columns)],
        parameters={"columns": list(columns), **_typed_ones(name, signature)},
    )


def _typed_ones(tensor: str, signature: Signature) -> dict[str, Any]:
    """Which of the tensor's columns are typed; only what there is."""
    own = [column for column in signature.columns if (column.kind == "text") == (tensor == "text")]
    found = {
        "dates": {column.name: list(column.numbers) for column in own if column.kind == "date"},
        "booleans": [column.name for column in own if column.type == "boolean"],
        "codes": [column.name for column in own if column.type == "number"],
    }
    return {key: names for key, names in found.items() if names}


def _output(name: str, signature: Signature) -> MetadataTensor:
    datatype, shape = outputs.describe(name, signature)
    classes = {} if signature.classes is None else {"classes": list(signature.classes)}
    return MetadataTensor(
        name=name,
        datatype=datatype,
        shape=[-1, *shape],
        parameters={"target": signature.target, **classes},
    )
