"""The actor that runs one worker on a Ray cluster.

It is placed by Ray, on a machine that has Fairlead. It gets its order by a method, not when it is
made: what Ray keeps of an actor, it keeps for all to see who can reach the cluster, and an order
has the URLs of the stores. The worker is a process of its own that holds the read end of a pipe,
and ends when the actor does, however that is. The actor answers who asks how the worker is; when
nobody has asked for long, it has the worker finish its task, and ends: so none is left behind by
autoscalers that are gone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fairlead.machine import boot

UNASKED = 300.0
"""Seconds without a question after which a worker is taken to be forgotten."""
_EVERY = 1.0
_GRACE = 5.0
"""Seconds in which a worker ends by itself."""
_CHUNK, _CHUNKS = 4096, 64
"""What it printed last is kept: so many pieces of so many bytes at most."""


@dataclass(frozen=True, kw_only=True)
class WorkerOrder:
    """What an actor is to run.

    Args:
        arguments: Of `fairlead`.
        variables: Environment variables, on top of those of the machine.
        folders: Paths of the stores that must be the same here as where they were looked up,
            with what tells them apart.
        boot: Of the machine that it must be; empty for any.
    """

    arguments: tuple[str, ...]
    variables: Mapping[str, str]
    folders: Mapping[str, int] = field(default_factory=dict)
    boot: str = ""


@dataclass(frozen=True, kw_only=True)
class WorkerReport:
    """How the worker of an actor is."""

    started: bool = False
    ended: bool = False
    why: str = ""  # it ended
    killed: bool = False  # by a signal from outside
    seconds: float = 0.0  # that it has run
    where: str = ""
    printed: str = ""  # by one that ended


def told_apart(path: str) -> int:
    """A number that the same file or folder has on each machine that shares it; 0 for none."""
    try:
        return Path(path).stat().st_ino
    except OSError:
        return 0


class WorkerSupervisor:
    """Runs one worker. Ray calls its methods, one at a time.

    Args:
        unasked: Seconds without a question after which it ends.
    """

    def __init__(self, unasked: float = UNASKED) -> None:
        self._unasked = unasked
        self._asked = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._report: WorkerReport | None = None  # once it has ended
        self._printed: deque[bytes] = deque(maxlen=_CHUNKS)
        self._reader: threading.Thread | None = None
        threading.Thread(target=self._end_when_forgotten, daemon=True).start()

    def report(self, order: WorkerOrder | None = None) -> WorkerReport:
        """How the worker is; it is started where it was not and there is an order."""
        self._asked = time.monotonic()
        if self._process is None and self._report is None and order is not None:
            self._start(order)
        return self._status()

    def printed(self) -> str:
        """What the worker printed last."""
        return b"".join(tuple(self._printed)).decode(errors="replace")

    def end(self) -> None:
        """End the worker now; it gives its task back."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self, order: WorkerOrder) -> None:
        if wrong := _cannot_run(order):
            self._report = WorkerReport(started=True, ended=True, why=wrong, printed=wrong)
            return
        home = Path(os.environ.get("FAIRLEAD_HOME") or Path.home() / ".fairlead").absolute()
        home.mkdir(parents=True, exist_ok=True)
        program = [sys.executable, "-P", "-m", "fairlead", "--home", str(home)]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*program, *order.arguments, "--until-eof"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **order.variables},
            cwd=home,
            start_new_session=True,
        )
        self._started = time.monotonic()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Keep the last of what the worker prints, and print it: Ray has it among its logs."""
        assert self._process is not None
        assert self._process.stdout is not None
        output = self._process.stdout
        while chunk := os.read(output.fileno(), _CHUNK):
            self._printed.append(chunk)
            sys.stderr.write(chunk.decode(errors="replace"))
            sys.stderr.flush()

    def _status(self) -> WorkerReport:
        if self._report is None and self._process is not None:
            code = self._process.poll()
            if code is None:
                seconds = time.monotonic() - self._started
                return WorkerReport(started=True, seconds=seconds, where=_where())
            self._report = self._ended(code)
        return self._report or WorkerReport()

    def _ended(self, code: int) -> WorkerReport:
        seconds = time.monotonic() - self._started
        assert self._reader is not None
        self._reader.join(_EVERY)  # a grandchild may have its output, too
        return WorkerReport(
            started=True,
            ended=True,
            why=f"status {code}",
            killed=code < 0,
            seconds=seconds,
            where=_where(),
            printed=self.printed(),
        )

    def _end_when_forgotten(self) -> None:
        while time.monotonic() - self._asked < self._unasked:
            time.sleep(min(_EVERY, self._unasked))
        if self._process is not None:
            self._process.terminate()  # after its task
            self._process.wait()
        os._exit(0)  # nobody is there who would be told


def _cannot_run(order: WorkerOrder) -> str:
    """Why a worker cannot run on this machine; empty where it can."""
    if order.boot not in {"", boot()}:
        return (
            f"{socket.gethostname()} is another machine than that of the ledger, a SQLite file: "
            "use PostgreSQL ($FAIRLEAD_LEDGER)"
        )
    for path, mark in order.folders.items():
        if told_apart(path) != mark:
            return (
                f"{path!r} is not on {socket.gethostname()} what it is where the autoscaler runs: "
                "use stores that all machines reach ($FAIRLEAD_LEDGER, $FAIRLEAD_ARTIFACTS)"
            )
    return ""


def _where() -> str:
    """Where Ray keeps what this actor prints."""
    return f"Ray's log of process {os.getpid()} on {socket.gethostname()}"
