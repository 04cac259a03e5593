"""The child process, as its worker holds it.

Belongs here: starting it, talking to it, ending it, looking at its memory, and keeping the end
of what it prints. Does not: what to do about any of it (decide.py).
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, Any

from fairlead.worker.job import Answer, Job, decode, encode

_TAIL = 16 << 10
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class Tail(threading.Thread):
    """Reads a stream to its end and keeps its last bytes, however much is printed."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self.start()

    def run(self) -> None:
        """Read until the stream ends."""
        with contextlib.suppress(ValueError, OSError):  # closed under our hands: the child is gone
            while chunk := os.read(self._stream.fileno(), _TAIL):
                self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        while self._size - len(self._chunks[0]) >= _TAIL:
            self._size -= len(self._chunks.popleft())

    def last_line(self) -> str:
        """The last line that says something, cut to 200 characters."""
        lines = b"".join(self._chunks).decode(errors="replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


class Child:
    """A child process that does one job at a time."""

    def __init__(self, *, artifacts: Path, threads: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [
                    sys.executable,
                    "-m",
                    "fairlead.worker.child",
                    str(theirs.fileno()),
                    str(artifacts),
                    str(os.getpid()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is the worker's to handle
                env=_environment(os.environ, threads),
            )
        self.threads = threads
        self._connection: Connection[Any, Any] = Connection(ours.detach())
        assert self._process.stdout is not None
        self._tail = Tail(self._process.stdout)

    def send(self, job: Job) -> None:
        """Have it do this job; a child that is dead by now is noticed by `exit_status`."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._connection.send_bytes(encode(job))

    def wait(self, seconds: float, also: Sequence[int] = ()) -> bool:
        """Wait for an answer, its end, or one of these file descriptors; True where one came."""
        return bool(wait([self._connection, *also], timeout=seconds))

    def answer(self) -> Answer | None:
        """Its answer, if there is one."""
        try:
            if not self._connection.poll():
                return None
            message = decode(self._connection.recv_bytes())
        except (EOFError, ConnectionResetError):
            self._process.wait()
            return None
        assert not isinstance(message, Job)
        return message

    def exit_status(self) -> int | None:
        """How it ended (negative: the signal); None while it lives."""
        return self._process.poll()

    def last_words(self) -> str:
        """The last line that it printed."""
        if self._process.poll() is not None:
            self._tail.join(timeout=1.0)
        return self._tail.last_line()

    def memory(self) -> int | None:
        """Bytes of memory that it alone holds (mapped files do not count); None once it is dead."""
        import psutil

        try:
            info = psutil.Process(self._process.pid).memory_info()
        except psutil.NoSuchProcess:
            return None
        return int(info.rss - getattr(info, "shared", 0))

    def end(self) -> None:
        """Kill it, whatever it is doing."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()
        self._connection.close()
        self._tail.join(timeout=1.0)
        assert self._process.stdout is not None
        self._process.stdout.close()


def _environment(environ: Mapping[str, str], threads: int) -> dict[str, str]:
    """The child's environment: the thread counts are set before numpy is loaded."""
    return {**environ, **dict.fromkeys(_THREADS, str(threads)), "PYTHONUNBUFFERED": "1"}
