"""Artefacts in a bucket of a server that speaks as Google Cloud Storage does."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.faulty_proxy import (
    FaultyProxy,
    Handler,
    answer_lost,
    cut_at_once,
    cut_in_the_middle,
    refused,
)
from tests.support.gcs import Gcs
from tests.support.s3 import prefix

from fairlead.artifacts import Artifacts
from fairlead.artifacts import object_store as backend
from fairlead.errors import Failed, Invalid, Unreachable

CONTENT = b"a table, a model, a manifest"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
LARGE = os.urandom(1 << 20) * 40


@pytest.fixture
def url(gcs: Gcs) -> str:
    return f"gs://{gcs.bucket}/{prefix()}"


def name_of(url: str, digest: str) -> str:
    return f"{url.split('/', 3)[3]}/{digest[:2]}/{digest}"


class Seen:
    """The requests that go through a proxy."""

    def __init__(self, proxy: FaultyProxy) -> None:
        self.requests: list[tuple[str, str, int]] = []
        proxy.plan(self._note, method="*")

    def _note(self, handler: Handler) -> None:
        self.requests.append((handler.command, handler.path, len(handler.body)))
        handler.answer(handler.forwarded())

    def uploaded(self) -> int:
        """Bytes that were sent since it was asked last."""
        sent = sum(size for _, _, size in self.requests)
        self.requests.clear()
        return sent


def test_an_upload_is_to_make_a_new_object(gcs: Gcs, url: str) -> None:
    with FaultyProxy(gcs.endpoint).running() as proxy:
        seen = Seen(proxy)
        os.environ["STORAGE_EMULATOR_HOST"] = proxy.url  # the fixture gcs puts it back
        store = Artifacts(url)
        store.put(CONTENT)
        (put,) = [path for method, path, _ in seen.requests if method == "POST"]
        assert "ifGenerationMatch=0" in put
        first = gcs.metadata(name_of(url, DIGEST))
        store.put(CONTENT)
    assert gcs.metadata(name_of(url, DIGEST))["updated"] > first["updated"]


@pytest.mark.parametrize("content", [CONTENT * 100_000, LARGE], ids=["at once", "in parts"])
def test_what_is_there_already_is_renewed_and_not_sent_again(
    gcs: Gcs, url: str, tmp_path: Path, content: bytes
) -> None:
    source = tmp_path / "source"
    source.write_bytes(content)
    with FaultyProxy(gcs.endpoint).running() as proxy:
        seen = Seen(proxy)
        os.environ["STORAGE_EMULATOR_HOST"] = proxy.url
        store = Artifacts(url)
        file = store.put_file(source)
        assert seen.uploaded() >= len(content) - backend.PART  # parts go past the proxy
        store.put_file(source)
        store.put(content)
        assert seen.uploaded() < 10_000
        assert store.get(file.digest) == content


def test_a_large_file_that_was_damaged_is_uploaded_again(
    gcs: Gcs, url: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(LARGE)
    store = Artifacts(url)
    digest = store.put_file(source).digest
    gcs.overwrite(name_of(url, digest), LARGE[::-1])
    store.put_file(source)
    assert store.get(digest) == LARGE


@pytest.mark.parametrize("size", [100, 2 * backend.PART], ids=["at once", "in parts"])
def test_a_file_that_changes_before_it_is_uploaded_is_refused(
    url: str, tmp_path: Path, size: int
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"a" * size)
    store = Artifacts(url)
    digest = hashlib.sha256(b"b" * size).hexdigest()
    with pytest.raises(Failed, match="it changed while it was read"):
        store._backend.copy(digest, source)
    assert list(store.all()) == []


def test_writers_of_the_same_at_once_agree(url: str) -> None:
    stores = [Artifacts(url) for _ in range(6)]
    contents = [bytes([number]) * 1000 for number in range(10)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda store: [store.put(content) for content in contents], stores))
    found = {each.digest: each.size for each in stores[0].all()}
    assert found == {hashlib.sha256(content).hexdigest(): 1000 for content in contents}


@pytest.mark.parametrize(
    "fault", [refused, cut_at_once, answer_lost], ids=lambda each: each.__name__
)
def test_an_upload_whose_answer_does_not_come_is_made_again(
    gcs: Gcs, url: str, monkeypatch: pytest.MonkeyPatch, fault: object
) -> None:
    with FaultyProxy(gcs.endpoint).running() as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        planned = proxy.plan(fault, method="POST", times=1)  # type: ignore[arg-type] # one of them
        Artifacts(url).put(CONTENT)
    assert planned.met == 1
    assert gcs.metadata(name_of(url, DIGEST))["size"] == str(len(CONTENT))


def test_a_download_that_is_cut_is_made_again(
    gcs: Gcs, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Artifacts(url).put(CONTENT * 1000)
    digest = hashlib.sha256(CONTENT * 1000).hexdigest()
    with FaultyProxy(gcs.endpoint).running() as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        store = Artifacts(url)
        assert store.exists(digest)
        proxy.plan(cut_in_the_middle, method="GET", times=1)
        assert store.get(digest) == CONTENT * 1000


def test_a_bucket_that_is_not_there_is_told_and_not_made(gcs: Gcs) -> None:
    name = f"none-{prefix()}"
    store = Artifacts(f"gs://{name}/prefix")
    for ask in (lambda: store.put(CONTENT), lambda: list(store.all())):
        with pytest.raises(Failed, match="no such bucket") as caught:
            ask()
        assert name in str(caught.value)
        assert caught.value.code == "store_refused"
    assert name not in [each["name"] for each in gcs.asked("GET", "/storage/v1/b")["items"]]


def test_without_credentials_google_is_not_asked(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(Failed, match="no credentials were found; set GOOGLE_APPL") as caught:
        Artifacts(url).put(CONTENT)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_away_is_told_in_one_line(
    url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from fairlead.artifacts import remote

    monkeypatch.setattr(remote, "PATIENCE", 3.0)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(Unreachable) as caught:
        Artifacts(url).put(CONTENT)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("wrong", "message"),
    [("gs:///prefix", "names no bucket"), ("gs://me:secret@bucket/prefix", "no credentials")],
)
def test_a_url_that_cannot_be_is_refused(wrong: str, message: str) -> None:
    with pytest.raises(Invalid, match=message) as caught:
        Artifacts(wrong)
    assert "secret" not in str(caught.value)
