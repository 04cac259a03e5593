"""Settings as the environment gives them: numbers that are none are refused, with the value."""

from __future__ import annotations

import pytest

from fairlead.errors import Invalid
from fairlead.settings import from_environment

DOWNLOAD = "FAIRLEAD_MAX_DOWNLOAD"


@pytest.mark.parametrize("text", ["0.5", "1.5", "1000.25"])
def test_a_download_of_a_part_of_a_byte_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        from_environment({DOWNLOAD: text})
    assert str(caught.value) == f"${DOWNLOAD} must be a whole number of at least 1, not {text!r}"


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e16", "many"])
def test_a_download_of_no_size_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=rf"^\${DOWNLOAD} must be a number above 0 and at most 1e"):
        from_environment({DOWNLOAD: text})


@pytest.mark.parametrize(("text", "size"), [("1", 1), ("2e9", 2_000_000_000), ("", 1 << 30)])
def test_a_download_may_bring_whole_bytes(text: str, size: int) -> None:
    assert from_environment({DOWNLOAD: text}).max_download == size


def test_a_time_may_have_parts_of_a_second() -> None:
    assert from_environment({"FAIRLEAD_LEASE": "0.5"}).lease == 0.5
