"""Artefacts over HTTP where connections are cut and answers come too late."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.control_server import ControlServer, control_server
from tests.support.faulty_proxy import (
    Fault,
    FaultyProxy,
    answer_lost,
    cut_at_once,
    cut_in_the_middle,
    damaged,
)

import fairlead.artifacts.http as module
from fairlead.artifacts import Artifacts
from fairlead.errors import Corrupt, Failed
from fairlead.records import CacheFolder

CONTENT = random.Random(0).randbytes(1_000_000)


@pytest.fixture(scope="module")
def server() -> Iterator[ControlServer]:
    with control_server() as started:
        yield started


@pytest.fixture
def own(server: ControlServer, tmp_path: Path) -> Iterator[Artifacts]:
    """The artefacts where the server runs."""
    with server.serving(tmp_path) as stores:
        yield stores.artifacts


@pytest.fixture
def proxy(server: ControlServer, own: Artifacts) -> Iterator[FaultyProxy]:
    with FaultyProxy(server.url).running() as proxy:
        yield proxy


@pytest.fixture
def store(proxy: FaultyProxy, tmp_path: Path) -> Artifacts:
    return Artifacts(proxy.url, cache=CacheFolder(path=str(tmp_path / "cache")))


@pytest.mark.parametrize("fault", [cut_at_once, answer_lost, cut_in_the_middle])
def test_what_is_cut_is_asked_again(
    proxy: FaultyProxy, store: Artifacts, own: Artifacts, fault: Fault
) -> None:
    planned = proxy.plan(fault, method="PUT", times=2)
    file = store.put(CONTENT)
    assert planned.met == 2
    assert own.get(file.digest) == CONTENT
    planned = proxy.plan(fault, method="GET", times=2)
    assert store.get(file.digest) == CONTENT
    assert planned.met == 2
    planned = proxy.plan(fault, method="GET", times=2)
    assert store.path(file.digest).read_bytes() == CONTENT
    assert planned.met == 2


def test_a_download_goes_on_where_it_broke_off(
    proxy: FaultyProxy, store: Artifacts, own: Artifacts
) -> None:
    file = own.put(CONTENT)
    sizes: list[int] = []

    def watched(handler: object) -> None:
        answer = handler.forwarded()  # type: ignore[attr-defined] # a Handler
        sizes.append(len(answer.body))
        handler.answer(answer)  # type: ignore[attr-defined] # a Handler

    proxy.plan(cut_in_the_middle, method="GET", times=1)
    proxy.plan(watched, method="GET", times=1)
    assert store.path(file.digest).read_bytes() == CONTENT
    (size,) = sizes
    assert len(CONTENT) // 2 <= size <= len(CONTENT) // 2 + (1 << 16)


@pytest.mark.parametrize("fault", [cut_at_once, answer_lost])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_an_upload_in_pieces_goes_on_where_it_broke_off(  # noqa: PLR0917 - fixtures
    proxy: FaultyProxy,
    store: Artifacts,
    own: Artifacts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    at: int,
) -> None:
    """The first piece, one in the middle, and the last, with which the file is stored."""
    monkeypatch.setattr(module, "PIECE", 250_000)
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    passed = proxy.plan(
        lambda handler: handler.answer(handler.forwarded()), method="PATCH", times=at
    )
    planned = proxy.plan(fault, method="PATCH", times=1)
    file = store.put_file(source)
    assert (passed.met, planned.met) == (at, 1)
    assert own.get(file.digest) == CONTENT


def test_several_send_the_same_file_at_once(
    store: Artifacts, own: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 50_000)
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    failed: list[BaseException] = []

    def send() -> None:
        try:
            store.put_file(source)
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    (stored,) = own.all()
    assert own.get(stored.digest) == CONTENT


def test_bytes_that_become_others_on_their_way_are_told(
    proxy: FaultyProxy, store: Artifacts, own: Artifacts
) -> None:
    file = own.put(CONTENT)
    planned = proxy.plan(damaged, method="GET")
    for ask in (store.get, store.path):
        with pytest.raises(Corrupt, match="is damaged"):
            ask(file.digest)
    proxy.lift(planned)
    assert store.path(file.digest).read_bytes() == CONTENT


def test_a_file_that_changes_while_it_is_sent_is_refused(
    store: Artifacts, own: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    whole = module.HttpBackend.copy

    def copy(backend: module.HttpBackend, digest: str, path: Path) -> None:
        path.write_bytes(b"x" + CONTENT[1:])
        whole(backend, digest, path)

    monkeypatch.setattr(module.HttpBackend, "copy", copy)
    for piece in (module.PIECE, 300_000):
        source.write_bytes(CONTENT)
        monkeypatch.setattr(module, "PIECE", piece)
        with pytest.raises(Failed, match="changed while it was read"):
            store.put_file(source)
    assert list(own.all()) == []
