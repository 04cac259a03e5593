"""Processes that use one ledger at once.

Each is a Python program of its own, as workers are: forked ones would share what must not be.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fairlead.ledger.interface import Ledger
from fairlead.records import NewTask, Study, Trial

STUDY = Study(id="5" * 64, name="boston", spec="{}", table="7" * 64, size=10_000)


def python(
    program: str, *arguments: object, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str], timeout: float = 120) -> str:
    output, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, errors
    return output


def start_together(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Let go of programs that say a line once they have loaded, and then wait for one."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline(), "it did not get so far"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def add_trials(ledger: Ledger, count: int) -> None:
    ledger.studies.open(STUDY)
    tasks = [
        NewTask(kind="trials", trials=(Trial(number=number, family="f", params={}),))
        for number in range(count)
    ]
    ledger.tasks.add(STUDY.id, tasks)


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Somebody else's write transaction, as long as it lasts."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def ledger_file(folder: Path) -> Path:
    return folder / "home" / "ledger.db"
