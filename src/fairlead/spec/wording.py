"""Pydantic's errors as sentences about the user's document."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, cast, get_args

from pydantic import BaseModel, ValidationError

from fairlead.formatting import did_you_mean, nearest
from fairlead.spec.document import FamilySpace, Spec
from fairlead.spec.space import Inside, Range
from fairlead.spec.tree import KeyPath

_PLAIN = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text (quote it if it looks like a number)",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "tuple_type": "must be a list, such as [a, b]",
    "mapping_type": "must be a mapping of keys and values",
    "model_type": "must be a mapping of keys and values",
    "dict_type": "must be a mapping of keys and values",
}
_BOUNDS = {
    "greater_than": ("must be above {}", "gt"),
    "greater_than_equal": ("must be at least {}", "ge"),
    "less_than": ("must be below {}", "lt"),
    "less_than_equal": ("must be at most {}", "le"),
}
_PARAMS = 5  # in ("search", "over", 0, "params", NAME, tag, ...) Pydantic's tag has this index


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """One thing that is wrong with the document.

    Args:
        path: What it is about.
        text: The sentence, which begins with the path as people write it.
        about: What is wrong: the value, the key, or that it is not there.
    """

    path: KeyPath
    text: str
    about: Literal["value", "key", "absence"] = "value"


def complaints(error: ValidationError, document: type[BaseModel] = Spec) -> list[Complaint]:
    """What Pydantic found, without what only follows from something else that it found.

    Args:
        error: What it raised.
        document: What the document was to be.
    """
    found = [_complaint(detail, document) for detail in error.errors(include_url=False)]
    return [one for one in found if not any(_follows(one, other) for other in found)]


def written(path: KeyPath) -> str:
    """A path as people write it: `search.over[0].params`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def shown(value: object) -> str:
    """A value as YAML has it, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "a mapping" if isinstance(value, Mapping) else reprlib.repr(value)


def _follows(one: Complaint, other: Complaint) -> bool:
    """A list with a bad item is too short, and a misspelled key is missing, to Pydantic as well."""
    inside = len(other.path) > len(one.path) and other.path[: len(one.path)] == one.path
    beside = other.about == "key" and one.about == "absence" and other.path[:-1] == one.path[:-1]
    return inside or (beside and nearest(str(other.path[-1]), [str(one.path[-1])]) is not None)


def _complaint(detail: Any, document: type[BaseModel]) -> Complaint:
    path, kind, value = _path(detail["loc"]), detail["type"], detail["input"]
    context = detail.get("ctx", {})
    if kind == "missing":
        text = f"{written(path)} is missing: {_described(path, document)}"
        return Complaint(path=path, text=text, about="absence")
    if kind == "extra_forbidden":
        return Complaint(path=path, text=_unknown(path, document), about="key")
    if kind == "literal_error":
        return Complaint(path=path, text=_no_choice(path, value, context["expected"]))
    if kind in _BOUNDS:
        sentence, bound = _BOUNDS[kind]
        return _about(path, sentence.format(_number(context[bound])), value)
    cause = context.get("error")
    if isinstance(cause, Inside):
        inside = path + cause.path
        return _about(inside, str(cause), _at(value, cause.path))
    return _about(path, str(cause or _PLAIN.get(kind, detail["msg"])), value)


def _number(bound: float) -> str:
    return f"{int(bound):,}" if bound == int(bound) else str(bound)


def _path(loc: Sequence[str | int]) -> KeyPath:
    path = tuple(loc)
    if path[:2] == ("search", "over") and path[3:4] == ("params",):
        path = path[:_PARAMS] + path[_PARAMS + 1 :]
    return path


def _about(path: KeyPath, sentence: str, value: object) -> Complaint:
    said = sentence if " not " in sentence else f"{sentence}, not {shown(value)}"
    return Complaint(path=path, text=f"{written(path)} {said}")


def _at(value: Any, path: KeyPath) -> object:
    """A part of what a rule refused: raw values, or a section that is otherwise right."""
    for key in path:
        value = getattr(value, str(key)) if isinstance(value, BaseModel) else value[key]
    return value


def _no_choice(path: KeyPath, value: object, expected: str) -> str:
    choices = re.findall(r"'([^']*)'", expected)
    sentence = f"{written(path)} must be {expected}, not {shown(value)}"
    return sentence + did_you_mean(str(value), choices)


def _unknown(path: KeyPath, document: type[BaseModel]) -> str:
    known = list(_section(path[:-1], document).model_fields)
    hint = did_you_mean(str(path[-1]), known) or f"; known: {', '.join(known)}"
    return f"{written(path)} is not known{hint}"


def _described(path: KeyPath, document: type[BaseModel]) -> str:
    return str(_section(path[:-1], document).model_fields[str(path[-1])].description)


def _section(path: KeyPath, document: type[BaseModel]) -> type[BaseModel]:
    """The model of the section at this path."""
    if path[:2] == ("search", "over") and len(path) > 2:  # noqa: PLR2004 - inside of an item
        return Range if len(path) >= _PARAMS else FamilySpace
    section: Any = document
    for key in path:
        item = isinstance(key, int)
        section = get_args(section)[0] if item else section.model_fields[str(key)].annotation
        if isinstance(section, UnionType):  # of a section and null
            section = next(one for one in get_args(section) if one is not NoneType)
    return cast("type[BaseModel]", section)
