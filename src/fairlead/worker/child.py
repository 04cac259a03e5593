"""The child process of a worker: it does one job after another.

Belongs here: the loop that takes jobs from the worker and answers them. Does not: the ledger,
which only the worker itself talks to; nor what a job is made of (training).
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.errors import FairleadError
from fairlead.training.refit import refit
from fairlead.training.study_context import Opened
from fairlead.worker.job import (
    Answer,
    Began,
    Job,
    Open,
    Raised,
    Ready,
    Refitted,
    Request,
    Scored,
    decode,
    encode,
)


def main(descriptor: int, artifacts: str, cache: str, parent: int) -> None:
    """Answer jobs until the worker closes its end.

    Args:
        descriptor: File descriptor of the connection to the worker.
        artifacts: URL of the artefact store.
        cache: Folder of local copies of artefacts.
        parent: Process id of the worker; when it dies, so does this process.
    """
    _die_with(parent)
    desk, me = Desk(Artifacts(artifacts, cache=Path(cache))), os.getpid()
    with socket.socket(fileno=descriptor) as connection, connection.makefile("rb") as jobs:
        for line in jobs:
            for answer in _answers(desk, line):
                if os.getpid() != me:
                    os._exit(0)  # a fork that the model's code left behind
                connection.sendall(encode(answer))


def _answers(desk: Desk, line: bytes) -> Iterator[Answer]:
    job = decode(line)
    if isinstance(job, Open):
        yield _answered(lambda: desk.ready(job), token=0)
        return
    assert isinstance(job, Job)
    if not desk.has_open(job):
        answer = _answered(lambda: desk.begin(job), token=job.token)
        yield answer
        if not isinstance(answer, Began):
            return
    yield _answered(lambda: desk.do(job), token=job.token)


class Desk:
    """The study that this process has open; the one before is closed when another comes."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.artifacts = artifacts
        self._opened: tuple[str, Opened] | None = None

    def has_open(self, job: Job) -> bool:
        """Whether the job's study is the one that is open."""
        return self._opened is not None and self._opened[0] == job.study

    def ready(self, request: Open) -> Ready:
        """Open a study of which tasks are to come."""
        self._open(request)
        return Ready(study=request.study)

    def begin(self, job: Job) -> Began:
        """Open the job's study."""
        self._open(job)
        return Began(token=job.token)

    def _open(self, request: Request) -> None:
        self._opened = None
        opened = Opened(
            spec=request.spec,
            table=request.table,
            sources=request.sources,
            artifacts=self.artifacts,
        )
        opened.prepare()
        self._opened = (request.study, opened)

    def do(self, job: Job) -> Answer:
        """Do the job's task."""
        assert self._opened is not None
        opened = self._opened[1]
        if job.kind == "trials":
            return Scored(token=job.token, results=tuple(opened.score(job.trials)))
        candidate = refit(opened, job.study, job.trials[0], self.artifacts)
        digest = self.artifacts.put(manifest.dump(candidate)).digest
        return Refitted(token=job.token, candidate=digest)


def _answered(do: Callable[[], Answer], *, token: int) -> Answer:
    try:
        return do()
    except FairleadError as error:
        return Raised(token=token, reason=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a model raises is reported, not hidden
        return Raised(token=token, reason=_in_words(error))


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
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
