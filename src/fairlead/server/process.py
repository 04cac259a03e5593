"""One serving process, as its supervisor sees it: a child and one end of a channel.

Messages (serving/plan.py) are lines over a socket pair that never blocks: what the process does not
take at once is sent later.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fairlead.server.stderr import StderrRelay
from fairlead.serving.plan import Message, Plan, Report, decode, encode
from fairlead.serving.settings import VARIABLE, ProcessSettings, command
from fairlead.serving.settings import encode as encode_settings

_READ = 1 << 16
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_STDERR = 2  # a child's standard output goes there: what a library prints is no data
_LAST_WORDS = 0.5  # seconds that passing on what a process wrote at its end may take


@dataclass(kw_only=True, eq=False)
class ServingProcess:
    """A serving process and this end of its channel."""

    child: subprocess.Popen[bytes]
    channel: socket.socket
    started_at: float
    plan: Plan | None = None  # the last that was sent
    plan_at: float = 0.0  # when it was
    tokens: tuple[str, ...] = ()  # that it accepts
    report: Report | None = None  # its last
    received_at: float | None = None  # when its last message came
    scrape: int = 0  # its last request for the Prometheus page that is not answered; 0: none
    stderr: StderrRelay | None = None  # where what it writes is put into lines
    _unsent: bytearray = field(default_factory=bytearray)
    _unread: bytes = b""

    @property
    def status(self) -> int | None:
        """How it ended; None while it lives."""
        return self.child.poll()

    @property
    def has_unsent(self) -> bool:
        """Whether it has not taken yet what was sent."""
        return bool(self._unsent)

    def send(self, message: Message) -> None:
        """Send this, after all that was sent before."""
        self._unsent += encode(message)
        self.flush()

    def flush(self) -> None:
        """Send what it takes at once; the rest is sent the next time."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while self._unsent:
                del self._unsent[: self.channel.send(self._unsent)]

    def receive(self) -> Sequence[Message]:
        """The messages that have come meanwhile."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while chunk := self.channel.recv(_READ):
                self._unread += chunk
        *lines, self._unread = self._unread.split(b"\n")
        return [decode(line) for line in lines]

    def kill(self) -> None:
        """End it at once."""
        self.child.kill()
        self.child.wait()

    def close(self) -> None:
        """Close its channel; a process that lives takes that for its supervisor's end."""
        self.channel.close()
        if self.stderr is not None:
            self.stderr.close(_LAST_WORDS)

    @property
    def end(self) -> str:
        """How it ended, in words."""
        status = self.child.returncode
        if status >= 0:
            return f"ended with status {status}"
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-status).name}"
        return f"was ended by signal {-status}"


def start_process(
    settings: ProcessSettings, listening: socket.socket, *, now: float
) -> ServingProcess:
    """Start a serving process.

    Args:
        settings: The numbers of its files are given here.
        listening: Inherited by it.
        now: The time.

    Raises:
        OSError: The system allows no more processes or files.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            child, stderr = _child(settings, listening.fileno(), theirs.fileno())
        except BaseException:
            ours.close()
            raise
    ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return ServingProcess(
        child=child, channel=ours, started_at=now, tokens=settings.tokens, stderr=stderr
    )


def _child(
    settings: ProcessSettings, listening: int, channel: int
) -> tuple[subprocess.Popen[bytes], StderrRelay | None]:
    """The process, and what reads its standard error, where that is not this program's own."""
    if settings.logging.form != "json":
        return _popen(settings, listening, channel, _STDERR), None
    source, sink = os.pipe()
    try:
        child = _popen(settings, listening, channel, sink)
    except BaseException:
        os.close(source)
        raise
    finally:
        os.close(sink)
    return child, StderrRelay(source, child.pid)


def _popen(
    settings: ProcessSettings, listening: int, channel: int, stderr: int
) -> subprocess.Popen[bytes]:
    own = replace(settings, listen=(listening,), channel=channel)
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command(),
        env={**os.environ, **_ONE_THREAD, VARIABLE: encode_settings(own)},
        pass_fds=(listening, channel),
        stdin=subprocess.DEVNULL,
        stdout=stderr,
        stderr=stderr,
        # Ctrl-C is the supervisor's to handle. A session of its own would keep it away, too, but
        # Linux shares the processor between sessions: each wake-up of the other's would cost more.
        process_group=0,
    )
