"""What checks have found out, kept for the next server.

Belongs here: finding and keeping it. Does not: checking (serving/check.py).

A check takes a second of a processor, and a server that starts again would check all that is live
before it answers. What it found holds for the same bytes, run by the same libraries on the same
machine; a deployment checks its revision all the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec

from fairlead.records import Candidate, Digest
from fairlead.serving.plan import Facts
from fairlead.version import VERSION

_FILES = ("model.onnx", "golden.json")


@dataclass(frozen=True)
class Checked:
    """A folder of findings.

    Args:
        folder: Made when something is first kept; None to keep nothing.
    """

    folder: Path | None = None

    def find(self, candidate: Candidate) -> Facts | None:
        """What a check of these files found; None where none is known."""
        file = self._file(candidate)
        return None if file is None else _read(file)

    def made(self) -> set[Digest]:
        """The artefacts that checks have made, and that their findings name."""
        files = self.folder.glob("*.json") if self.folder is not None else ()
        findings = filter(None, map(_read, files))
        return {facts.compact for facts in findings if facts.compact is not None}

    def keep(self, candidate: Candidate, facts: Facts) -> None:
        """Keep what a check found; where that cannot be, it is checked again."""
        file = self._file(candidate)
        if file is not None:
            with contextlib.suppress(OSError):
                _write(file, msgspec.json.encode(facts))

    def _file(self, candidate: Candidate) -> Path | None:
        if self.folder is None or not candidate.files.keys() >= {*_FILES}:
            return None
        return self.folder / f"{_key(candidate)}.json"


def _read(file: Path) -> Facts | None:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(file.read_bytes(), type=Facts)
    return None


def _key(candidate: Candidate) -> str:
    """All that a finding depends on."""
    digests = [candidate.files[name].digest for name in _FILES]
    signature = msgspec.json.encode(candidate.signature).decode()
    runtime = metadata.version("onnxruntime")
    where = [platform.node(), platform.machine()]
    text = json.dumps([*digests, signature, VERSION, runtime, *where])
    return hashlib.sha256(text.encode()).hexdigest()


def _write(file: Path, content: bytes) -> None:
    """Whole, or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    number, temporary = tempfile.mkstemp(dir=file.parent, prefix=".tmp-")
    with os.fdopen(number, "wb") as opened:
        opened.write(content)
    Path(temporary).replace(file)
