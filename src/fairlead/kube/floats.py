"""Numbers such as 1.0 in an object: an API server keeps 1, and so does kubectl.

To a search and to a library they are two things: from 0.0 to 1.0 is not from 0 to 1. So a Study
notes which numbers of its spec have a point: the annotation holds JSON pointers (RFC 6901) to them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fairlead.errors import Invalid
from fairlead.kube.kinds import GROUP

FLOATS = f"{GROUP}/floats"
"""The annotation."""


def noted(document: Mapping[str, Any]) -> Mapping[str, str]:
    """The annotations that a document needs."""
    found = [*_whole_floats(document, "")]
    return {FLOATS: json.dumps(found)} if found else {}


def restored(spec: Mapping[str, Any], annotations: Mapping[str, str]) -> Mapping[str, Any]:
    """The spec with the floats that are noted.

    Raises:
        Invalid: The annotation is no list of pointers.
    """
    text = annotations.get(FLOATS, "[]")
    try:
        pointers = json.loads(text)
    except ValueError:
        pointers = None
    if not isinstance(pointers, list) or not all(isinstance(one, str) for one in pointers):
        raise Invalid(f"the annotation {FLOATS} must be a JSON list of pointers, not {text!r}")
    found: Mapping[str, Any] = _with_floats(spec, pointers, "")
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
