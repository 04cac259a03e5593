"""What a path asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.serving.request import Kind, target


@pytest.mark.parametrize(
    ("path", "kind", "model", "version"),
    [
        (b"/v2/models/m/infer", "infer", "m", None),
        (b"/v2/models/m/versions/3/infer", "infer", "m", "3"),
        (b"/v2/models/m", "model", "m", None),
        (b"/v2/models/m/versions/3", "model", "m", "3"),
        (b"/v2/models/m/versions/3/ready", "model ready", "m", "3"),
        (b"/models/m:predict", "predict", "m", None),
        (b"/models/m%3Apredict", "predict", "m", None),
        (b"/models/m/versions/v3-2:predict", "predict", "m", "v3-2"),
        (b"/v2/models/a%2Fb/infer", "infer", "a/b", None),
        (b"/v2/", "server", "", None),
        (b"/", "home", "", None),
    ],
)
def test_a_path_is_understood(path: bytes, kind: Kind, model: str, version: str | None) -> None:
    found = target(path)
    assert found is not None
    assert (found.kind, found.model, found.version) == (kind, model, version)


@pytest.mark.parametrize(
    "path",
    [b"*", b"/v2/models", b"/v2/models/m/versions", b"/models/m", b"/models/m:", b"/v2/models/m/x"],
)
def test_what_is_not_there_is_nothing(path: bytes) -> None:
    assert target(path) is None


@given(st.binary())
def test_no_bytes_whatsoever_are_an_error(path: bytes) -> None:
    target(b"/" + path)
    target(b"/v2/models/" + path)
