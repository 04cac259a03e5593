"""The OpenAPI document of a serving process.

The fields of requests and responses come from the Structs that decode and encode them
(documents.py), so the document and the server cannot differ in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from fairlead.data.dates import parts
from fairlead.records import CellType, Column, Signature
from fairlead.serving.protocol import documents
from fairlead.serving.protocol.datatypes import DATATYPES
from fairlead.serving.protocol.intake import intake
from fairlead.version import VERSION

Object: TypeAlias = dict[str, Any]

JSON, BINARY = "application/json", "application/octet-stream"

_TEMPLATE = "#/components/schemas/{name}"
_DOCUMENTS = (
    documents.InferRequest,
    documents.InferResponse,
    documents.RowsRequest,
    documents.RowsResponse,
    documents.ServerMetadata,
    documents.ModelMetadata,
    documents.Live,
    documents.Ready,
    documents.ErrorDocument,
)
_FAULTS: Mapping[int, str] = {
    400: "The request is wrong: the body, a header, a row or a cell of it; or a query string is "
    "there, which no prediction takes.",
    401: "The server wants a token.",
    403: "The server has no token, and the request names another host or origin than this machine.",
    404: "No such model, version or revision is served here.",
    408: "The headers or the body came too slowly.",
    413: "The body, or the number of rows, is larger than it may be.",
    414: "The path is longer than a head may be.",
    415: "The body is packed in a way that is not known.",
    417: "The header Expect asks for something else than 100-continue.",
    429: "The model answers as many requests as it may.",
    431: "The headers are larger than they may be.",
    500: "The model, or the server, failed.",
    501: "The method, or a Transfer-Encoding, is none that the server knows.",
    503: "The model did not load in time or is out of service, all connections are in use, or (of "
    "/metrics) the supervisor does not answer.",
    505: "It is not HTTP/1.0 or HTTP/1.1.",
}
_NO_QUERY = "A query string is refused, whatever it says."
_EVERYWHERE = (400, 403, 408, 414, 417, 431, 500, 501, 503, 505)
_READ = (401, *_EVERYWHERE)
_OF_MODEL = (*_READ, 404)
_POSTED = (*_OF_MODEL, 413, 415, 429)
_FAULT_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
_HEADERS: Mapping[str, Object] = {
    "X-Request-Id": {
        "description": "The one that was sent, or one made for the request.",
        "schema": {"type": "string"},
    },
    "Fairlead-Revision": {
        "description": "The revision that answered.",
        "schema": {"type": "string"},
    },
    "Inference-Header-Content-Length": {
        "description": "Bytes of the JSON document; binary data stands behind it.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}},
    "WWW-Authenticate": {"description": "Bearer.", "schema": {"type": "string"}},
}
_PARAMETERS: Mapping[str, Object] = {
    "revision": {
        "name": "Fairlead-Revision",
        "in": "header",
        "description": "Answer with this revision (v3), or this version (3), whatever the route.",
        "schema": {"type": "string", "pattern": "^[!-~]+$"},
    },
    "request": {
        "name": "X-Request-Id",
        "in": "header",
        "description": "Comes back with the answer, and stands in the log.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,64}$"},
    },
    "encoding": {
        "name": "Content-Encoding",
        "in": "header",
        "description": "How the body is packed.",
        "schema": {"type": "string", "enum": ["identity", "gzip", "deflate"]},
    },
    "length": {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "description": "Bytes of the JSON document where binary data stands behind it. 0: there is "
        "none, the body is the raw data of the model's one input, and the answer is binary.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "version": {
        "name": "version",
        "in": "path",
        "required": True,
        "description": "A version (3), or a revision (v3).",
        "schema": {"type": "string"},
    },
}


def document(models: Mapping[str, Signature]) -> Object:
    """The OpenAPI 3.1 document.

    Args:
        models: That are served, by name.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Fairlead",
            "version": VERSION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Predictions of models: plain rows, and the Open Inference Protocol "
            "(version 2) with binary tensors.",
        },
        "tags": [
            {"name": "rows", "description": "Predictions for rows with named columns."},
            {"name": "inference", "description": "The Open Inference Protocol."},
            {"name": "server", "description": "The server itself."},
        ],
        "paths": {**_rows(models), **_inference(models), **_server()},
        "components": _components(models),
    }


# ---- routes ---------------------------------------------------------------------------------


