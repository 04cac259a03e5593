"""Digests of artefacts: the SHA-256 of their bytes, as 64 hexadecimal digits."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from fairlead.errors import Invalid
from fairlead.records import Digest

_FORM = re.compile(r"[0-9a-f]{64}", re.ASCII)


def is_digest(text: str) -> bool:
    """Whether the text has the form of a digest."""
    return _FORM.fullmatch(text) is not None


def checked(text: str) -> Digest:
    """The text, if it has the form of a digest: it is about to become part of a path.

    Raises:
        Invalid: It has not.
    """
    if not is_digest(text):
        raise Invalid(f"{text!r} is no digest: 64 hexadecimal digits are wanted")
    return text


def of_bytes(content: bytes) -> Digest:
    """The digest of these bytes."""
    return hashlib.sha256(content).hexdigest()


def of_file(path: Path) -> tuple[Digest, int]:
    """The digest of a file's bytes, and how many they are."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        return found, file.tell()
