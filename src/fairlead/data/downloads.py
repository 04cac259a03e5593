"""Downloads that are kept: files named by their digest, and which URL gave which."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from fairlead import atomic
from fairlead.errors import Failed
from fairlead.records import Digest


def find(folder: Path, url: str, digest: Digest | None) -> bytes | None:
    """What was downloaded from this URL or with this digest; None if it was damaged since."""
    try:
        name = digest or json.loads(_note(folder, url).read_text())["digest"]
        content = (folder / str(name)).read_bytes()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content if hashlib.sha256(content).hexdigest() == name else None


def keep(folder: Path, url: str, content: bytes) -> None:
    """Keep what a URL gave.

    Raises:
        Failed: The disk is full, or the folder cannot be written.
    """
    digest = hashlib.sha256(content).hexdigest()
    try:
        atomic.write(folder / digest, content)
        atomic.write(_note(folder, url), json.dumps({"url": url, "digest": digest}).encode())
    except OSError as error:
        reason = error.strerror or error
        raise Failed(f"keeping the download of {url!r} in {str(folder)!r}: {reason}") from error


def _note(folder: Path, url: str) -> Path:
    return folder / "urls" / f"{hashlib.sha256(url.encode()).hexdigest()}.json"
