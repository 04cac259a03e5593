"""A worker's hold on its child: it never waits where it only looks."""

from __future__ import annotations

import time
from pathlib import Path

from fairlead.records import CacheFolder
from fairlead.worker.process import Child


def test_looking_for_an_answer_does_not_wait_for_one(tmp_path: Path) -> None:
    child = Child(artifacts=str(tmp_path), cache=CacheFolder(path=str(tmp_path)), threads=1)
    try:
        started = time.monotonic()
        assert child.answer() is None
        assert time.monotonic() - started < 1.0
        assert not child.closed
    finally:
        child.end()
