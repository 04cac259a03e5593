"""What keeps artefacts: the Protocol of every backend, and the errors that all of them raise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fairlead.errors import Corrupt, NextStep
from fairlead.records import Digest


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A file in the store, as a listing sees it."""

    digest: Digest
    size: int  # bytes
    modified: float  # seconds since the epoch by the store's clock; putting it again renews it


class ArtifactBackend(Protocol):
    """A folder or a server that keeps artefacts. Every digest it is given has the form of one."""

    def write(self, digest: Digest, content: bytes) -> None:
        """Keep these bytes. Raises Failed or Unreachable."""
        ...

    def copy(self, digest: Digest, source: Path) -> None:
        """Keep a copy of this file. Raises Failed or Unreachable."""
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


def damaged(digest: Digest, where: str, size: int) -> Corrupt:
    """The error of an artefact whose bytes are others."""
    return Corrupt(
        f"artefact {digest} is damaged: the {size} bytes in {where!r} are not what its name says; "
        "restore it from a copy, or delete it and make it again by a fresh run of its spec",
        code="artefact_damaged",
        next_steps=(_AGAIN,),
    )
