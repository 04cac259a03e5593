"""The child process from its worker's side: started, messaged, observed, killed.

A child is forked by a fork server (forkserver.py) where there is one, and started as a program of
its own otherwise. Its connection is a socket pair that is read without waiting; of its output only
the end is kept, for the report of a crash.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from io import FileIO
from multiprocessing.connection import wait

from fairlead.machine import library_environment
from fairlead.records import CacheFolder
from fairlead.worker.forkserver import ArtifactStore, ForkedProcess
from fairlead.worker.messages import Answer, FitProgressed, Noted, Request, decode, encode

PROGRAM = "fairlead.worker.child"
"""The module of a child that is a program of its own."""

_TAIL = 16 << 10
_CHUNK = 1 << 16
_CHUNKS = 64
"""How many are read at a time: who writes without end does not keep its worker from its lease."""
_NOTES = 16
_SEND = 60.0
"""Seconds that an idle child may take to read a request."""


class Tail(threading.Thread):
    """Reads a stream to its end and keeps its last bytes, however much is printed."""

    def __init__(self, stream: FileIO) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self.start()

    def run(self) -> None:
        """Read until the stream ends."""
        with contextlib.suppress(ValueError, OSError):  # closed meanwhile: the child has ended
            while chunk := os.read(self._stream.fileno(), _TAIL):
                self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        while self._size - len(self._chunks[0]) >= _TAIL:
            self._size -= len(self._chunks.popleft())

    def close(self) -> None:
        """Read no more."""
        self._stream.close()

    def text(self) -> str:
        """What was kept."""
        return b"".join(self._chunks).decode(errors="replace")

    def last_line(self) -> str:
        """The last line that is not blank, cut to 200 characters."""
        lines = self.text().replace("\0", "\N{REPLACEMENT CHARACTER}").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


class SpawnedProcess:
    """A child that imports its libraries itself, in a program of its own."""

    def __init__(self, store: ArtifactStore, *, connection: int, output: int, threads: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [
                sys.executable,
                "-P",  # a file in the current folder shadows no module
                "-m",
                PROGRAM,
                str(connection),
                store.cache,
                str(store.cache_size),
                str(os.getpid()),
            ],
            pass_fds=[connection],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is the worker's to handle
            env={
                **os.environ,
                **library_environment(threads),
                "PYTHONUNBUFFERED": "1",
                "FAIRLEAD_ARTIFACTS": store.url,  # which may hold a password: arguments are public
            },
        )
        self.pid: int | None = self._process.pid

    def poll(self) -> int | None:
        """Its exit status (negative: the signal) once it has ended."""
        return self._process.poll()

    def wait(self, timeout: float) -> int | None:
        """Its exit status, waited for as long as this many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        return self._process.returncode

    def release(self) -> None:
        """Have nothing to do with it any more: it is killed if it has not ended."""
        self.kill()

    def kill(self) -> None:
        """Kill it with its process group, and wait for that."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Child:
    """A child process that executes one request at a time.

    Args:
        artifacts: URL of the artefact store.
        cache: Local copies of artefacts.
        threads: Of one fit.
        forkserver: The socket of a fork server, which is asked where it has as many threads.
    """

    def __init__(
        self, *, artifacts: str, cache: CacheFolder, threads: int, forkserver: str | None = None
    ) -> None:
        own_end, child_end = socket.socketpair()
        reading, writing = os.pipe()
        self._process = _started(
            ArtifactStore(url=artifacts, cache=cache.path, cache_size=cache.size),
            forkserver if threads == 1 else None,
            connection=child_end.fileno(),
            output=writing,
            threads=threads,
        )
        child_end.close()
        os.close(writing)
        self.threads = threads
        self.has_open: str | None = None  # id of the study that it has open
        self.closed = False  # its end of the connection; the process may still run
        self._socket = own_end
        self._socket.settimeout(0.0)
        self._read = b""
        self._answers: deque[Answer] = deque()
        self._told: FitProgressed | None = None
        self._notes: deque[Noted] = deque(maxlen=_NOTES)
        self._tail = Tail(FileIO(reading))

    def send(self, request: Request) -> None:
        """Send a request; where it cannot be sent, `closed` becomes true."""
        try:
            self._send(encode(request))
        except OSError:
            self._close()

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            message = message[self._socket.send(message) :]
        if message:  # more than the socket buffers: the child must read meanwhile
            self._socket.settimeout(_SEND)
            try:
                self._socket.sendall(message)
            finally:
                self._socket.settimeout(0.0)  # with a timeout, even MSG_DONTWAIT waits

    def wait(self, seconds: float, also: Sequence[int] = ()) -> None:
        """Wait for an answer, its end, or something on one of these file descriptors."""
        wait([self._socket, *also], timeout=seconds)

    def answer(self) -> Answer | None:
        """Its next answer, once it has arrived as a whole; never waits for the rest of one."""
        self.listen()
        return self._answers.popleft() if self._answers else None

    def listen(self) -> None:
        """Take what it has sent; of all that it tells of a fit the last is kept (see `newer`)."""
        self._receive()
        *lines, self._read = self._read.split(b"\n")
        for line in lines:
            try:
                message = decode(line)
            except (ValueError, KeyError, TypeError):
                self._close()  # something else wrote into the connection
                return
            if isinstance(message, FitProgressed):
                self._told = newer(self._told, message)
            elif isinstance(message, Noted):
                self._notes.append(message)
            elif not isinstance(message, Request):
                self._answers.append(message)

    def told(self) -> FitProgressed | None:
        """What it told last of a fit, once: with the last checkpoint of all that it told since."""
        told, self._told = self._told, None
        return told

    def notes(self) -> Sequence[Noted]:
        """What it noted since this was asked last: the last few lines."""
        notes = tuple(self._notes)
        self._notes.clear()
        return notes

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(0 if self.closed else _CHUNKS):
                chunk = self._receive_chunk()
                self._read += chunk
                if not chunk:
                    self._close()
                if len(chunk) < _CHUNK:
                    return  # no more for now; an end of the connection is seen next time

    def _receive_chunk(self) -> bytes:
        try:
            return self._socket.recv(_CHUNK)
        except ConnectionResetError:
            return b""

    def _close(self) -> None:
        """The connection has ended, most often with the child: wait a moment for its status."""
        self.closed = True
        self._process.wait(timeout=1.0)

    def exit_status(self) -> int | None:
        """Its exit status (negative: the signal); None while it runs."""
        return self._process.poll()

    def last_line(self) -> str:
        """The last line that it printed."""
        if self._process.poll() is not None:
            self._tail.join(timeout=1.0)
        return self._tail.last_line()

    def printed(self) -> str:
        """The end of all that it printed, once it has ended."""
        return self._tail.text()

    def memory(self) -> int | None:
        """Bytes of memory that it alone holds, without mapped files; None once it has ended."""
        import psutil

        if self._process.pid is None:  # still to be forked
            return None
        try:
            info = psutil.Process(self._process.pid).memory_info()
        except psutil.NoSuchProcess:
            return None
        return int(info.rss - getattr(info, "shared", 0))

    @property
    def forked(self) -> bool:
        """Whether a fork server forked it."""
        return isinstance(self._process, ForkedProcess)

    @property
    def refused(self) -> bool:
        """Whether the fork server ended without forking it."""
        return self._process.pid is None and self._process.poll() is not None

    def finish(self, seconds: float = 1.0) -> None:
        """Let it end by itself, as it does when nothing more can be asked of it, or kill it.

        Args:
            seconds: That it may take.
        """
        try:
            self._socket.close()
            self._process.wait(timeout=seconds)
            self._tail.join(timeout=1.0)
        finally:
            self._process.release()
            self._tail.close()

    def end(self) -> None:
        """Kill it at once, and release its connection and output."""
        self._process.kill()
        self._socket.close()
        self._tail.join(timeout=1.0)
        self._tail.close()


def newer(before: FitProgressed | None, told: FitProgressed) -> FitProgressed:
    """What is told of a fit, with the last checkpoint of what was told before by the attempt."""
    if before is None or before.token != told.token or told.progress.checkpoint is not None:
        return told
    kept = replace(told.progress, checkpoint=before.progress.checkpoint)
    return replace(told, progress=kept)


def _started(
    store: ArtifactStore, forkserver: str | None, *, connection: int, output: int, threads: int
) -> SpawnedProcess | ForkedProcess:
    if forkserver is not None:
        with contextlib.suppress(OSError):  # it has ended
            return ForkedProcess(forkserver, store, connection=connection, output=output)
    return SpawnedProcess(store, connection=connection, output=output, threads=threads)