def _rows(models: Mapping[str, Signature]) -> Object:
    examples = {name: {"value": _rows_example(signature)} for name, signature in models.items()}
    answered = _answer("The predictions, in the order of the rows.", "RowsResponse", pinned=True)
    routes = {"/models/{model}:predict": "", "/models/{model}/versions/{version}:predict": "Pinned"}
    return {
        path: {
            "post": _operation(
                f"predict{pinned}",
                "rows",
                "Predict rows",
                _parameters(path, "revision", "encoding"),
                {200: answered},
                faults=_POSTED,
                description="Every column of the model by name, and no other; null is missing. A "
                "truth value is true or false (or 1 or 0), a date a text of ISO 8601. " + _NO_QUERY,
                body=_body({JSON: {**_schema("RowsRequest"), **_examples(examples)}}),
            )
        }
        for path, pinned in routes.items()
    }


def _inference(models: Mapping[str, Signature]) -> Object:
    paths: Object = {}
    for pinned, base in (("", ""), ("Pinned", "/versions/{version}")):
        path = f"/v2/models/{{model}}{base}"
        paths[path] = {"get": _metadata(path, pinned)}
        paths[f"{path}/ready"] = {"get": _model_ready(path, pinned)}
        paths[f"{path}/infer"] = {"post": _infer(path, pinned, models)}
    return paths


def _metadata(path: str, pinned: str) -> Object:
    answered = _answer("Inputs and outputs of the model.", "ModelMetadata")
    return _operation(
        f"modelMetadata{pinned}",
        "inference",
        "What the model takes and gives",
        _parameters(path),
        {200: answered},
        faults=_OF_MODEL,
    )


def _model_ready(path: str, pinned: str) -> Object:
    answers = {200: _answer("It is.", "Ready"), 503: _not_ready("It is not.")}
    return _operation(
        f"modelReady{pinned}",
        "inference",
        "Whether the model can answer",
        _parameters(path),
        answers,
        faults=_OF_MODEL,
    )


def _infer(path: str, pinned: str, models: Mapping[str, Signature]) -> Object:
    examples = {name: {"value": _infer_example(signature)} for name, signature in models.items()}
    answered = _answer("The outputs that were asked for.", "InferResponse", pinned=True)
    answered["content"][BINARY] = {"schema": {"type": "string", "format": "binary"}}
    answered["headers"] |= _header_refs("Inference-Header-Content-Length")
    binary = {"schema": {"type": "string", "format": "binary"}}
    return _operation(
        f"infer{pinned}",
        "inference",
        "Predict tensors",
        _parameters(path, "revision", "encoding", "length"),
        {200: answered},
        faults=_POSTED,
        description="Inputs are `numbers` and `text`, or one for each column, named as the column. "
        "In `numbers` a truth value is 1 or 0, and a date its parts, as the model's metadata names "
        "them; as an input of its own a column of dates is BYTES of ISO 8601. " + _NO_QUERY,
        body=_body({JSON: {**_schema("InferRequest"), **_examples(examples)}, BINARY: binary}),
    )


def _server() -> Object:
    live = {200: _answer("It does.", "Live")}
    ready = {200: _answer("It can.", "Ready"), 503: _not_ready("It cannot.")}
    text = {"schema": {"type": "string"}}
    return {
        "/": {"get": _page("home", "What is served", JSON, {"schema": {"type": "object"}})},
        "/v2": {
            "get": _page("serverMetadata", "What the server is", JSON, _schema("ServerMetadata"))
        },
        "/v2/health/live": {"get": _probe("serverLive", "Whether the server runs", live)},
        "/v2/health/ready": {"get": _probe("serverReady", "Whether models can answer", ready)},
        "/livez": {"get": _probe("livez", "Whether the server runs", live)},
        "/readyz": {"get": _probe("readyz", "Whether models can answer", ready)},
        "/metrics": {"get": _page("metrics", "Figures for Prometheus", "text/plain", text)},
        "/openapi.json": {
            "get": _page("openapi", "This document", JSON, {"schema": {"type": "object"}})
        },
        "/docs": {"get": _page("docs", "This document, for people", "text/html", text)},
    }


def _page(name: str, summary: str, kind: str, media: Object) -> Object:
    answered = {"description": f"{summary}.", "content": {kind: media}, "headers": _own_headers()}
    return _operation(name, "server", summary, _parameters(""), {200: answered}, faults=_READ)


