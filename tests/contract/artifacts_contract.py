"""What every artefact store does. A test module of a place inherits it and gives `store`."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from fairlead.artifacts import Artifacts
from fairlead.errors import Corrupt, Invalid
from fairlead.records import File

CONTENT = b"a table, a model, a manifest"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class ArtifactsContract:
    """Needs the fixture `store`, and `spoil`, which overwrites what is kept under a digest."""

    def spoil(self, store: Artifacts, digest: str, content: bytes) -> None:
        raise NotImplementedError

    @pytest.mark.parametrize("content", [b"", b"\0", CONTENT, bytes(range(256)) * 20_000])
    def test_what_is_put_comes_back(self, store: Artifacts, content: bytes) -> None:
        file = store.put(content)
        assert file == File(digest=hashlib.sha256(content).hexdigest(), size=len(content))
        assert store.get(file.digest) == content
        assert store.path(file.digest).read_bytes() == content

    def test_a_file_is_copied_in(self, store: Artifacts, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(CONTENT * 100_000)
        file = store.put_file(source)
        source.unlink()
        assert file.size == len(CONTENT) * 100_000
        assert store.get(file.digest) == CONTENT * 100_000

    def test_a_file_of_a_known_digest_is_adopted(self, store: Artifacts, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(CONTENT)
        for _ in range(2):
            store.adopt(source, DIGEST)
        source.unlink()
        assert store.get(DIGEST) == CONTENT
        assert store.path(DIGEST).read_bytes() == CONTENT
        assert [stored.digest for stored in store.all()] == [DIGEST]

    def test_a_damaged_file_is_mended_by_one_that_is_adopted(
        self, store: Artifacts, tmp_path: Path
    ) -> None:
        source = tmp_path / "source"
        source.write_bytes(CONTENT)
        store.put(CONTENT)
        self.spoil(store, DIGEST, b"damaged")
        store.adopt(source, DIGEST)
        assert store.get(DIGEST) == CONTENT

    def test_putting_again_changes_nothing_but_its_age(self, store: Artifacts) -> None:
        store.put(CONTENT)
        (before,) = store.all()
        deadline = time.monotonic() + 10
        while True:
            store.put(CONTENT)
            (after,) = store.all()
            if after.modified > before.modified:
                break
            assert time.monotonic() < deadline
        assert (after.digest, after.size) == (DIGEST, len(CONTENT))

    def test_everything_is_listed(self, store: Artifacts) -> None:
        files = [store.put(bytes([number])) for number in range(5)]
        assert {stored.digest for stored in store.all()} == {file.digest for file in files}
        assert {stored.size for stored in store.all()} == {1}
        assert all(abs(stored.modified - time.time()) < 60 for stored in store.all())

    def test_an_empty_store_lists_nothing(self, store: Artifacts) -> None:
        assert list(store.all()) == []
        assert list(store.stale_temporaries(older_than=0)) == []

    def test_what_is_deleted_is_gone(self, store: Artifacts) -> None:
        store.put(CONTENT)
        assert store.exists(DIGEST)
        for _ in range(2):
            store.delete(DIGEST)
        assert not store.exists(DIGEST)
        assert list(store.all()) == []
        with pytest.raises(Corrupt, match=f"artefact {DIGEST} is missing"):
            store.get(DIGEST)

    def test_what_was_stored_again_meanwhile_is_not_deleted(self, store: Artifacts) -> None:
        store.put(CONTENT)
        (found,) = store.all()
        store.delete(DIGEST, unless_after=found.modified - 1)
        assert store.get(DIGEST) == CONTENT
        store.delete(DIGEST, unless_after=found.modified)
        assert not store.exists(DIGEST)
        store.delete(DIGEST, unless_after=found.modified)

    def test_what_was_never_there_is_missing(self, store: Artifacts) -> None:
        assert not store.exists(DIGEST)
        with pytest.raises(Corrupt, match="is missing"):
            store.path(DIGEST)

    @pytest.mark.parametrize(
        "content", [b"", CONTENT[:-1], CONTENT + b"x", CONTENT.replace(b"t", b"T", 1)]
    )
    def test_a_damaged_artefact_is_told_and_mended_by_putting_it_again(
        self, store: Artifacts, content: bytes
    ) -> None:
        store.put(CONTENT)
        self.spoil(store, DIGEST, content)
        with pytest.raises(Corrupt, match=f"artefact {DIGEST} is damaged.*restore") as caught:
            store.get(DIGEST)
        assert "\n" not in str(caught.value)
        with pytest.raises(Corrupt, match="is damaged"):
            store.path(DIGEST)
        store.put(CONTENT)
        assert store.get(DIGEST) == CONTENT
        assert store.path(DIGEST).read_bytes() == CONTENT

    @pytest.mark.parametrize("name", ["", "../../etc/passwd", DIGEST.upper(), DIGEST + "\n"])
    def test_a_name_that_is_no_digest_is_refused(self, store: Artifacts, name: str) -> None:
        for ask in (store.get, store.path, store.exists, store.delete):
            with pytest.raises(Invalid, match="no digest"):
                ask(name)
