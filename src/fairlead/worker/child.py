"""The child process of a worker: it does one job after another.

Belongs here: the loop that takes jobs from the worker and answers them. Does not: the ledger,
which only the worker itself talks to; nor what a job is made of (training).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.errors import FairleadError
from fairlead.training.opened import Opened
from fairlead.training.refit import refit
from fairlead.worker.job import Answer, Began, Job, Raised, Refitted, Scored, decode, encode


def main(descriptor: int, artifacts: str, parent: int) -> None:
    """Answer jobs until the worker closes its end.

    Args:
        descriptor: File descriptor of the connection to the worker.
        artifacts: Root of the artefact store.
        parent: Process id of the worker; when it dies, so does this process.
    """
    _die_with(parent)
    desk = Desk(Artifacts(Path(artifacts)))
    connection = Connection(descriptor)
    while (job := _next(connection)) is not None:
        answer = _answered(desk.begin, job)
        connection.send_bytes(encode(answer))
        if isinstance(answer, Began):
            connection.send_bytes(encode(_answered(desk.do, job)))


class Desk:
    """The study that this process has open; the one before is closed when another comes."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.artifacts = artifacts
        self._opened: tuple[str, Opened] | None = None

    def begin(self, job: Job) -> Began:
        """Load what the job's task needs."""
        opened = self.open(job)
        opened.prepare()
        return Began()

    def open(self, job: Job) -> Opened:
        """The job's study."""
        if self._opened is None or self._opened[0] != job.study:
            opened = Opened(
                spec=job.spec, table=job.table, sources=job.sources, artifacts=self.artifacts
            )
            self._opened = (job.study, opened)
        return self._opened[1]

    def do(self, job: Job) -> Answer:
        """Do the job's task."""
        opened = self.open(job)
        if job.kind == "trials":
            return Scored(results=tuple(opened.score(job.trials)))
        candidate = refit(opened, job.study, job.trials[0], self.artifacts)
        return Refitted(candidate=self.artifacts.put(manifest.dump(candidate)).digest)


def _next(connection: Connection) -> Job | None:
    try:
        message = decode(connection.recv_bytes())
    except EOFError:
        return None
    assert isinstance(message, Job)
    return message


def _answered(do: Callable[[Job], Answer], job: Job) -> Answer:
    try:
        return do(job)
    except FairleadError as error:
        return Raised(reason=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a model raises is reported, not hidden
        return Raised(reason=_in_words(error))


def _in_words(error: Exception) -> str:
    """The exception in one line: its type, its message, and the line of code that raised it."""
    import traceback

    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}: {text} ({Path(frame.filename).name}:{frame.lineno})"


def _die_with(parent: int) -> None:
    """End this process when its parent is gone, even in the middle of a fit."""
    if sys.platform == "linux":
        import ctypes
        import signal

        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
