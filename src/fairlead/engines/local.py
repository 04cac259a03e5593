"""Ranks as processes of this machine.

They end with this process, however it ends. A thread looks at them: one that holds more memory than
it may, or stays stopped (SIGSTOP), is killed, and the file of what it prints is kept short.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias

from fairlead.engines.engine import GANGS, PARENT, PROGRAM, RANK, GangRequest, RankStatus
from fairlead.errors import Failed, described
from fairlead.formatting import size

_LOG = logging.getLogger(__name__)

Process: TypeAlias = subprocess.Popen[bytes]

STOPPED = 60.0
"""Seconds that a rank may be stopped before it is killed."""
_LOOK = 0.2
"""Seconds between two looks at the ranks."""
_MOST_LOG = 4 << 20
"""Bytes that the log of a rank may have; of a longer one the end is kept."""
_KEPT_LOG = 256 << 10


@dataclass(kw_only=True, eq=False)
class _Rank:
    """One process, and what is known of it."""

    number: int
    process: Process
    log: Path
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None  # when that was seen
    stopped: float | None = None  # since when it is seen to be stopped
    reason: str = ""  # why this engine killed it
    at_fault: bool = False  # whether that was for what it did itself

    def has_ended(self) -> bool:
        if self.ended is None and self.process.poll() is not None:
            self.ended = time.monotonic()
        return self.ended is not None

    def kill(self, reason: str = "", *, at_fault: bool = False) -> None:
        if self.has_ended():  # its number may be that of another process by now
            return
        if not self.reason:
            self.reason, self.at_fault = reason, at_fault
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def status(self) -> RankStatus:
        has_ended = self.has_ended()
        stuck = "stopped by SIGSTOP" if self.stopped is not None and not has_ended else ""
        code = self.process.returncode
        return RankStatus(
            rank=self.number,
            state="ended" if has_ended else "stuck" if stuck else "running",
            why=self.reason or (f"status {code}" if has_ended else stuck),
            killed=not self.at_fault and code == -signal.SIGKILL,
            seconds=(self.ended or time.monotonic()) - self.started,
            log=str(self.log),
        )


@dataclass(kw_only=True, eq=False)
class _Gang:
    request: GangRequest
    ranks: dict[int, _Rank] = field(default_factory=dict)  # the last of each number


class LocalEngine:
    """Processes of this machine.

    Args:
        logs: Folder of what they print.
        stopped: Seconds that a rank may be stopped (SIGSTOP) before it is killed.
        notice: Told in a line, by another thread, what keeps ranks from being looked after.
    """

    def __init__(
        self,
        *,
        logs: Path,
        stopped: float = STOPPED,
        notice: Callable[[str], None] = _LOG.warning,
    ) -> None:
        self._logs = logs
        self._notice = notice
        self._fault = ""  # that was told last
        self._stopped = stopped
        self._gangs: dict[str, _Gang] = {}
        self._lock = threading.Lock()
        self._watchdog: threading.Thread | None = None

    def start(self, gang: GangRequest) -> str:
        """Start the ranks that are not there; the thread that asks is to outlive them.

        Raises:
            Failed: Their logs cannot be written, or no process can be started.
        """
        with self._lock:
            if gang.key not in self._gangs:
                _drop_empty(self._logs)
            kept = self._gangs.setdefault(gang.key, _Gang(request=gang))
            kept.request = gang
            for number in range(gang.ranks):
                if _is_lacking(kept, number):
                    kept.ranks[number] = self._started(gang, number)
            self._watch()
        return gang.key

    def poll(self, handle: str) -> Sequence[RankStatus]:
        """Every rank of the gang, by its number."""
        with self._lock:
            gang = self._gangs.get(handle)
            return [gang.ranks[number].status() for number in sorted(gang.ranks)] if gang else []

    def stop(self, handle: str) -> None:
        """Kill every rank; what they printed is kept."""
        with self._lock:
            gang = self._gangs.pop(handle, None)
        if gang is None:
            return
        for rank in gang.ranks.values():
            rank.kill()
        for rank in gang.ranks.values():
            rank.process.wait()
            _drop_if_empty(rank.log)

    def logs(self, handle: str, rank: int) -> str:
        """The end of what the rank printed."""
        with self._lock:
            gang = self._gangs.get(handle)
        one = gang.ranks.get(rank) if gang else None
        return one.log.read_text(errors="replace") if one and one.log.exists() else ""

    def _started(self, gang: GangRequest, number: int) -> _Rank:
        log = self._logs / f"{gang.key}-{number}.log"
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            with _held(log) as output:
                return _Rank(
                    number=number, process=_spawned(gang, number, output.fileno()), log=log
                )
        except OSError as error:
            raise Failed(
                f"starting rank {number} of a gang with its log in {str(self._logs)!r}: "
                f"{error.strerror or error}; check who owns the folder, and how many processes "
                "may run"
            ) from error

    def _watch(self) -> None:
        if self._watchdog is None:
            self._watchdog = threading.Thread(target=self._run, name="ranks", daemon=True)
            self._watchdog.start()

    def _run(self) -> None:
        """Look at the ranks for as long as there are any."""
        while True:
            time.sleep(_LOOK)
            with self._lock:
                if not self._gangs:
                    self._watchdog = None
                    return
                faults = [one for gang in self._gangs.values() for one in self._look(gang)]
            self._tell(faults[0] if faults else "")

    def _tell(self, fault: str) -> None:
        """Tell of a fault, and not again as long as it is the same."""
        if fault not in {"", self._fault}:
            self._notice(f"looking after ranks: {fault}; trying again")
        self._fault = fault

    def _look(self, gang: _Gang) -> Iterator[str]:
        """Look at the ranks of a gang; what went wrong with which of them."""
        alive = [rank for rank in gang.ranks.values() if not rank.has_ended()]
        for rank in alive:
            try:
                _kill_if_large(rank, gang.request.memory)
                self._kill_if_stopped(rank)
                _shorten(rank.log)
            except Exception as error:  # noqa: BLE001 - it is told, and must not end the looking
                yield f"rank {rank.number} of gang {gang.request.key}: {described(error)}"
        if gang.request.collective and len(alive) < len(gang.ranks):
            for rank in alive:
                rank.kill("another rank of its gang ended")

    def _kill_if_stopped(self, rank: _Rank) -> None:
        now = time.monotonic()
        rank.stopped = (rank.stopped or now) if _is_stopped(rank.process) else None
        if rank.stopped is not None and now - rank.stopped > self._stopped:
            rank.kill(f"stopped by SIGSTOP for {self._stopped:g} s", at_fault=True)


def _is_lacking(gang: _Gang, number: int) -> bool:
    before = gang.ranks.get(number)
    return before is None or (before.has_ended() and number not in gang.request.resting)


def _spawned(gang: GangRequest, number: int, output: int) -> Process:
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", *PROGRAM],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C is the driver's to handle
        env={
            **os.environ,
            **gang.variables(),
            RANK: str(number),
            PARENT: str(os.getpid()),
            "PYTHONUNBUFFERED": "1",
        },
    )


def _kill_if_large(rank: _Rank, limit: int) -> None:
    used = sum(_memory(rank.process))
    if used > limit:
        rank.kill(
            f"it held {size(used)} of memory, and may hold {size(limit)} (train.resources.memory)",
            at_fault=True,
        )


def _memory(process: Process) -> Iterator[int]:
    """Bytes of memory that a process alone holds, without mapped files; none once it has ended."""
    import psutil

    with suppress(psutil.Error):
        info = psutil.Process(process.pid).memory_info()
        yield int(info.rss - getattr(info, "shared", 0))


def _is_stopped(process: Process) -> bool:
    import psutil

    with suppress(psutil.Error):
        return bool(psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    return False


def _shorten(log: Path) -> None:
    """Keep the end of a log that has become long; the process goes on to write at its end."""
    with suppress(FileNotFoundError), log.open("r+b") as content:
        if content.seek(0, os.SEEK_END) > _MOST_LOG:
            content.seek(-_KEPT_LOG, os.SEEK_END)
            end = content.read()
            content.seek(0)
            content.truncate()
            content.write(end)


def _held(log: Path) -> BinaryIO:
    """The log, opened, and locked for as long as a process has it as its output."""
    while True:
        output = log.open("ab")
        fcntl.flock(output, fcntl.LOCK_SH)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(output.fileno()), log.stat()):
                return output
        output.close()  # removed as an empty one before it was locked


def _drop_empty(logs: Path) -> None:
    """Remove the empty logs of ranks that are gone: who killed a driver has removed none."""
    for log in logs.glob(f"{GANGS}*.log"):
        with suppress(OSError), log.open("ab") as output:  # another removes it, or a rank has it
            fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _drop_if_empty(log)


def _drop_if_empty(log: Path) -> None:
    if log.is_file() and log.stat().st_size == 0:
        log.unlink()
