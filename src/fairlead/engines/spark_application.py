"""An application of Spark that this process drives: a JVM beside it, and executors.

Python speaks to the JVM through Py4J. It ends with this process, as its executors do with it: its
standard input is a pipe from here. What it prints goes into a file, which errors name. A process
has one application at a time.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fairlead.engines.spark_conf import kind_of
from fairlead.engines.spark_jvm import (
    ApplicationPlan,
    end_jvm,
    end_of,
    forget_jvm,
    last_error,
    refuse_second,
    require_java,
    start_context,
    start_jvm,
)
from fairlead.errors import Failed, FairleadError, Unreachable

T = TypeVar("T")

_LACKS_EXECUTORS = ("ExecutorLostFailure", "BarrierJobSlotsNumberCheckFailed")
"""What Spark says of a job whose executor ended, or is not there again; it has no class for it."""
_LOST = 5
"""So often a job is repeated for that, each time after as many more of `_REPLACED` seconds."""
_REPLACED = 3.0
_LOOKED = 1.0
"""Seconds between two looks at the executors."""
_ENDING = 10.0
"""Seconds in which Spark ends by itself."""
_ANSWER = 5.0
"""Seconds in which a master answers."""
_SENTENCE = 300
"""Characters of what Spark says that are passed on."""
_JAVA = "install Java 17 or newer (on Debian: openjdk-17-jre-headless)"


@dataclass(frozen=True, kw_only=True)
class Executor:
    """A process of the application's, on whatever machine."""

    number: int
    host: str  # and its port
    active: bool
    why: str  # it is not active
    seconds: float  # for which it has been there
    logs: Mapping[str, str]  # addresses of what it printed, by the stream's name


class SparkApplication:
    """A running application.

    Args:
        plan: What to start.

    Raises:
        Invalid: PySpark or Java is not installed, or this process has another application.
        Failed: The JVM ended, or no executor came.
        Unreachable: The master did not answer.
    """

    def __init__(self, plan: ApplicationPlan) -> None:
        require_java(os.environ)
        refuse_second()
        reach(plan.master)
        began = time.monotonic()
        self._plan = plan
        self._home = Path(tempfile.mkdtemp(prefix="fairlead-spark-"))
        self._watch: _Watch | None = None
        self._gateway: Any = None
        self.context: Any = None
        try:
            self._start(began)
        except BaseException:
            self.stop()
            raise

    def _start(self, began: float) -> None:
        self._gateway = start_jvm(self._plan, self._home)
        self.tell(f"its JVM answers after {time.monotonic() - began:.1f} s")
        with self.faults("starting"):
            self.context = start_context(self._plan, self._gateway, self._home)
        self.tell(f"its context is there after {time.monotonic() - began:.1f} s")
        self.await_executors(1)
        seconds = time.monotonic() - began
        self.tell(f"its first executor is there after {seconds:.1f} s ({self.active()} by now)")
        self._watch = _Watch(self, self._plan.patience)

    def await_executors(self, count: int) -> None:
        """Wait until there are so many.

        Raises:
            Failed: A cluster of this machine does not give them.
            Unreachable: Another does not, or Spark has ended.
        """
        count = 1 if self._plan.kind == "local" else count
        deadline = time.monotonic() + self._plan.patience
        while self.active() < count:
            if time.monotonic() > deadline:
                raise self._without_executors(count)
            if not self._is_running():  # its master refuses it, or has removed it
                said = last_error(self._plan.log)
                raise Unreachable(
                    f"Spark ({self._plan.master}) ended before it gave an executor: {said}; its "
                    f"log is {self._plan.log}"
                )
            time.sleep(0.1)

    def _without_executors(self, count: int) -> FairleadError:
        error = Failed if self._plan.is_of_this_machine else Unreachable  # others may leave later
        few = f"gave {self.active()} of {count} executors in {self._plan.patience:g} s"
        return error(
            f"Spark ({self._plan.master}) {few}: look whether it has room for one of "
            f"{self._size()}; its log is {self._plan.log}"
        )

    def _size(self) -> str:
        conf = self._plan.conf
        cores, heap = conf.get("spark.executor.cores", "1"), conf.get("spark.executor.memory", "1g")
        return f"{cores} cores and {heap} + {conf.get('spark.executor.memoryOverhead', '384m')}"

    def tell(self, what: str) -> None:
        """Say something of it to whoever started it."""
        self._plan.notice(f"Spark ({self._plan.master}): {what}")

    # ---- executors

    def executors(self) -> Sequence[Executor]:
        """Those that are active, and those that were.

        Raises:
            Unreachable: Spark has ended.
        """
        with self.faults("asking for executors"):
            listed = self._jvm_context().statusStore().executorList(False)  # noqa: FBT003 - Java's: not the active ones alone
            every = [listed.apply(place) for place in range(listed.size())]
            only = "driver" if self._plan.kind == "local" else None  # which is the executor, too
            return [_executor(one) for one in every if one.id() == only or one.id().isdigit()]

    def active(self) -> int:
        """How many executors there are now."""
        return sum(executor.active for executor in self.executors())

    def seen_active(self) -> int:
        """How many there were a moment ago."""
        return self._watch.active if self._watch is not None else 0

    def session(self) -> Any:
        """A session for data frames."""
        from pyspark.sql import SparkSession

        return SparkSession(self.context)

    def is_elastic(self) -> bool:
        """Whether Spark adds and takes executors by itself."""
        return bool(self.context.getConf().get("spark.dynamicAllocation.enabled") == "true")

    # ---- jobs

    def run(self, collect: Callable[[], T]) -> T:
        """What a job of this application gives.

        Raises:
            Failed: It failed, however often it was tried.
            Unreachable: Spark has ended, or has had no executor for too long.
        """
        assert self._watch is not None
        lost = 0
        while True:
            try:
                with self._watch.working(), self.faults("computing"):
                    return collect()
            except Failed as error:  # a barrier stage of which some tasks had ended is not repeated
                lost += 1
                if lost > _LOST or not any(one in str(error) for one in _LACKS_EXECUTORS):
                    raise
                time.sleep(lost * _REPLACED)

    @contextlib.contextmanager
    def faults(self, doing: str) -> Iterator[None]:
        """Within it, what PySpark raises becomes one of our errors."""
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            yield
        except (Py4JError, PySparkException, OSError) as error:
            raise self._fault(doing, error) from error

    def _fault(self, doing: str, error: Exception) -> FairleadError:
        where = f"Spark ({self._plan.master})"
        if self._watch is not None and self._watch.gave_up:
            return Unreachable(
                f"{where} has had no executor for {self._plan.patience:g} s; the fit goes on from "
                "its checkpoint once there is one"
            )
        said = _sentence(error)
        if doing == "starting" or not self._is_running():
            return Unreachable(f"{doing}: {where} ended: {said}; its log is {self._plan.log}")
        return Failed(f"{doing}: {where}: {said}; its log is {self._plan.log}")

    def _is_running(self) -> bool:
        if self._gateway is None or self._gateway.proc.poll() is not None:
            return False
        try:
            return not self._jvm_context().isStopped()
        except Exception:  # noqa: BLE001 - whatever Py4J raises of a JVM that is gone
            return False

    def _jvm_context(self) -> Any:
        return self.context._jsc.sc()  # noqa: SLF001 - PySpark has no public way to the JVM's

    # ---- the end

    def log_of(self, executor: Executor, most: int) -> str:
        """The last bytes of what an executor printed, or where a person finds it."""
        folder = self._home / "work" / str(self.context.applicationId) / str(executor.number)
        if not folder.is_dir():
            return "\n".join(executor.logs.values()) or f"executor {executor.number}: no log"
        return "".join(end_of(folder / name, most) for name in ("stdout", "stderr"))

    def stop(self) -> None:
        """End its executors and its JVM; a JVM that does not end is killed."""
        if self._watch is not None:
            self._watch.end()
        if self._gateway is not None:
            ending = threading.Thread(target=self._end, daemon=True)
            ending.start()
            ending.join(_ENDING)
            end_jvm(self._gateway.proc)
            forget_jvm()
            self._gateway = None
        shutil.rmtree(self._home, ignore_errors=True)

    def _end(self) -> None:
        import warnings

        with contextlib.suppress(Exception), warnings.catch_warnings():  # it is killed after this
            warnings.simplefilter("ignore", RuntimeWarning)
            if self.context is not None:
                self.context.stop()
            self._gateway.shutdown()


