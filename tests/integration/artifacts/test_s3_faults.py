"""A bucket that is slow, refuses, cuts connections or is away: nothing is lost or wrong."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support import faulty_proxy as faults
from tests.support.faulty_proxy import Answer, FaultyProxy
from tests.support.s3 import S3, prefix
from tests.support.waiting import wait_until

from fairlead.artifacts import Artifacts, remote
from fairlead.artifacts import s3 as backend
from fairlead.errors import Corrupt, Unreachable
from fairlead.records import CacheFolder

SMALL = b"a manifest"
LARGE = os.urandom(1 << 20) * 40
"""Goes in three parts."""
SIZES = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "in parts"])


@pytest.fixture
def proxy(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with FaultyProxy(s3.endpoint).running() as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
        yield made


@pytest.fixture
def url(s3: S3) -> str:
    return f"s3://{s3.bucket}/{prefix()}"


@pytest.fixture
def store(proxy: FaultyProxy, url: str, tmp_path: Path) -> Artifacts:
    return Artifacts(url, cache=CacheFolder(path=str(tmp_path / "cache")))


def give_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stores do so from now on, so that the tests do."""
    monkeypatch.setattr(remote, "PATIENCE", 0.7)
    monkeypatch.setattr(remote, "SLOWEST", 1e9)


def stored(store: Artifacts, content: bytes, folder: Path) -> str:
    """Put the content in the way that its size is put."""
    if len(content) < backend.PART:
        return store.put(content).digest
    source = folder / "source"
    source.write_bytes(content)
    return store.put_file(source).digest


def held(store: Artifacts, content: bytes) -> bool:
    """Whether the store has exactly this content, by both ways of reading."""
    digest = hashlib.sha256(content).hexdigest()
    return store.get(digest) == content and store.path(digest).read_bytes() == content


@SIZES
@pytest.mark.parametrize("fault", [faults.refused, faults.cut_at_once, faults.answer_lost])
def test_an_upload_that_met_faults_is_whole(
    store: Artifacts, proxy: FaultyProxy, tmp_path: Path, content: bytes, fault: faults.Fault
) -> None:
    planned = proxy.plan(fault, method="PUT", times=2)
    stored(store, content, tmp_path)
    assert planned.met == 2
    assert held(store, content)


def test_an_upload_in_parts_whose_end_was_not_answered_is_whole(
    store: Artifacts, proxy: FaultyProxy, tmp_path: Path
) -> None:
    # The first POST begins the upload, the second completes it.
    begun = proxy.plan(lambda handler: handler.answer(handler.forwarded()), method="POST", times=1)
    planned = proxy.plan(faults.answer_lost, method="POST", times=1)
    stored(store, LARGE, tmp_path)
    assert (begun.met, planned.met) == (1, 1)
    assert held(store, LARGE)


def test_an_upload_in_parts_that_the_server_has_forgotten_at_its_end_is_whole(
    store: Artifacts, proxy: FaultyProxy, tmp_path: Path
) -> None:
    body = b"<Error><Code>NoSuchUpload</Code><Message>No such upload</Message></Error>"
    unknown = Answer(status=404, headers=[("Content-Type", "application/xml")], body=body)
    proxy.plan(lambda handler: handler.answer(handler.forwarded()), method="POST", times=1)
    proxy.plan(faults.answer_lost, method="POST", times=1)
    planned = proxy.plan(lambda handler: handler.answer(unknown), method="POST")
    stored(store, LARGE, tmp_path)
    assert planned.met == 1
    assert held(store, LARGE)


def test_an_upload_that_was_lost_on_the_server_is_told(
    store: Artifacts, proxy: FaultyProxy, tmp_path: Path
) -> None:
    body = b"<Error><Code>NoSuchUpload</Code><Message>No such upload</Message></Error>"
    unknown = Answer(status=404, headers=[("Content-Type", "application/xml")], body=body)
    begun = proxy.plan(lambda handler: handler.answer(handler.forwarded()), method="POST", times=1)
    lost = proxy.plan(lambda handler: handler.answer(unknown), method="POST")
    with pytest.raises(Unreachable, match="it has lost an upload"):
        stored(store, LARGE, tmp_path)
    assert begun.met == 1
    proxy.lift(lost)
    stored(store, LARGE, tmp_path)
    assert held(store, LARGE)


def test_an_upload_of_bytes_in_parts_whose_end_was_not_answered_is_whole(
    store: Artifacts, proxy: FaultyProxy
) -> None:
    proxy.plan(lambda handler: handler.answer(handler.forwarded()), method="POST", times=1)
    planned = proxy.plan(faults.answer_lost, method="POST", times=1)
    store.put(LARGE)
    assert planned.met == 1
    assert held(store, LARGE)


