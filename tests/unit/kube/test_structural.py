"""A JSON Schema becomes a structural schema, as the API server wants it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fairlead.kube.install.definitions import definitions
from fairlead.kube.install.structural import structural

FREE = ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string")
KNOWN = {
    "type",
    "description",
    "enum",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "nullable",
    "items",
    "properties",
    "additionalProperties",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    *FREE,
}


def schemas(one: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, one
    for name, inner in one.get("properties", {}).items():
        yield from schemas(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in one:
            yield from schemas(one[key], f"{path}.{key}")


@pytest.mark.parametrize("kind", definitions(), ids=lambda one: one.spec.names.kind)
def test_each_part_of_a_kind_has_one_type_or_is_left_open(kind: Any) -> None:
    schema = kind.to_dict()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for path, one in schemas(schema, "."):
        assert "type" in one or any(one.get(key) for key in FREE), path
        assert one.keys() <= KNOWN, path
        assert not ("properties" in one and "additionalProperties" in one), path


def spec_of(kind: int) -> dict[str, Any]:
    version = definitions()[kind].to_dict()["spec"]["versions"][0]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def test_a_study_says_what_a_spec_says_and_what_a_cluster_needs() -> None:
    spec = spec_of(0)
    assert spec["required"] == ["data", "search"]
    added = {"workers", "resources", "files", "floats", "deploy"}
    assert spec["properties"].keys() == {
        *("name", "data", "search", "train", "promote", "serve"),
        *added,
    }


def test_what_is_left_open_is_what_has_several_types() -> None:
    """A part that is added is either described, or joins this list for a reason."""
    left = [path for path, one in schemas(spec_of(0), "spec") if one.get(FREE[0])]
    assert left == [
        "spec.data.header",  # auto, true or false
        "spec.data.impute",  # a word or a number
        "spec.search.options.additionalProperties",
        "spec.search.over.items.params.additionalProperties",  # a value, a list or a range
        "spec.search.time",  # seconds or a text
        "spec.search.task_time",
        "spec.train.checkpoint",
        "spec.serve.judge.hold",
        "spec.serve.idle_after",
        "spec.serve.deadline",
    ]


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"const": "a", "type": "string"}, {"type": "string", "enum": ["a"]}),
        (
            {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            {
                "type": "number",
                "minimum": 0,
                "exclusiveMinimum": True,
                "maximum": 1,
                "exclusiveMaximum": True,
            },
        ),
        (
            {"anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}], "default": None},
            {"type": "string", "minLength": 1, "nullable": True},
        ),
        (
            {"anyOf": [{"const": "a", "type": "string"}, {"type": "null"}]},
            {"type": "string", "nullable": True},
        ),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, {"type": "number"}),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, {FREE[1]: True}),
        ({"anyOf": [{"type": "number"}, {"type": "string"}]}, {FREE[0]: True}),
        (
            {"$ref": "#/$defs/A", "description": "b", "$defs": {"A": {"type": "object"}}},
            {"type": "object", "description": "b"},
        ),
        (
            {"type": "object", "additionalProperties": False, "title": "A", "examples": [1]},
            {"type": "object"},
        ),
    ],
)
def test_each_form_that_pydantic_writes(given: dict[str, Any], made: dict[str, Any]) -> None:
    assert structural(given) == made