class _Watch(threading.Thread):
    """Counts the executors now and then; a job is cancelled where there have been none for long."""

    def __init__(self, application: SparkApplication, patience: float) -> None:
        super().__init__(daemon=True, name="spark-executors")
        self.active = application.active()
        self.gave_up = False
        self._application = application
        self._patience = patience
        self._last = time.monotonic()
        self._busy = False
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        """Look until the application ends."""
        while not self._over.wait(_LOOKED):
            try:
                self._look()
            except FairleadError:  # whoever waits for a job is told by that
                self.active = 0
                return

    def _look(self) -> None:
        self.active = self._application.active()
        now = time.monotonic()
        if self.active or not self._busy:
            self._last = now
        elif now - self._last > self._patience:
            self.gave_up = True
            self._application.context.cancelAllJobs()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Within it a job is waited for."""
        self._busy, self.gave_up = True, False
        try:
            yield
        finally:
            self._busy = False

    def end(self) -> None:
        """Look no more."""
        self._over.set()


# ---- what it says ----------------------------------------------------------------------------


def _executor(summary: Any) -> Executor:
    reason, logs, number = summary.removeReason(), summary.executorLogs().iterator(), summary.id()
    addresses = {}
    while logs.hasNext():
        entry = logs.next()
        addresses[str(entry._1())] = str(entry._2())  # noqa: SLF001 - the fields of a Scala tuple
    return Executor(
        number=int(number) if number.isdigit() else 0,
        host=str(summary.hostPort()),
        active=bool(summary.isActive()),
        why=_one_line(str(reason.get())) if reason.isDefined() else "",
        seconds=max(0.0, time.time() - summary.addTime().getTime() / 1000),
        logs=addresses,
    )


def _sentence(error: Exception) -> str:
    """What Spark says of a fault, in a line."""
    java = getattr(error, "java_exception", None)
    text = str(error)
    if java is not None:
        with contextlib.suppress(Exception):  # its JVM may be gone: what Py4J says is enough
            text = str(java.toString())
    return _one_line(text.partition("\n\nDriver stacktrace")[0])


def _one_line(text: str) -> str:
    kept = [line for line in text.splitlines() if not re.match(r"\s+at |\s*$|Traceback", line)]
    return " ".join(" ".join(kept[:2]).split())[:_SENTENCE]


def reach(master: str) -> None:
    """Refuse a master that does not answer: Spark would wait for it for minutes.

    Raises:
        Unreachable: None of its addresses answers.
    """
    if kind_of(master) != "standalone":
        return
    addresses = master.removeprefix("spark://").split(",")
    if not any(_answers(address) for address in addresses):
        raise Unreachable(f"Spark's master {master!r} does not answer; is it running?")


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_ANSWER):
            return True
    except (OSError, ValueError):
        return False
