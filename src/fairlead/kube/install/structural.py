"""A JSON Schema as Kubernetes takes it: a structural schema of a CustomResourceDefinition.

Every part of a structural schema has one type, refers to nothing, and names each field. So:

- `$ref` is replaced by what it refers to, and null becomes `nullable`;
- `const` becomes an enumeration, and an exclusive bound a flag beside the bound;
- an enumeration that null may stand for goes: the API server takes null for none of its values;
- a whole number or a text is `x-kubernetes-int-or-string`, and a whole number or another a number;
- what may be of several other types (a number or a text, a value or a list) is not described:
  `x-kubernetes-preserve-unknown-fields`. Fairlead checks it when the document is submitted;
- `additionalProperties: false` goes, since fields that no schema names are refused by kubectl, and
  dropped by the API server; titles and examples go, since there is no room for them;
- defaults go: written into every object they would outlive the release whose defaults they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

_KEPT = (
    "type",
    "description",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
)
_ANYTHING = {"x-kubernetes-preserve-unknown-fields": True}
_INT_OR_STRING = {"x-kubernetes-int-or-string": True}


def structural(schema: Schema) -> dict[str, Any]:
    """The structural schema of a JSON Schema that Pydantic wrote."""
    return _converted(schema, schema.get("$defs", {}))


def _converted(schema: Schema, definitions: Mapping[str, Schema]) -> dict[str, Any]:
    if "$ref" in schema:
        referred = definitions[schema["$ref"].removeprefix("#/$defs/")]
        schema = {**referred, **{key: schema[key] for key in schema if key != "$ref"}}
    if _choices(schema):
        return _one_of_several(schema, definitions)
    found = {key: schema[key] for key in _KEPT if key in schema}
    if "const" in schema:
        found["enum"] = [schema["const"]]
    found |= _exclusive_bounds(schema)
    if "items" in schema:
        found["items"] = _converted(schema["items"], definitions)
    if "properties" in schema:
        found["properties"] = {
            name: _converted(each, definitions) for name, each in schema["properties"].items()
        }
    if isinstance(schema.get("additionalProperties"), Mapping):
        found["additionalProperties"] = _converted(schema["additionalProperties"], definitions)
    return found


def _exclusive_bounds(schema: Schema) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for bound, flag in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if flag in schema:
            found |= {bound: schema[flag], flag: True}
    return found


def _one_of_several(schema: Schema, definitions: Mapping[str, Schema]) -> dict[str, Any]:
    several = _flat(_choices(schema))
    choices = [each for each in several if each.get("type") != "null"]
    said = {key: schema[key] for key in ("description",) if key in schema}
    if len(choices) < len(several):
        said["nullable"] = True
    match choices:
        case [only]:
            found = _converted(only, definitions)
            if "nullable" in said:
                found.pop("enum", None)
            return {**found, **said}
        case _ if _types(choices) == {"integer", "number"}:
            return {"type": "number", **said}
        case _ if _types(choices) == {"integer", "string"}:
            return {**_INT_OR_STRING, **said}
    return {**_ANYTHING, **said}


def _types(choices: Sequence[Schema]) -> set[str]:
    """The types of choices that say nothing else; one that does makes the set no known one."""
    return {each["type"] if set(each) == {"type"} else "" for each in choices}


def _choices(schema: Schema) -> Sequence[Schema]:
    found: Sequence[Schema] = schema.get("anyOf") or schema.get("oneOf") or ()
    return found


def _flat(choices: Sequence[Schema]) -> Sequence[Schema]:
    found: list[Schema] = []
    for each in choices:
        found.extend(_flat(_choices(each)) or [each])
    return found