def _probe(name: str, summary: str, answers: Mapping[int, Object]) -> Object:
    found = _operation(name, "server", summary, _parameters(""), answers, faults=_EVERYWHERE)
    return {**found, "security": []}


# ---- parts of an operation ------------------------------------------------------------------


def _operation(  # noqa: PLR0913 - the parts that OpenAPI gives an operation
    name: str,
    tag: str,
    summary: str,
    parameters: list[Object],
    answers: Mapping[int, Object],
    *,
    faults: Iterable[int],
    description: str = "",
    body: Object | None = None,
) -> Object:
    refused = {code: {"$ref": f"#/components/responses/{code}"} for code in faults}
    responses = {str(code): answer for code, answer in sorted((refused | dict(answers)).items())}
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        **({"description": description} if description else {}),
        "parameters": parameters,
        **({"requestBody": body} if body else {}),
        "responses": responses,
        "security": [{"token": []}, {}],
    }


def _parameters(path: str, *names: str) -> list[Object]:
    of_path = [name for name in ("model", "version") if f"{{{name}}}" in path]
    return [{"$ref": f"#/components/parameters/{name}"} for name in (*of_path, *names, "request")]


def _body(content: Object) -> Object:
    return {"required": True, "content": content}


def _examples(examples: Object) -> Object:
    return {"examples": examples} if examples else {}


def _schema(name: str) -> Object:
    return {"schema": {"$ref": _TEMPLATE.format(name=name)}}


def _answer(description: str, name: str, *, pinned: bool = False) -> Object:
    headers = _own_headers() | (_header_refs("Fairlead-Revision") if pinned else {})
    return {"description": description, "headers": headers, "content": {JSON: _schema(name)}}


def _not_ready(description: str) -> Object:
    """503 is the answer itself here; or the fault of a server that has no connection left."""
    either = {"anyOf": [_schema("Ready")["schema"], _schema("ErrorDocument")["schema"]]}
    headers = _own_headers() | _header_refs("Retry-After")
    return {
        "description": description,
        "headers": headers,
        "content": {JSON: {"schema": either}},
    }


def _own_headers() -> Object:
    return _header_refs("X-Request-Id")


def _header_refs(*names: str) -> Object:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


# ---- components -----------------------------------------------------------------------------


def _components(models: Mapping[str, Signature]) -> Object:
    _, schemas = msgspec.json.schema_components(_DOCUMENTS, ref_template=_TEMPLATE)
    datatype = {"type": "string", "enum": list(DATATYPES)}
    schemas["RequestInput"]["properties"]["datatype"] = datatype
    return {
        "schemas": schemas,
        "parameters": {**_PARAMETERS, "model": _model(models)},
        "headers": dict(_HEADERS),
        "responses": {str(code): _fault(code) for code in _FAULTS},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    }


def _model(models: Iterable[str]) -> Object:
    names = {"enum": list(models)} if models else {}
    return {
        "name": "model",
        "in": "path",
        "required": True,
        "description": "A model that is served.",
        "schema": {"type": "string", **names},
    }


def _fault(code: int) -> Object:
    return {
        "description": _FAULTS[code],
        "headers": _own_headers() | _header_refs(*_FAULT_HEADERS.get(code, ())),
        "content": {JSON: _schema("ErrorDocument")},
    }


# ---- examples -------------------------------------------------------------------------------


_DATE = "2020-01-31T18:30"


def _rows_example(signature: Signature) -> Object:
    return {"rows": [{column.name: _cell(column) for column in signature.columns}]}


def _cell(column: Column) -> object:
    if column.kind == "date":
        return _DATE
    typed: Mapping[CellType | None, object] = {"boolean": True, "number": 1}
    return typed.get(column.type, "a" if column.kind == "text" else 0.5)


def _infer_example(signature: Signature) -> Object:
    inputs = [
        {
            "name": name,
            "shape": [1, len(columns)],
            "datatype": "BYTES" if name == "text" else "FP32",
            "data": list(_elements(name, signature)),
        }
        for name, columns in intake(signature).tensors.items()
    ]
    return {"inputs": inputs}


def _elements(tensor: str, signature: Signature) -> Iterator[object]:
    for column in signature.columns:
        if (column.kind == "text") == (tensor == "text"):
            match column.kind:
                case "date":
                    yield from parts(_DATE)
                case "text":
                    yield str(_cell(column))
                case "number":
                    yield float(bool(_cell(column))) if column.type == "boolean" else 0.5
