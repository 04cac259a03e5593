"""Workers as processes of this machine.

Each holds the read end of a pipe as its standard input, and ends at once when that is closed: by
`remove`, or by the death of this process. A process runs as soon as it is started, so none of them
is ever 'starting'. Some may be started ahead of the study that they are for: they import what a
worker needs, and wait for a line of JSON on their standard input that says the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self, TypeAlias

from fairlead.errors import Failed
from fairlead.machine import unique_name
from fairlead.runners.runner import WorkerGroup, WorkerStatus, of_stores

Process: TypeAlias = subprocess.Popen[bytes]

_LOOKS = 8
"""Looks at each worker in the time that it may be stopped."""
_GRACE = 5.0
"""Seconds in which workers end by themselves when they are removed."""


@dataclass(kw_only=True)
class _Worker:
    name: str
    process: Process
    log: Path
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None  # when that was seen

    def lived(self) -> float:
        return (self.ended or time.monotonic()) - self.started

    def has_ended(self) -> bool:
        if self.ended is None and self.process.poll() is not None:
            self.ended = time.monotonic()
            self.close()
        return self.ended is not None

    def close(self) -> None:
        """End its standard input, at which it stops at once."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()


class LocalRunner:
    """Processes of this machine. A context manager that ends those that were started ahead.

    Args:
        home: Folder of what they keep beside the stores: local copies of artefacts.
        logs: Folder of what they print.
        environ: Environment variables of all workers, on top of this process's.
        names: Gives each worker its name, unique among those alive.
        stopped: Seconds that a worker may be stopped (SIGSTOP) before it is killed.
    """

    def __init__(
        self,
        *,
        home: Path,
        logs: Path,
        stopped: float,
        environ: Mapping[str, str] | None = None,
        names: Callable[[], str] = unique_name,
    ) -> None:
        self._names = names
        self._home = home
        self._logs = logs
        self._stopped = stopped
        self._environ = {**os.environ, **(environ or {})}
        self._groups: dict[str, list[_Worker]] = {}
        self._watchdogs: dict[str, StoppedWorkerWatchdog] = {}
        self._ahead: list[tuple[str, Process]] = []  # by the names that they will have

    @property
    def detached(self) -> bool:
        """They end with this process."""
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_ahead()

    def start_ahead(self, ledger: str, artifacts: str, count: int) -> None:
        """Start workers ahead of their study; `ensure` takes these first.

        Args:
            ledger: URL of the ledger's database, that of all groups to come.
            artifacts: URL of their artefact store.
            count: How many.
        """
        environ = {**self._environ, **of_stores(ledger, artifacts)}
        for _ in range(count):
            name = self._names()
            arguments = ["worker", "--name", name, "--assigned"]
            nothing = subprocess.DEVNULL
            with contextlib.suppress(OSError):  # `ensure` will say so
                self._ahead.append((name, self._spawn(arguments, nothing, environ)))

    def ensure(self, group: WorkerGroup, count: int) -> None:
        """Start as many workers as the group lacks of `count` that are alive."""
        workers = self._groups.setdefault(group.key, [])
        self._watch(group.key)
        lacking = count - sum(not worker.has_ended() for worker in workers)
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            workers.extend(self._start(group) for _ in range(lacking))
        except OSError as error:
            raise Failed(
                f"starting workers with their logs in {str(self._logs)!r}: "
                f"{error.strerror or error}; check who owns the folder"
            ) from error
        self._end_ahead()  # more than are needed

    def look(self, key: str) -> Sequence[WorkerStatus]:
        """Every worker of the group since it was first asked for."""
        watchdog = self._watchdogs.get(key)
        stopped = watchdog.stopped if watchdog else frozenset()
        return [_status(worker, stopped) for worker in self._groups.get(key, ())]

    def leave(self, key: str, workers: Collection[str]) -> None:
        """Do nothing: no process is still starting."""

    def remove(self, key: str) -> None:
        """End every worker of the group now; what it printed is kept."""
        workers = self._groups.pop(key, [])
        for worker in workers:
            worker.close()
        deadline = time.monotonic() + _GRACE
        for worker in workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, deadline - time.monotonic()))
        for worker in workers:
            worker.process.kill()  # nothing where it has ended
        if key in self._watchdogs:
            self._watchdogs.pop(key).end()
        for worker in workers:
            worker.process.wait()
            _drop_if_empty(worker.log)

    def logs(self, key: str, worker: str) -> str:
        """What the worker printed."""
        one = next((one for one in self._groups.get(key, ()) if one.name == worker), None)
        return one.log.read_text(errors="replace") if one and one.log.exists() else ""

    def _end_ahead(self) -> None:
        for _name, process in self._ahead:
            process.kill()
            process.communicate()
        self._ahead.clear()

    def _start(self, group: WorkerGroup) -> _Worker:
        while self._ahead and group.study is not None:  # those wait for the study that they are for
            name, process = self._ahead.pop()
            if _assign(process, group, log := self._log(name)):
                return _Worker(name=name, process=process, log=log)
        name = self._names()
        with (log := self._log(name)).open("wb") as output:
            environ = {**self._environ, **group.variables}
            process = self._spawn(group.arguments(name), output, environ)
        return _Worker(name=name, process=process, log=log)

    def _log(self, name: str) -> Path:
        return self._logs / f"worker-{name}.log"

    def _spawn(
        self, arguments: Sequence[str], output: int | IO[bytes], environ: Mapping[str, str]
    ) -> Process:
        program = [sys.executable, "-P", "-m", "fairlead", "--home", str(self._home)]
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*program, *arguments, "--until-eof"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environ,
            start_new_session=True,  # Ctrl-C is the caller's to handle
        )

    def _watch(self, key: str) -> None:
        if key not in self._watchdogs:
            processes = self._groups[key]
            self._watchdogs[key] = StoppedWorkerWatchdog(
                lambda: [worker.process for worker in tuple(processes)], seconds=self._stopped
            )
            self._watchdogs[key].start()


