"""Requests as fast as they are answered, and requests at a given rate.

As fast as they are answered, it is wrk: it takes the least of the two cores that it shares with the
server. At a given rate it is the loop below, because wrk waits for a slow answer before it asks
again and so leaves out the very requests that would have waited. Here requests fall due at random
times, as those of independent clients do (a Poisson process), and a request's latency counts from
when it was due, also while every connection was busy.
"""

from __future__ import annotations

import ctypes
import gc
import random
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_HEAD_ENDS = b"\r\n\r\n"
_LENGTH = b"content-length:"
_PR_SET_TIMERSLACK = 29
_REPORT = """
function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format("RESULT %d %f %f %f %f %d\\n", summary.requests,
    (summary.requests - failed.status) / (summary.duration / 1e6), latency:percentile(50) / 1e6,
    latency:percentile(99) / 1e6, latency.max / 1e6,
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
"""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request that is sent again and again to this machine."""

    port: int
    path: str
    body: bytes

    def wire(self) -> bytes:
        """Its bytes."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured. Seconds; `rate` is of good answers a second."""

    answers: int
    rate: float
    p50: float
    p99: float
    worst: float
    errors: int


def full(request: Request, *, connections: int, seconds: float) -> Figures:
    """As fast as this many kept connections are answered."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        script.write_bytes(_script(request.body))
        output = subprocess.run(
            [
                _wrk(),
                "--threads=1",
                f"--connections={connections}",
                f"--duration={seconds:.0f}s",
                "--timeout=30s",
                f"--script={script}",
                f"http://127.0.0.1:{request.port}{request.path}",
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    return _parsed(output)


def paced(
    request: Request, *, rate: float, connections: int, seconds: float, seed: int = 0
) -> Figures:
    """At random times, `rate` a second on average, over this many kept connections."""
    with _exact_timers(), _opened(request.port, connections) as sockets:
        pace = _Pace(wire=request.wire(), due=_due(rate, seconds, seed), idle=deque(sockets))
        pace.run(deadline=seconds + 30)
    return pace.figures()


def _wrk() -> str:
    found = shutil.which("wrk")
    if found is None:
        sys.exit("wrk is not installed: get it from your distribution (apt-get install wrk)")
    return found


def _script(body: bytes) -> bytes:
    head = b'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
    return head + b"wrk.body = [==[" + body + b"]==]\n" + _REPORT.encode()


def _parsed(output: str) -> Figures:
    (line,) = (line for line in output.splitlines() if line.startswith("RESULT "))
    answers, rate, p50, p99, worst, errors = (float(word) for word in line.split()[1:])
    return Figures(
        answers=int(answers), rate=rate, p50=p50, p99=p99, worst=worst, errors=int(errors)
    )


def _due(rate: float, seconds: float, seed: int) -> deque[float]:
    """When requests fall due, in seconds from the start."""
    chance = random.Random(seed)
    times: deque[float] = deque()
    at = chance.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += chance.expovariate(rate)
    return times


@dataclass
class _Pace:
    """Sends each request when it is due, or as soon after as a connection is free.

    It shares the processor with what it measures, so it does as little as it can: an answer as long
    as the one before is taken to be whole.
    """

    wire: bytes
    due: deque[float]
    idle: deque[socket.socket]
    asked: dict[int, tuple[socket.socket, float]] = field(default_factory=dict)  # and when due
    partial: dict[int, bytes] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    ended: float = 0.0
    whole: int = 0  # bytes of the last answer

    def run(self, *, deadline: float) -> None:
        """Until every request is answered."""
        with select.epoll() as arriving:
            for connection in self.idle:
                arriving.register(connection.fileno(), select.EPOLLIN)
            started = time.perf_counter()
            while self.due or self.asked:
                now = time.perf_counter() - started
                if now > deadline:
                    raise TimeoutError(f"{len(self.due)} requests are to be sent at {now:.0f} s")
                self._send(now)
                for number, _ in arriving.poll(self._patience(now)):
                    self._receive(number, started)
            self.ended = time.perf_counter() - started

    def figures(self) -> Figures:
        """What came of it."""
        ordered = sorted(self.latencies)
        return Figures(
            answers=len(ordered),
            rate=(len(ordered) - self.errors) / self.ended,
            p50=ordered[len(ordered) // 2],
            p99=ordered[int(len(ordered) * 0.99)],
            worst=ordered[-1],
            errors=self.errors,
        )

    def _send(self, now: float) -> None:
        while self.due and self.due[0] <= now and self.idle:
            connection = self.idle.popleft()
            connection.send(self.wire)
            self.asked[connection.fileno()] = (connection, self.due.popleft())

    def _patience(self, now: float) -> float:
        """Seconds until the next request can be sent; an answer may come before."""
        return max(0.0, self.due[0] - now) if self.due and self.idle else 1.0

    def _receive(self, number: int, started: float) -> None:
        connection, due = self.asked[number]
        received = connection.recv(1 << 16)
        if not received:
            raise ConnectionError("the server closed a connection that it had promised to keep")
        answer = self.partial.pop(number, b"") + received
        if len(answer) != self.whole and len(answer) < _length(answer):
            self.partial[number] = answer
            return
        del self.asked[number]
        self.whole = len(answer)
        self.idle.append(connection)
        self.latencies.append(time.perf_counter() - started - due)
        self.errors += not answer.startswith(b"HTTP/1.1 200")


def _length(answer: bytes) -> int:
    """Bytes of the whole answer; more than there are while its head is not whole."""
    end = answer.find(_HEAD_ENDS)
    if end < 0:
        return len(answer) + 1
    head = answer[:end].lower()
    at = head.index(_LENGTH) + len(_LENGTH)
    stop = head.find(b"\r", at)
    return end + len(_HEAD_ENDS) + int(head[at : stop if stop >= 0 else end])


@contextmanager
def _opened(port: int, connections: int) -> Iterator[Sequence[socket.socket]]:
    sockets = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(connections)]
    try:
        for one in sockets:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sockets
    finally:
        for one in sockets:
            one.close()


@contextmanager
def _exact_timers() -> Iterator[None]:
    """No garbage collection, and timers that are not rounded by Linux's 50 microseconds."""
    gc.disable()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1000, 0, 0, 0)
    try:
        yield
    finally:
        gc.enable()
