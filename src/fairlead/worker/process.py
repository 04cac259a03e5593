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
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO

from fairlead.worker.job import Answer, Job, Open, Request, decode, encode

_TAIL = 16 << 10
_CHUNK = 1 << 16
_SEND = 60.0
"""Seconds that a child which waits for a job may take to read it."""
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

    def __init__(self, *, artifacts: str, cache: Path, threads: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [
                    sys.executable,
                    "-P",  # what lies in the current folder shadows no module
                    "-m",
                    "fairlead.worker.child",
                    str(theirs.fileno()),
                    artifacts,
                    str(cache),
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
        self.has_open: str | None = None  # the study whose data it holds
        self.closed = False  # its end of the connection, though it may live
        self._socket = ours
        self._socket.settimeout(0.0)
        self._read = b""
        assert self._process.stdout is not None
        self._tail = Tail(self._process.stdout)

    def send(self, request: Request) -> None:
        """Have it do this; a child that cannot be told is noticed by `closed`."""
        try:
            self._send(encode(request))
        except OSError:
            self._close()

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            message = message[self._socket.send(message) :]
        if message:  # more than fits between two processes: it must read while we write
            self._socket.settimeout(_SEND)
            try:
                self._socket.sendall(message)
            finally:
                self._socket.settimeout(0.0)  # else even MSG_DONTWAIT waits for something

    def wait(self, seconds: float, also: Sequence[int] = ()) -> None:
        """Wait for an answer, its end, or something on one of these file descriptors."""
        wait([self._socket, *also], timeout=seconds)

    def answer(self) -> Answer | None:
        """Its next answer, once it is there as a whole; never waits for the rest of one."""
        self._take_in()
        line, end, rest = self._read.partition(b"\n")
        if not end:
            return None
        self._read = rest
        try:
            message = decode(line)
        except (ValueError, KeyError, TypeError):
            self._close()  # something else wrote into the connection
            return None
        return None if isinstance(message, Job | Open) else message

    def _take_in(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while not self.closed:
                chunk = self._received()
                self._read += chunk
                if not chunk:
                    self._close()
                if len(chunk) < _CHUNK:
                    return  # that was all for now; the end of the connection is seen next time

    def _received(self) -> bytes:
        try:
            return self._socket.recv(_CHUNK)
        except ConnectionResetError:
            return b""

    def _close(self) -> None:
        """The connection has ended: most often because the child has, so its status is awaited."""
        self.closed = True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1.0)

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
        self._socket.close()
        self._tail.join(timeout=1.0)
        assert self._process.stdout is not None
        self._process.stdout.close()


def _environment(environ: Mapping[str, str], threads: int) -> dict[str, str]:
    """The child's environment: the thread counts are set before numpy is loaded."""
    return {**environ, **dict.fromkeys(_THREADS, str(threads)), "PYTHONUNBUFFERED": "1"}
