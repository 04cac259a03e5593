"""What keeps artefacts: the Protocol of every backend, what names them, and what all of them raise.

A digest is the SHA-256 of an artefact's bytes, as 64 hexadecimal digits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fairlead.errors import Corrupt, Invalid, NextStep
from fairlead.records import Digest

_FORM = re.compile(r"[0-9a-f]{64}", re.ASCII)


def is_digest(text: str) -> bool:
    """Whether the text has the form of a digest."""
    return _FORM.fullmatch(text) is not None


def checked_digest(text: str) -> Digest:
    """The text, if it has the form of a digest: it is about to become part of a path.

    Raises:
        Invalid: It has not.
    """
    if not is_digest(text):
        raise Invalid(f"{text!r} is no digest: 64 hexadecimal digits are wanted")
    return text


def digest_of(content: bytes) -> Digest:
    """The digest of these bytes."""
    return hashlib.sha256(content).hexdigest()


def digest_of_file(path: Path) -> tuple[Digest, int]:
    """The digest of a file's bytes, and how many they are."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        return found, file.tell()


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A file in the store, as a listing sees it."""

    digest: Digest
    size: int  # bytes
    modified: float  # seconds since the epoch by the store's clock; putting it again renews it


class ArtifactBackend(Protocol):
    """A folder or a server that keeps artefacts. Every digest it is given has the form of one."""

    def write(self, digest: Digest, content: bytes) -> None:
        """Keep these bytes. Raises DiskFull, Failed or Unreachable."""
        ...

    def copy(self, digest: Digest, source: Path) -> None:
        """Keep a copy of this file. Raises DiskFull, Failed or Unreachable."""
        ...

    def adopt(self, digest: Digest, source: Path) -> None:
        """As `copy`, of a file that nobody writes to any more: it may be the very same file."""
        ...

    def read(self, digest: Digest) -> bytes:
        """The bytes as they are there. Raises Corrupt where there are none, or Unreachable."""
        ...

    def path(self, digest: Digest) -> Path:
        """A local file with the right bytes. Raises Corrupt, Invalid or Unreachable."""
        ...

    def exists(self, digest: Digest) -> bool:
        """Whether there is anything of this name."""
        ...

    def all(self) -> Iterator[Stored]:
        """Everything that is named as an artefact is."""
        ...

    def delete(self, digest: Digest, *, unless_after: float | None) -> None:
        """Remove it, if it is there and was not stored again after that time."""
        ...

    def stale_temporaries(self, *, older_than: float) -> Iterator[Path]:
        """Temporary files that nobody has written to for so many seconds."""
        ...


_AGAIN = NextStep("run", {"spec": None, "fresh": True}, "is such a run")


def missing(digest: Digest, where: str) -> Corrupt:
    """The error of an artefact that is not there."""
    return Corrupt(
        f"artefact {digest} is missing in {where!r}: restore it from a copy, or make it again by a "
        "fresh run of its spec",
        code="artefact_missing",
        next_steps=(_AGAIN,),
    )


def damaged(digest: Digest, where: str, size: int | None) -> Corrupt:
    """The error of an artefact whose bytes are others; how many, where that is known."""
    those = "bytes" if size is None else f"{size} bytes"
    return Corrupt(
        f"artefact {digest} is damaged: the {those} in {where!r} are not what its name says; "
        "restore it from a copy, or delete it and make it again by a fresh run of its spec",
        code="artefact_damaged",
        next_steps=(_AGAIN,),
    )
