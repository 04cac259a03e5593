"""JSON merge patches (RFC 7386): what makes one document of another.

Server-side apply takes away only what its own field manager has written: what somebody wrote by
kubectl stays. A merge patch takes that away, too, in the request that brings what is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge_patch(kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be merged into the document that is kept, for it to be the one that is wanted."""
    gone = {key: None for key in kept if key not in wanted}
    changed = {
        key: _merged(kept.get(key), each)
        for key, each in wanted.items()
        if key not in kept or kept[key] != each
    }
    return {**gone, **changed}


def _merged(kept: Any, wanted: Any) -> Any:
    if isinstance(kept, Mapping) and isinstance(wanted, Mapping):
        return merge_patch(kept, wanted)
    return wanted