def _assign(process: Process, group: WorkerGroup, log: Path) -> bool:
    """Give a worker that was started ahead its study; False where it has ended meanwhile."""
    assert process.stdin is not None
    said = {"study": group.study, "log": str(log), "environ": dict(group.environ)}
    try:
        process.stdin.write(json.dumps(said).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        process.communicate()
        return False
    return True


def _status(worker: _Worker, stopped: Collection[Process]) -> WorkerStatus:
    where = str(worker.log)
    if worker.has_ended():
        code = worker.process.returncode
        return WorkerStatus(
            name=worker.name,
            state="ended",
            why=f"status {code}",
            killed=code == -signal.SIGKILL,
            seconds=worker.lived(),
            log=where,
        )
    stuck = worker.process in stopped
    return WorkerStatus(
        name=worker.name,
        state="stuck" if stuck else "running",
        why="stopped by SIGSTOP" if stuck else "",
        seconds=worker.lived(),
        log=where,
    )


def _drop_if_empty(log: Path) -> None:
    if log.exists() and log.stat().st_size == 0:
        log.unlink()


class StoppedWorkerWatchdog(threading.Thread):
    """Kills workers that stay stopped (SIGSTOP).

    The task of such a worker is lost to it. And one may have been stopped in the middle of a write:
    then nobody writes to the ledger while it lives, not even who looks after the workers; hence a
    thread.

    Args:
        processes: Gives those that are there now.
        seconds: How long each may be stopped.
    """

    def __init__(self, processes: Callable[[], Iterable[Process]], *, seconds: float) -> None:
        super().__init__(name="stopped-workers", daemon=True)
        self.stopped: frozenset[Process] = frozenset()  # as of the last look
        self._processes = processes
        self._seconds = seconds
        self._done = threading.Event()

    def run(self) -> None:
        """Look at them until asked to end."""
        since: dict[Process, float] = {}
        while not self._done.wait(self._seconds / _LOOKS):
            self.stopped = frozenset(filter(is_stopped, self._processes()))
            now = time.monotonic()
            since = {process: since.get(process, now) for process in self.stopped}
            for process, stopped in since.items():
                if now - stopped > self._seconds:
                    process.kill()

    def end(self) -> None:
        """Look no more."""
        self._done.set()
        self.join()


def is_stopped(process: Process) -> bool:
    """Whether it is stopped (SIGSTOP), and has not ended."""
    import psutil

    try:
        return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False  # it has ended
