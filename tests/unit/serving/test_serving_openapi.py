from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from jsonschema import Draft202012Validator

from fairlead.errors import Invalid
from fairlead.records import Column, Signature
from fairlead.serving.protocol.datatypes import DATATYPES
from fairlead.serving.protocol.infer import parse_infer
from fairlead.serving.protocol.openapi import document
from fairlead.serving.protocol.rows import parse_rows

MODELS = {
    "boston": Signature(
        columns=(Column(name="town", kind="text"), Column(name="RM", kind="number")), target="MEDV"
    ),
    "sales": Signature(
        columns=(
            Column(name="zip", kind="text", type="number"),
            Column(name="sold", kind="number", type="boolean"),
            Column(name="when", kind="date"),
            Column(name="RM", kind="number"),
            Column(name="new", kind="text", type="boolean"),
        ),
        target="MEDV",
    ),
    "irises": Signature(
        columns=(Column(name="width", kind="number"),), target="kind", classes=("a", "b")
    ),
}


@pytest.mark.parametrize("models", [{}, MODELS])
def test_the_document_is_openapi(models: dict[str, Signature]) -> None:
    found = document(models)
    schemathesis.openapi.from_dict(found).validate()
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    json.dumps(found, allow_nan=False)


def test_every_reference_leads_somewhere() -> None:
    found = document(MODELS)
    references = {
        line.split('"')[3] for line in json.dumps(found, indent=1).splitlines() if '"$ref"' in line
    }
    assert references
    for reference in references:
        place = found
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_operations_have_names_of_their_own() -> None:
    operations = [one for item in document(MODELS)["paths"].values() for one in item.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)


def test_the_examples_are_taken_by_the_models_that_they_are_for() -> None:
    paths = document(MODELS)["paths"]
    for path, kind in (("/models/{model}:predict", "rows"), ("/v2/models/{model}/infer", "infer")):
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        for model, signature in MODELS.items():
            body = json.dumps(content["examples"][model]["value"]).encode()
            if kind == "rows":
                assert parse_rows(body, signature, missing=False, most_rows=1).rows == 1
            else:
                assert parse_infer(body, None, signature, missing=False, most_rows=1).rows == 1


def test_the_examples_show_how_typed_columns_are_sent() -> None:
    paths = document(MODELS)["paths"]
    shown = {
        path: item["post"]["requestBody"]["content"]["application/json"]["examples"]["sales"]
        for path, item in paths.items()
        if "post" in item
    }
    assert shown["/models/{model}:predict"]["value"]["rows"] == [
        {"zip": 1, "sold": True, "when": "2020-01-31T18:30", "RM": 0.5, "new": True}
    ]
    numbers, text = shown["/v2/models/{model}/infer"]["value"]["inputs"]
    assert numbers["data"] == [1.0, 2020, 1, 4, 18, 18292, 0.5]
    assert text["data"] == ["1", "True"]
    assert "ISO 8601" in paths["/models/{model}:predict"]["post"]["description"]
    assert "ISO 8601" in paths["/v2/models/{model}/infer"]["post"]["description"]


def test_the_models_and_the_datatypes_are_told() -> None:
    components = document(MODELS)["components"]
    assert components["parameters"]["model"]["schema"]["enum"] == ["boston", "sales", "irises"]
    datatype = components["schemas"]["RequestInput"]["properties"]["datatype"]
    assert datatype["enum"] == list(DATATYPES)


def test_each_answer_that_predicts_tells_its_revision_and_its_id() -> None:
    for path, item in document(MODELS)["paths"].items():
        if "post" in item:
            answered = item["post"]["responses"]["200"]["headers"]
            assert {"Fairlead-Revision", "X-Request-Id"} <= answered.keys(), path


def test_that_predictions_take_no_query_string_is_told() -> None:
    found = document(MODELS)
    for path, item in found["paths"].items():
        if "post" in item:
            assert "query string" in item["post"]["description"], path
    assert "query string" in found["components"]["responses"]["400"]["description"]


ROWS = {
    "objects": {"rows": [{"town": "a", "RM": 0.5}]},
    "arrays": {"columns": ["town", "RM"], "rows": [["a", 0.5]]},
}
TENSORS = {
    "flat": {
        "inputs": [
            {"name": "numbers", "shape": [1, 1], "datatype": "FP32", "data": [0.5]},
            {"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": ["a"]},
        ],
        "outputs": [{"name": "prediction"}],
    },
    "nested": {
        "inputs": [
            {"name": "RM", "shape": [1, 1], "datatype": "FP32", "data": [[0.5]]},
            {"name": "town", "shape": [1], "datatype": "BYTES", "data": ["a"]},
        ],
    },
}


def with_one_emptied(document: Any) -> Iterator[Any]:
    """Copies of a document, in each of which another array or object of rows is empty."""
    for path in paths(document):
        emptied = copy.deepcopy(document)
        place = emptied
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = type(place[path[-1]])()
        yield emptied


def paths(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = part.items() if isinstance(part, dict) else enumerate(part)
    for key, value in items:
        if isinstance(value, list | dict):
            yield (*path, key)
            yield from paths(value, (*path, key))


def is_allowed(name: str, value: Any) -> bool:
    schema = {**document(MODELS), "$ref": f"#/components/schemas/{name}"}
    return bool(Draft202012Validator(schema).is_valid(value))


def is_taken(name: str, value: Any) -> bool:
    body, signature = json.dumps(value).encode(), MODELS["boston"]
    try:
        if name == "RowsRequest":
            parse_rows(body, signature, missing=True, most_rows=9)
        else:
            parse_infer(body, None, signature, missing=True, most_rows=9)
    except Invalid:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        *(("RowsRequest", one) for one in ROWS.values()),
        *(("InferRequest", one) for one in TENSORS.values()),
    ],
    ids=[*ROWS, *TENSORS],
)
def test_what_may_not_be_empty_is_told_and_nothing_else(name: str, whole: Any) -> None:
    assert is_taken(name, whole)
    assert is_allowed(name, whole)
    for emptied in with_one_emptied(whole):
        assert is_allowed(name, emptied) == is_taken(name, emptied), emptied
