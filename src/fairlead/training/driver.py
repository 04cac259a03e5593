"""The gang of a driver: processes that share its fits, started for the first and kept for the next.

A process that drives fits has one gang, of the engine that the spec names. Starting ranks and
loading libraries takes longer than many a fit, so they stay for the fits that follow; once there
has been none for a while they end, since they hold cores and memory of a machine or a cluster.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fairlead.engines.engine import GANGS, Engine, GangRequest
from fairlead.engines.gang import EngineGang
from fairlead.families.family import PartedRows
from fairlead.gang.hub import Hub
from fairlead.gang.work import FitJob, Gang
from fairlead.spec.document import Train

if TYPE_CHECKING:
    from fairlead.engines.spark import SparkEngine
    from fairlead.families.family import Fitted
    from fairlead.training.prepare import Preparation

_LOG = logging.getLogger(__name__)

IDLE = 60.0
"""Seconds without a fit after which the processes end."""


@dataclass(frozen=True, kw_only=True)
class DriverSetting:
    """What the ranks of a driver are.

    Args:
        train: The spec's section.
        threads: Of each fit.
        artifacts: URL of the artefact store.
        logs: Folder of what ranks of this machine print.
        environ: Environment variables that reach the store from another machine.
        notice: Told in a line what a person should know of the ranks.
    """

    train: Train
    threads: int
    artifacts: str
    logs: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    notice: Callable[[str], None] = _LOG.warning


class Ranks(Protocol):
    """Processes that were started, and compute one fit after another."""

    def open(self, job: FitJob) -> Gang:
        """Have them compute this fit from now on."""
        ...


StartRanks = Callable[[DriverSetting, ExitStack], Ranks]
"""Starts them; what is to be done at their end is put on the stack."""


class GangDriver:
    """Opens fits in the gang of a process. A context manager that ends the gang.

    Args:
        setting: What its ranks are.
        start: Starts them.
        idle: Seconds without a fit after which they end.
    """

    def __init__(
        self, setting: DriverSetting, start: StartRanks | None = None, *, idle: float = IDLE
    ) -> None:
        self._setting = setting
        self._start = start or start_ranks
        self._idle = idle
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._ranks: Ranks | None = None
        self._timer: threading.Timer | None = None

    def open(self, job: FitJob) -> Gang:
        """The gang, which computes this fit from now on; it is started if it is not there.

        Raises:
            Invalid: The engine cannot run it, or is not installed.
            Failed: Ranks may not be started.
            Unreachable: The engine did not answer.
        """
        with self._lock:
            self._stay()
            if self._ranks is None:
                with ExitStack() as stack:
                    self._ranks = self._start(self._setting, stack)
                    self._stack = stack.pop_all()
            return self._ranks.open(job)

    def on_spark(
        self, job: FitJob, preparation: Preparation, fit: Callable[[PartedRows], Fitted]
    ) -> Fitted:
        """What a library of Spark's fits, on as many executors as there are ranks.

        Args:
            job: The fit, whose rows the executors read.
            preparation: Of these rows.
            fit: Fits them.

        Raises:
            Failed: The fit failed.
            Invalid, Unreachable: As for `open`.
        """
        with self._lock:
            self._stay()
            ranks = self._ranks
            if not isinstance(ranks, _SparkRanks) or ranks.is_elastic:
                self._end()
                with ExitStack() as stack:
                    self._ranks = ranks = _start_spark(self._setting, stack, elastic=False)
                    self._stack = stack.pop_all()
        from fairlead.engines.spark_parts import encoded
        from fairlead.training.spark_executor import read_rows

        read = partial(read_rows, encoded(job), preparation)
        return ranks.engine.fit(
            ranks.handle, lambda session: fit(PartedRows(session=session, read=read))
        )

    def rest(self) -> None:
        """No fit goes on: end the gang where none comes within a while."""
        with self._lock:
            self._stay()
            if self._ranks is not None:
                timer = threading.Timer(self._idle, lambda: self._end_idle(timer))
                timer.daemon = True
                self._timer = timer
                timer.start()

    def close(self) -> None:
        """End the gang; a fit that is opened later starts another."""
        with self._lock:
            self._stay()
            self._end()

    def _end_idle(self, timer: threading.Timer) -> None:
        with self._lock:
            if timer is self._timer:  # no fit was opened while it waited for the lock
                self._end()

    def _end(self) -> None:
        self._ranks = None
        self._stack.close()

    def _stay(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None


@dataclass(frozen=True, kw_only=True)
class _CallingRanks:
    """Ranks that call a hub."""

    gang: EngineGang

    def open(self, job: FitJob) -> Gang:
        self.gang.open(job)
        return self.gang


@dataclass(frozen=True, kw_only=True)
class _SparkRanks:
    """Executors of Spark, which are sent their tasks.

    Args:
        engine: Has them.
        handle: Of their gang.
        is_elastic: Whether Spark adds and takes some, so that no tasks can be sure to run at once.
    """

    engine: SparkEngine
    handle: str
    is_elastic: bool

    def open(self, job: FitJob) -> Gang:
        return self.engine.gang(self.handle, job)


def require_engine(train: Train, threads: int) -> None:
    """Refuse an engine that cannot be started from this machine.

    Args:
        train: The spec's section.
        threads: Of each fit.

    Raises:
        Invalid: Says what it needs.
        Unreachable: It does not answer.
    """
    if train.engine == "spark":
        from fairlead.engines.spark import require_master
        from fairlead.engines.spark_jvm import require_java

        require_java(os.environ)
        setting = DriverSetting(train=train, threads=threads, artifacts="", logs=Path())
        require_master(train.master, _request(setting, address="", secret=""))
    elif train.engine != "local":
        from fairlead.engines.on_cluster import require_pod

        require_pod(train.engine)


def start_ranks(setting: DriverSetting, stack: ExitStack) -> Ranks:
    """Start the ranks that the spec asks for, on its engine."""
    if setting.train.engine == "spark":
        return _start_spark(setting, stack, elastic=setting.train.most is not None)
    secret = secrets.token_urlsafe(32)
    engine, host = _engine(setting, stack)
    collective = setting.train.workers if setting.train.mode == "allreduce" else None
    hub = stack.enter_context(Hub(secret=secret, host=host, collective=collective))
    request = _request(setting, address=hub.address, secret=secret)
    gang = EngineGang(engine, request, hub, notice=setting.notice)
    return _CallingRanks(gang=stack.enter_context(gang))


def _start_spark(setting: DriverSetting, stack: ExitStack, *, elastic: bool) -> _SparkRanks:
    from fairlead.engines.spark import SparkEngine
    from fairlead.training.spark_executor import open_fit

    engine = SparkEngine(
        master=setting.train.master,
        open_computation=open_fit,
        logs=setting.logs,
        notice=setting.notice,
    )
    request = _request(setting, address="", secret=secrets.token_hex(32))
    handle = engine.start(request if elastic else replace(request, most=0))
    stack.callback(engine.stop, handle)
    return _SparkRanks(engine=engine, handle=handle, is_elastic=elastic)


def _request(setting: DriverSetting, *, address: str, secret: str) -> GangRequest:
    train = setting.train
    return GangRequest(
        key=f"{GANGS}{secrets.token_hex(5)}",
        ranks=train.workers,
        most=train.most or 0,
        address=address,
        secret=secret,
        artifacts=setting.artifacts,
        environ=setting.environ,
        threads=setting.threads,
        cores=train.resources.cpu,
        memory=train.resources.memory,
        collective=train.mode == "allreduce",
    )


def _engine(setting: DriverSetting, stack: ExitStack) -> tuple[Engine, str]:
    """The engine, and the address on which its ranks reach this process."""
    if setting.train.engine == "local":
        from fairlead.engines.local import LocalEngine

        return LocalEngine(logs=setting.logs, notice=setting.notice), "127.0.0.1"
    from fairlead.engines.on_cluster import engine_on_cluster

    placed = engine_on_cluster(setting.train.engine, elastic=setting.train.most is not None)
    return stack.enter_context(placed.engine), placed.host
