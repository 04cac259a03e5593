"""What a request says of the revision that it is for."""

from __future__ import annotations

import pytest

from fairlead.serving.request import given_id
from fairlead.serving.routing import pin, sticky_key
from fairlead.serving.settings import Logging, ProcessSettings, decode, encode


@pytest.mark.parametrize(
    ("sticky", "headers", "key"),
    [
        ("header:X-User", {b"x-user": b"ann"}, "ann"),
        ("header:X-User", {}, None),
        ("header:X-User", {b"x-user": b""}, None),
        ("cookie:who", {b"cookie": b"a=b; who=ann; c=d"}, "ann"),
        ("cookie:who", {b"cookie": b'who="ann"'}, "ann"),
        ("cookie:who", {b"cookie": b"whose=ann; who"}, None),
        ("cookie:who", {}, None),
        ("header:X-User", {b"x-user": b"\xff"}, "\xff"),
    ],
)
def test_a_client_is_known_by_what_was_asked_for(
    sticky: str, headers: dict[bytes, bytes], key: str | None
) -> None:
    assert sticky_key(sticky, headers) == key


@pytest.mark.parametrize(
    ("version", "headers", "wanted"),
    [
        (None, {}, ""),
        (None, {b"fairlead-revision": b""}, ""),
        (None, {b"fairlead-revision": b"v2"}, "v2"),
        ("3", {}, "3"),
        ("3", {b"fairlead-revision": b"v2"}, "3"),
    ],
)
def test_a_request_pins_a_revision_by_its_path_before_its_header(
    version: str | None, headers: dict[bytes, bytes], wanted: str
) -> None:
    assert pin(version, headers) == wanted


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"a-1", True),
        (b"", False),
        (b"x" * 64, True),
        (b"x" * 65, False),
        (b"a b", False),
        (b"a\tb", False),
        (b"\xff", False),
    ],
)
def test_an_id_is_kept_if_it_can_be_sent_back(given: bytes, kept: bool) -> None:  # noqa: FBT001
    assert given_id({b"x-request-id": given}) == (given if kept else None)


def test_settings_come_back_as_they_were() -> None:
    settings = ProcessSettings(
        listen=(3, 4),
        channel=5,
        artifacts="s3://bucket/a",
        tokens=("a",),
        logging=Logging(form="lines"),
    )
    assert decode(encode(settings)) == settings
