"""Workers as actors of a Ray cluster: one detached, named actor for each.

Ray finds a place for each, and machines where it has an autoscaler of its own; it never starts one
again, and never ends one: how many there are to be is decided by whoever asks here. The actors of a
group are in a namespace of its key, so that every process finds them, and who takes over from a
process that died goes on with them.

The cluster is spoken to by a process (`ray_driver.py`), which is started again where it ends.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from typing import IO, Self

import msgspec

from fairlead.errors import Failed, Unreachable
from fairlead.runners.ray_driver import (
    KINDS,
    Answer,
    Asked,
    Ensure,
    Leave,
    Logs,
    Look,
    Remove,
)
from fairlead.runners.ray_supervisor import UNASKED
from fairlead.runners.runner import WorkerGroup, WorkerStatus

_CONNECTED = 150.0
"""Seconds in which a connection must be there; 40 were seen, and 90 through Ray Client."""
_TOLD, _CHANGED = 30.0, 60.0
"""Seconds in which it must say how workers are, and have started or ended some."""
_REFUSED = "InvalidAuthToken"
"""What Ray prints of a wrong token, and raises nothing for."""


class RayRunner:
    """Actors of a Ray cluster. A context manager that ends the connection, and no worker.

    Args:
        address: `auto` for the cluster of this machine (or $RAY_ADDRESS), HOST:PORT on a machine
            of the cluster, ray://HOST:PORT from anywhere (Ray Client).
        unasked: Seconds after which workers that nobody asks for leave.
    """

    def __init__(self, address: str = "auto", *, unasked: float = UNASKED) -> None:
        self._address = address
        self._unasked = unasked
        self._driver: _Driver | None = None

    @property
    def detached(self) -> bool:
        """Others find them by the key of their group."""
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def ensure(self, group: WorkerGroup, count: int) -> None:
        """Start as many actors as the group lacks of `count` that have not ended."""
        self._ask(Ensure(group=group, count=count))

    def look(self, key: str) -> Sequence[WorkerStatus]:
        """Every worker that is alive, and those whose end this runner saw."""
        return self._ask(Look(key=key)).workers

    def leave(self, key: str, workers: Collection[str]) -> None:
        """Take back the actors that have found no place yet."""
        self._ask(Leave(key=key, workers=list(workers)))

    def remove(self, key: str) -> None:
        """End every worker of the group, and its actor."""
        self._ask(Remove(key=key))

    def logs(self, key: str, worker: str) -> str:
        """What the worker printed last; of one whose actor died, why that was."""
        return self._ask(Logs(key=key, worker=worker)).text

    def _ask(self, asked: Asked) -> Answer:
        if self._driver is None:
            self._driver = _Driver(self._address, self._unasked)
        try:
            answer = self._driver.ask(asked)
        except BaseException:
            self._close()
            raise
        if answer.error:
            if KINDS[answer.kind] is Unreachable:
                self._close()  # a cluster that was started anew refuses this connection for ever
            raise KINDS[answer.kind](answer.error, code=answer.code)
        return answer

    def _close(self) -> None:
        if self._driver is not None:
            self._driver.end()
            self._driver = None


class _Driver:
    """The process that is connected; it has ended or is to be ended after any error here."""

    def __init__(self, address: str, unasked: float) -> None:
        self._address = address
        self._noise: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", "fairlead.runners.ray_driver", address, str(unasked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
            start_new_session=True,  # Ctrl-C is the caller's to handle
        )
        self._left = b""
        self._is_connected = False

    def ask(self, asked: Asked) -> Answer:
        if not self._is_connected:
            hello = self._answer(_CONNECTED)
            if hello.error and _REFUSED in self._noisily():
                raise Failed(
                    f"Ray cluster {self._address!r} does not let us in: the token is missing or "
                    "wrong; see $RAY_AUTH_MODE and $RAY_AUTH_TOKEN",
                    code="ray_refused",
                )
            if hello.error:
                raise KINDS[hello.kind](hello.error, code=hello.code)
            self._is_connected = True
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(asked) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._lost() from None
        return self._answer(_CHANGED if isinstance(asked, Ensure | Remove) else _TOLD)

    def _answer(self, seconds: float) -> Answer:
        assert self._process.stdout is not None
        output, deadline = self._process.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self._left:
            if not select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise Unreachable(
                    f"Ray cluster {self._address!r} has not answered for {seconds:.0f} s"
                )
            if not (part := os.read(output, 1 << 16)):
                raise self._lost()
            self._left += part
        line, _, self._left = self._left.partition(b"\n")
        return msgspec.json.decode(line, type=Answer)

    def _lost(self) -> Unreachable:
        lines = self._noisily().split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no reason")
        return Unreachable(f"Ray cluster {self._address!r}: the connection ended: {last[:300]}")

    def _noisily(self) -> str:
        """What Ray printed."""
        self._noise.seek(0)
        return self._noise.read().decode(errors="replace")

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._noise.close()
