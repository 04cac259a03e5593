"""One serving process, seen from the supervisor.

Belongs here: starting it, telling it, hearing it, and its end. Does not: when (process_pool.py),
and what it does (serving/process.py).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fairlead.serving.plan import Message, Plan, Report, decode, encode
from fairlead.serving.start import VARIABLE, ProcessSettings, command
from fairlead.serving.start import encode as encode_settings

_READ = 1 << 16
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_ERRORS = 2  # standard error: what a library prints is no data


@dataclass(kw_only=True, eq=False)
class ServingProcess:
    """A serving process and our end of its channel, which never blocks."""

    child: subprocess.Popen[bytes]
    channel: socket.socket
    began: float
    plan: Plan | None = None  # the last that it was told
    tokens: tuple[str, ...] = ()  # of those whom it lets in
    report: Report | None = None  # the last that it made
    heard: float | None = None  # when it last said anything
    asked: int = 0  # its last question for the page for Prometheus that is not answered; 0: none
    _unsent: bytearray = field(default_factory=bytearray)
    _unread: bytes = b""

    @property
    def status(self) -> int | None:
        """How it ended; None while it lives."""
        return self.child.poll()

    @property
    def is_behind(self) -> bool:
        """Whether it has not taken in yet what it was told."""
        return bool(self._unsent)

    def tell(self, message: Message) -> None:
        """Say this, after all that was said before."""
        self._unsent += encode(message)
        self.send()

    def send(self) -> None:
        """Send what it takes at once; the rest is sent the next time."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while self._unsent:
                del self._unsent[: self.channel.send(self._unsent)]

    def hear(self) -> Sequence[Message]:
        """What it has said meanwhile."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while came := self.channel.recv(_READ):
                self._unread += came
        *lines, self._unread = self._unread.split(b"\n")
        return [decode(line) for line in lines]

    def kill(self) -> None:
        """End it at once."""
        self.child.kill()
        self.child.wait()

    def close(self) -> None:
        """Let go of its channel; a process that lives takes that for its supervisor's end."""
        self.channel.close()

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
    """Start one.

    Args:
        settings: The numbers of its files are given here.
        listening: It inherits this.
        now: The time.

    Raises:
        OSError: The system lets no more processes or files be.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            child = _child(settings, listening.fileno(), theirs.fileno())
        except BaseException:
            ours.close()
            raise
    ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return ServingProcess(child=child, channel=ours, began=now, tokens=settings.tokens)


def _child(settings: ProcessSettings, listening: int, channel: int) -> subprocess.Popen[bytes]:
    own = replace(settings, listen=(listening,), channel=channel)
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command(),
        env={**os.environ, **_ONE_THREAD, VARIABLE: encode_settings(own)},
        pass_fds=(listening, channel),
        stdin=subprocess.DEVNULL,
        stdout=_ERRORS,
        # Ctrl-C is the supervisor's to handle. A session of its own would keep it away, too, but
        # Linux shares the processor between sessions: each wake-up of the other's would cost more.
        process_group=0,
    )
