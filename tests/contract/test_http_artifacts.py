"""A server keeps artefacts for who knows its URL, as folders and buckets do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import fairlead.artifacts.http as module
from fairlead.artifacts import Artifacts
from fairlead.artifacts.backend import Stored
from fairlead.errors import Invalid
from fairlead.records import CacheFolder
from tests.contract.artifacts_contract import CONTENT, DIGEST, ArtifactsContract
from tests.support.control_server import ControlServer, control_server


@pytest.fixture(scope="module")
def server() -> Iterator[ControlServer]:
    with control_server() as started:
        yield started


class Beside(Artifacts):
    """The server's artefacts as a client has them, listed and removed where the server runs."""

    def __init__(self, url: str, *, cache: CacheFolder, own: Artifacts) -> None:
        super().__init__(url, cache=cache)
        self._own = own

    def all(self) -> Iterator[Stored]:
        return self._own.all()

    def delete(self, digest: str, *, unless_after: float | None = None) -> None:
        self._own.delete(digest, unless_after=unless_after)


class TestHttp(ArtifactsContract):
    @pytest.fixture
    def store(self, server: ControlServer, tmp_path: Path) -> Iterator[Artifacts]:
        self.root = tmp_path / "home" / "artifacts"
        cache = CacheFolder(path=str(tmp_path / "cache"))
        with server.serving(tmp_path) as stores:
            yield Beside(server.url, cache=cache, own=stores.artifacts)

    def spoil(self, store: Artifacts, digest: str, content: bytes) -> None:
        file = self.root / digest[:2] / digest
        file.chmod(0o644)
        file.write_bytes(content)

    def test_nothing_is_listed_or_removed_over_http(self, store: Beside, tmp_path: Path) -> None:
        store.put(CONTENT)
        client = Artifacts(store.root, cache=CacheFolder(path=str(tmp_path / "another")))
        for ask in (lambda: list(client.all()), lambda: client.delete(DIGEST)):
            with pytest.raises(Invalid, match="where the server runs") as refused:
                ask()
            assert refused.value.code == "behind_api"
        assert client.get(DIGEST) == CONTENT


class TestHttpInPieces(TestHttp):
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "PIECE", 300_000)
