"""The JSON documents of both protocols: their fields, described for the OpenAPI document.

The Open Inference Protocol (REST, version 2) is that of github.com/kserve/open-inference-protocol;
`binary_data_size` and its kin are Triton's binary tensor data extension. A field of a request that
is not named here is ignored, as the protocol's other servers do; null means a field left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fairlead.serving.protocol.strict import keys

Parameters: TypeAlias = dict[str, bool | int | float | str | None] | UnsetType | None
Number: TypeAlias = float | None
Cell: TypeAlias = bool | int | float | str | None
_SOME = Meta(extra_json_schema={"minItems": 1})  # told, and refused where it is read, with a reason
_NAMED = Meta(extra_json_schema={"minProperties": 1})
_ELEMENT = {"type": ["boolean", "number", "string", "null"]}
_ROW = {"type": "array", "minItems": 1, "items": _ELEMENT}
_DATA = Meta(
    extra_json_schema={"type": "array", "minItems": 1, "items": {"anyOf": [_ELEMENT, _ROW]}}
)


class RequestInput(msgspec.Struct, kw_only=True, gc=False):
    """An input tensor."""

    name: str
    shape: Annotated[list[int], _SOME]
    datatype: str
    parameters: Parameters = UNSET
    data: Annotated[msgspec.Raw, _DATA] | UnsetType = UNSET


class RequestOutput(msgspec.Struct, kw_only=True, gc=False):
    """An output that is asked for."""

    name: str
    parameters: Parameters = UNSET


class InferRequest(msgspec.Struct, kw_only=True, gc=False):
    """A request for inference."""

    inputs: Annotated[list[RequestInput], _SOME]
    id: str | UnsetType | None = UNSET
    parameters: Parameters = UNSET
    outputs: list[RequestOutput] | UnsetType | None = UNSET

    def keys(self) -> int:
        """How many keys the document had, at least."""
        parts = (self, *self.inputs, *(self.outputs or ()))
        return sum(_keys(part) for part in parts)


def _keys(part: InferRequest | RequestInput | RequestOutput) -> int:
    given = len(part.__struct_fields__) - _values(part).count(UNSET)
    return given + len(part.parameters or ())


_values = msgspec.structs.astuple
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EACH = msgspec.json.Decoder(list[dict[str, msgspec.Raw]] | None)


def unread(document: bytes) -> int:
    """How many keys of a request for inference are ignored, with those of their values.

    Args:
        document: That was decoded as one without a fault.
    """
    request = _FIELDS.decode(document)
    inputs = _EACH.decode(request["inputs"]) or ()
    wanted = _EACH.decode(request.get("outputs", b"null")) or ()
    return (
        _ignored(request, InferRequest)
        + sum(_ignored(part, RequestInput) for part in inputs)
        + sum(_ignored(part, RequestOutput) for part in wanted)
    )


def _ignored(part: Mapping[str, msgspec.Raw], kind: type[msgspec.Struct]) -> int:
    values = [value for name, value in part.items() if name not in kind.__struct_fields__]
    return len(values) + keys(b" ".join(map(bytes, values)))


class ResponseOutput(msgspec.Struct, kw_only=True, gc=False):
    """An output tensor: with `data` in row-major order, or binary after the JSON document."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] | UnsetType = UNSET
    data: list[Any] | UnsetType = UNSET


class InferResponse(msgspec.Struct, kw_only=True, gc=False):
    """The answer to a request for inference; `parameters.revision` is what answered."""

    model_name: str
    model_version: str
    id: str | UnsetType = UNSET
    parameters: dict[str, Any]
    outputs: list[ResponseOutput]


class RowsRequest(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Rows to predict: objects, or, where `columns` names them, arrays."""

    rows: Annotated[list[Annotated[dict[str, Cell], _NAMED] | Annotated[list[Cell], _SOME]], _SOME]
    columns: Annotated[list[str], _SOME] | UnsetType = UNSET


class NumbersRequest(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    """As RowsRequest, of a model that takes numbers only."""

    rows: Annotated[
        list[Annotated[dict[str, Number], _NAMED] | Annotated[list[Number], _SOME]], _SOME
    ]
    columns: Annotated[list[str], _SOME] | UnsetType = UNSET


class RowsResponse(msgspec.Struct, kw_only=True, gc=False):
    """Predictions in the order of the rows; `probabilities` by class, where there are classes."""

    model: str
    version: int
    revision: str
    predictions: list[Any]
    probabilities: list[dict[str, float]] | UnsetType = UNSET


class ServerMetadata(msgspec.Struct, kw_only=True):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class MetadataTensor(msgspec.Struct, kw_only=True):
    """An input or an output of a model; -1 stands for any number of rows."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any]


class ModelMetadata(msgspec.Struct, kw_only=True):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[MetadataTensor]
    outputs: list[MetadataTensor]


class Live(msgspec.Struct, kw_only=True):
    """Whether the server runs."""

    live: bool


class Ready(msgspec.Struct, kw_only=True):
    """Whether the server, or a model by its name, can answer."""

    ready: bool
    name: str | UnsetType = UNSET
    why: Annotated[str, Meta(description="Why not.")] | UnsetType = UNSET


class ErrorDocument(msgspec.Struct, kw_only=True):
    """Why a request was not answered as asked."""

    error: Annotated[str, Meta(description="One line.")]
