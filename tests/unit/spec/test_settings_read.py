"""Settings as the environment gives them: numbers that are none are refused, with the value."""

from __future__ import annotations

from pathlib import Path

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


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 20 * 10**9), ("1", 1), ("500MB", 500 * 10**6), ("2 GiB", 2 << 30), ("1.5k", 1500),
     ("1tb", 10**12)],
)  # fmt: skip
def test_a_cache_has_a_size_as_people_write_it(text: str, size: int) -> None:
    assert from_environment({"FAIRLEAD_CACHE_SIZE": text}).artifacts_cache.size == size


@pytest.mark.parametrize("text", ["0", "-1", "GB", "20 XB", "0.1", "1e9", "20GBs", "nan"])
def test_a_cache_of_no_size_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        from_environment({"FAIRLEAD_CACHE_SIZE": text})
    assert str(caught.value) == (
        f"$FAIRLEAD_CACHE_SIZE must be a number of bytes such as 20GB or 500MiB, not {text!r}"
    )


def test_a_time_may_have_parts_of_a_second() -> None:
    assert from_environment({"FAIRLEAD_LEASE": "0.5"}).lease == 0.5


def test_the_stores_are_in_the_home_unless_urls_name_them(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    inside = from_environment({}, home=home)
    assert inside.ledger_url == f"sqlite:///{home}/ledger.db"
    assert inside.artifacts_url == f"file://{tmp_path}/a%20home/artifacts"
    named = {"FAIRLEAD_LEDGER": "sqlite:////srv/l.db", "FAIRLEAD_ARTIFACTS": "s3://bucket/a"}
    outside = from_environment(named, home=home)
    assert (outside.ledger_url, outside.artifacts_url) == ("sqlite:////srv/l.db", "s3://bucket/a")


@pytest.mark.parametrize("given", ["l.db", "sqlite:///l.db"])
def test_a_store_stays_where_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = from_environment({"FAIRLEAD_LEDGER": given, "FAIRLEAD_ARTIFACTS": "a"})
    assert settings.ledger_url == f"sqlite:///{tmp_path}/l.db"
    assert settings.artifacts_url == f"file://{tmp_path}/a"


def test_a_server_that_has_the_ledger_has_the_artefacts_unless_another_place_is_named() -> None:
    server = {"FAIRLEAD_LEDGER": "https://fairlead.example"}
    found = from_environment(server)
    assert found.is_behind_api
    assert found.artifacts_url == found.ledger_url == "https://fairlead.example"
    found = from_environment({**server, "FAIRLEAD_ARTIFACTS": "s3://bucket"})
    assert found.artifacts_url == "s3://bucket"
    assert not from_environment({"FAIRLEAD_LEDGER": "postgresql://db/fairlead"}).is_behind_api


def test_the_option_for_a_server_goes_before_both_stores_of_the_environment() -> None:
    stores = {"FAIRLEAD_LEDGER": "postgresql://db/fairlead", "FAIRLEAD_ARTIFACTS": "s3://bucket"}
    found = from_environment(stores, server="http://localhost:8000")
    assert found.ledger_url == found.artifacts_url == "http://localhost:8000"
    found = from_environment(stores, server="http://localhost:8000", artifacts="s3://another")
    assert found.artifacts_url == "s3://another"
    with pytest.raises(Invalid, match="--ledger not be given"):
        from_environment({}, server="http://localhost:8000", ledger="x.db")
    with pytest.raises(Invalid, match="it must be a URL"):
        from_environment({}, server="localhost:8000")
