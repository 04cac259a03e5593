"""What a merge patch says makes one document of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fairlead.kube.merge_patch import merge_patch

keys = st.sampled_from("abc")
values = st.recursive(
    st.integers() | st.text(max_size=2),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(keys, inside, max_size=3),
)
documents = st.dictionaries(keys, values, max_size=3)


def merged(kept: Any, patch: Any) -> Any:
    """As RFC 7386 defines it."""
    if not isinstance(patch, Mapping):
        return patch
    made = dict(kept) if isinstance(kept, Mapping) else {}
    for key, each in patch.items():
        if each is None:
            made.pop(key, None)
        else:
            made[key] = merged(made.get(key), each)
    return made


@given(documents, documents)
def test_it_makes_what_is_wanted_of_what_is_kept(
    kept: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    assert merged(kept, merge_patch(kept, wanted)) == wanted


@given(documents)
def test_of_two_that_are_equal_nothing_is_said(document: Mapping[str, Any]) -> None:
    assert merge_patch(document, document) == {}


def test_only_what_differs_is_said() -> None:
    kept = {"data": {"source": "boston", "seed": 3}, "search": {"trials": 4}, "deploy": True}
    wanted = {"data": {"source": "boston"}, "search": {"trials": 4}, "workers": {"max": 2}}
    assert merge_patch(kept, wanted) == {
        "data": {"seed": None},
        "deploy": None,
        "workers": {"max": 2},
    }
