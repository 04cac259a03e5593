"""Folders, fsspec URLs and buckets keep artefacts alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from fairlead.artifacts import Artifacts
from fairlead.records import CacheFolder
from tests.contract.artifacts_contract import ArtifactsContract
from tests.support.gcs import Gcs
from tests.support.s3 import S3, prefix


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
        yield Artifacts("memory://bucket/prefix", cache=CacheFolder(path=str(tmp_path / "cache")))
        if files.exists("/bucket"):
            files.rm("/bucket", recursive=True)

    def spoil(self, store: Artifacts, digest: str, content: bytes) -> None:
        files = fsspec.filesystem("memory")
        files.pipe_file(f"/bucket/prefix/{digest[:2]}/{digest}", content)


class TestS3(ArtifactsContract):
    @pytest.fixture
    def store(self, s3: S3, tmp_path: Path) -> Artifacts:
        self.server, self.prefix = s3, prefix()
        cache = CacheFolder(path=str(tmp_path / "cache"))
        return Artifacts(f"s3://{s3.bucket}/{self.prefix}", cache=cache)

    def spoil(self, store: Artifacts, digest: str, content: bytes) -> None:
        key = f"{self.prefix}/{digest[:2]}/{digest}"
        self.server.client().put_object(Bucket=self.server.bucket, Key=key, Body=content)


class TestGcs(ArtifactsContract):
    @pytest.fixture
    def store(self, gcs: Gcs, tmp_path: Path) -> Artifacts:
        self.server, self.prefix = gcs, prefix()
        cache = CacheFolder(path=str(tmp_path / "cache"))
        return Artifacts(f"gs://{gcs.bucket}/{self.prefix}", cache=cache)

    def spoil(self, store: Artifacts, digest: str, content: bytes) -> None:
        self.server.overwrite(f"{self.prefix}/{digest[:2]}/{digest}", content)
