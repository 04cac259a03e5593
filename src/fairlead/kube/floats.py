"""Numbers such as 1.0 in an object: an API server keeps 1, and so does kubectl.

To a search and to a library they are two things: from 0.0 to 1.0 is not from 0 to 1. So a Study
says which numbers of its spec have a point: `spec.floats` holds JSON pointers (RFC 6901) to them.
It is in the spec for the API server to count a change of it as a change of what is asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

FLOATS = "floats"
"""The key of a Study's spec."""


def noted(document: Mapping[str, Any]) -> Mapping[str, list[str]]:
    """What the spec of a Study says beside a document: nothing where no number needs it."""
    found = [*_whole_floats(document, "")]
    return {FLOATS: found} if found else {}


def restored(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The spec with the floats that it notes."""
    found: Mapping[str, Any] = _with_floats(spec, frozenset(spec.get(FLOATS, ())), "")
    return found


def _whole_floats(part: Any, pointer: str) -> Iterator[str]:
    if isinstance(part, float) and part.is_integer():
        yield pointer
    for key, each in _inside(part):
        yield from _whole_floats(each, f"{pointer}/{_escaped(key)}")


def _with_floats(part: Any, pointers: Collection[str], pointer: str) -> Any:
    if pointer in pointers and isinstance(part, int) and not isinstance(part, bool):
        return float(part)
    inside = {
        key: _with_floats(each, pointers, f"{pointer}/{_escaped(key)}")
        for key, each in _inside(part)
    }
    if isinstance(part, Mapping):
        return inside
    return [*inside.values()] if isinstance(part, list) else part


def _inside(part: Any) -> Collection[tuple[Any, Any]]:
    if isinstance(part, Mapping):
        return part.items()
    return [*enumerate(part)] if isinstance(part, list) else []


def _escaped(key: object) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")
