"""Folders and fsspec URLs keep artefacts alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from fairlead.artifacts import Artifacts
from tests.contract.artifacts_contract import ArtifactsContract


class TestFolder(ArtifactsContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Artifacts:
        self.root = tmp_path / "store"
        return Artifacts(self.root)

    def spoil(self, store: Artifacts, digest: str, content: bytes) -> None:
        file = self.root / digest[:2] / digest
        file.chmod(0o644)
        file.write_bytes(content)


class TestMemoryUrl(ArtifactsContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Artifacts]:
        files = fsspec.filesystem("memory")
        yield Artifacts("memory://bucket/prefix", cache=tmp_path / "cache")
        if files.exists("/bucket"):
            files.rm("/bucket", recursive=True)

    def spoil(self, store: Artifacts, digest: str, content: bytes) -> None:
        files = fsspec.filesystem("memory")
        files.pipe_file(f"/bucket/prefix/{digest[:2]}/{digest}", content)
