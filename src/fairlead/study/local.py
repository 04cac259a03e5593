"""Workers of this machine: N processes of exactly the program `fairlead worker`.

Belongs here: starting, counting, replacing and ending them. Does not: what they do.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fairlead.errors import Failed
from fairlead.ledger.database import PATIENCE
from fairlead.ledger.interface import Ledger
from fairlead.settings import Settings
from fairlead.study.stopped import Watchman

_QUICK = 3.0
"""A worker that ends within so many seconds of its start died young."""
_YOUNG_DEATHS = 5
"""So many in a row, and something is wrong with the machine rather than with a task."""
_STOPPED = PATIENCE / 3
"""Seconds that a worker may be stopped at most: well before others give up waiting to write."""


@dataclass(kw_only=True)
class _Worker:
    name: str
    process: subprocess.Popen[bytes]
    started: float
    log: Path


class LocalWorkers:
    """A crew of local workers; a context manager that ends them.

    Each holds the read end of a pipe as its standard input, and ends when this process does.
    """

    def __init__(self, settings: Settings, ledger: Ledger, *, count: int) -> None:
        self._settings = settings
        self._ledger = ledger
        self._count = count
        self._workers: list[_Worker] = []
        self._study: str | None = None
        self._young_deaths = 0
        self._watchman = Watchman(
            lambda: [worker.process for worker in tuple(self._workers)],
            seconds=min(settings.lease, _STOPPED),
        )
        self.draining = False

    @property
    def started(self) -> bool:
        """Whether they were started."""
        return self._study is not None

    def start(self, study: str) -> None:
        """Start them on this study."""
        self._study = study
        self._watchman.start()
        try:
            self._settings.logs.mkdir(parents=True, exist_ok=True)
            self._workers.extend(self._spawn(study) for _ in range(self._count))
        except OSError as error:
            raise Failed(
                f"starting workers with their logs in {str(self._settings.logs)!r}: "
                f"{error.strerror or error}; check who owns the folder"
            ) from error

    def _spawn(self, study: str) -> _Worker:
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        log = self._settings.logs / f"worker-{name}.log"
        command = [
            sys.executable,
            "-P",
            "-m",
            "fairlead",
            "--home",
            str(self._settings.home),
            "worker",
        ]
        command += ["--study", study, "--name", name, "--until-eof"]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        return _Worker(name=name, process=process, started=time.monotonic(), log=log)

    def alive(self) -> int:
        """How many are alive."""
        return sum(worker.process.poll() is None for worker in self._workers)

    def tend(self) -> None:
        """Give back the tasks of dead workers and replace these.

        Raises:
            Failed: They die one after another as soon as they start.
        """
        for worker in [worker for worker in self._workers if worker.process.poll() is not None]:
            self._workers.remove(worker)
            self._bury(worker)
            if not self.draining and self._study is not None:
                self._workers.append(self._spawn(self._study))

    def _bury(self, worker: _Worker) -> None:
        self._ledger.tasks.lose(worker.name)
        _close(worker)
        young = time.monotonic() - worker.started < _QUICK
        killed = worker.process.returncode == -signal.SIGKILL
        self._young_deaths = self._young_deaths + 1 if young and not killed else 0
        if self._young_deaths >= _YOUNG_DEATHS:
            raise Failed(
                f"workers end as soon as they start (status {worker.process.returncode}): "
                f"{_last_line(worker.log)} (more in {worker.log})"
            )

    def drain(self) -> None:
        """Ask them to finish the task in hand and end."""
        self.draining = True
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                worker.process.send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End them now: what they have in hand goes back to the ledger."""
        for worker in self._workers:
            _close(worker)  # the end of their standard input tells them to stop at once
        deadline = time.monotonic() + 5.0
        for worker in self._workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, deadline - time.monotonic()))
        self._signal(signal.SIGKILL)
        if self._watchman.is_alive():
            self._watchman.end()
        for worker in self._workers:
            worker.process.wait()
            self._ledger.tasks.lose(worker.name)
            if worker.log.exists() and worker.log.stat().st_size == 0:
                worker.log.unlink()


def _close(worker: _Worker) -> None:
    assert worker.process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        worker.process.stdin.close()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line for line in reversed(lines) if line.strip()), "it printed nothing")