@SIZES
@pytest.mark.parametrize(
    "fault", [faults.refused, faults.cut_at_once, faults.answer_lost, faults.cut_in_the_middle]
)
def test_a_download_that_met_faults_is_whole(
    store: Artifacts, proxy: FaultyProxy, tmp_path: Path, content: bytes, fault: faults.Fault
) -> None:
    digest = stored(store, content, tmp_path)
    planned = proxy.plan(fault, method="GET", times=2)
    assert store.path(digest).read_bytes() == content
    assert planned.met == 2
    again = proxy.plan(fault, method="GET", times=2)
    assert store.get(digest) == content
    assert again.met == 2


def test_a_download_that_s3fs_would_divide_is_whole_after_a_cut(
    store: Artifacts, proxy: FaultyProxy
) -> None:
    content = LARGE + LARGE[: 16 << 20]  # of what it fetches in parts s3fs tries none again
    digest = store.put(content).digest
    planned = proxy.plan(faults.cut_in_the_middle, method="GET", times=2)
    assert store.path(digest).read_bytes() == content
    assert planned.met == 2


def test_other_bytes_than_those_that_were_stored_are_told(
    store: Artifacts, proxy: FaultyProxy
) -> None:
    digest = store.put(SMALL).digest
    always = proxy.plan(faults.damaged, method="GET")
    with pytest.raises(Corrupt, match="is damaged"):
        store.get(digest)
    with pytest.raises(Corrupt, match="is damaged"):
        store.path(digest)
    proxy.lift(always)
    assert held(store, SMALL)


def test_bytes_that_became_others_on_their_way_are_asked_for_again(
    store: Artifacts, proxy: FaultyProxy
) -> None:
    digest = store.put(SMALL).digest
    for ask in (store.get, lambda digest: store.path(digest).read_bytes()):
        once = proxy.plan(faults.damaged, method="GET", times=1)
        assert ask(digest) == SMALL
        assert once.met == 1


def test_a_slow_answer_is_waited_for(store: Artifacts, proxy: FaultyProxy) -> None:
    planned = proxy.plan(faults.Delay(0.5), method="*", times=4)
    digest = store.put(SMALL).digest
    assert store.get(digest) == SMALL
    assert planned.met > 2


def test_a_store_that_was_away_for_a_while_gets_everything(
    store: Artifacts, proxy: FaultyProxy
) -> None:
    away = proxy.plan(faults.cut_at_once, method="*")
    digests: list[str] = []
    putting = threading.Thread(target=lambda: digests.append(store.put(SMALL).digest))
    putting.start()
    assert away.reached.wait(30)
    wait_until(lambda: away.met >= 3)
    proxy.lift(away)
    putting.join()
    assert digests
    assert held(store, SMALL)


def test_a_server_that_starts_again_meanwhile_gets_everything(
    s3: S3, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        caplog.set_level(logging.DEBUG, logger="botocore.retries")
        putting = ThreadPoolExecutor(1).submit(Artifacts(url).put, SMALL)
        wait_until(lambda: "Retry needed, retrying request" in caplog.text)
        port = taken.getsockname()[1]
    with FaultyProxy(s3.endpoint, port=port).running():
        digest = putting.result(60).digest
        assert Artifacts(url).get(digest) == SMALL


@pytest.mark.parametrize(
    "fault", [faults.refused, faults.cut_at_once, faults.answer_lost, faults.Delay(60.0)],
    ids=["refused", "cut at once", "answer lost", "silent"],
)  # fmt: skip
def test_a_store_that_stays_away_is_told_in_one_line_and_in_time(
    store: Artifacts, proxy: FaultyProxy, fault: faults.Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = store.put(SMALL).digest
    give_up_soon(monkeypatch)
    proxy.plan(fault, method="*")
    asked = {
        "put": lambda: store.put(b"another"),
        "get": lambda: store.get(digest),
        "path": lambda: store.path(digest),
        "exists": lambda: store.exists(digest),
        "all": lambda: list(store.all()),
        "delete": lambda: store.delete(digest, unless_after=0.0),
    }
    for name, ask in asked.items():
        began = time.monotonic()
        with pytest.raises(Unreachable) as caught:
            ask()
        assert time.monotonic() - began < 15, name
        assert "\n" not in str(caught.value)
        assert "see that the server answers" in str(caught.value)


def test_what_was_stored_is_there_after_an_upload_of_it_that_failed(
    store: Artifacts, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(SMALL)
    away = proxy.plan(faults.answer_lost, method="PUT")
    with monkeypatch.context() as patched:
        give_up_soon(patched)
        with pytest.raises(Unreachable):
            store.put(SMALL)
    proxy.lift(away)
    assert held(store, SMALL)


def test_a_copy_in_the_cache_needs_no_server(store: Artifacts, proxy: FaultyProxy) -> None:
    path = store.path(store.put(SMALL).digest)
    proxy.plan(faults.cut_at_once, method="*")
    assert store.path(path.name) == path


@pytest.mark.usefixtures("s3")
def test_a_server_that_is_not_there_is_told_in_one_line(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    give_up_soon(monkeypatch)
    with pytest.raises(Unreachable, match="see that the server answers") as caught:
        Artifacts(url).put(SMALL)
    assert "\n" not in str(caught.value)
