"""Ranks as executors of Spark: each step is a job, each of its parts a task.

The state is broadcast, tasks compute the parts, and the answers are collected in the order of
their partitions. Tasks are plain ones, so that Spark may add executors and take them (barrier tasks
refuse that: SPARK-24942) and computes anew what was lost with an executor. Only a round of local
steps is a barrier stage, where every share finds an executor of its own at once and none comes or
goes; it gives the same bits as plain tasks do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fairlead.engines.engine import GangRequest, RankStatus
from fairlead.engines.on_cluster import require_pod
from fairlead.engines.spark_application import Executor, SparkApplication, reach
from fairlead.engines.spark_conf import configuration, default_master, kind_of
from fairlead.engines.spark_jvm import ApplicationPlan
from fairlead.engines.spark_parts import PartAnswer, PartTask, encoded, raised
from fairlead.errors import Failed, Invalid, Unreachable
from fairlead.gang.work import FitJob, OpenComputation, Vector, Work

T = TypeVar("T")

_KEPT_LOG = 16 << 10
_PATIENCE = 300.0
"""Seconds without an executor: a cluster may start a machine for one."""


class SparkEngine:
    """Executors of Spark, for one gang at a time.

    Args:
        master: What runs them; a cluster of this machine if None.
        open_computation: Opens a fit in an executor's process, where its module must be installed.
        logs: Folder of what Spark prints; one for temporary files if None.
        patience: Seconds without an executor, after which a gang is given up.
        conf: Further configuration, which goes before any other.
        notice: Told how far the start of Spark is, in a line.
    """

    def __init__(  # noqa: PLR0913 - what Spark is started with
        self,
        *,
        master: str | None,
        open_computation: OpenComputation,
        logs: Path | None = None,
        patience: float = _PATIENCE,
        conf: Mapping[str, str] | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._master = master
        self._open_computation = open_computation
        self._logs = logs
        self._patience = patience
        self._conf = dict(conf or {})
        self._notice = notice
        self._key: str | None = None
        self._ranks = 0
        self._application: SparkApplication | None = None

    def start(self, gang: GangRequest) -> str:
        """Start Spark, and wait for the first executor; the others join as they come.

        Spark starts those again that end, so that nothing is left to do where it runs.

        Raises:
            Invalid: PySpark or Java is not installed, the master is none, or another gang is there.
            Failed: No executor came, or Spark ended as soon as it began.
            Unreachable: The master did not answer.
        """
        if self._key not in {None, gang.key}:
            raise Invalid(f"Spark has gang {self._key!r}: a process drives one at a time")
        if self._application is None:
            self._application = SparkApplication(self._plan(gang))
            self._key, self._ranks = gang.key, gang.ranks
        return gang.key

    def _plan(self, gang: GangRequest) -> ApplicationPlan:
        master = self._master or default_master(gang)
        folder = self._logs or Path(tempfile.gettempdir())
        folder.mkdir(parents=True, exist_ok=True)
        conf = {**configuration(gang, master), **self._conf}
        if kind_of(master) == "kubernetes":
            conf.update(_of_pods(gang, folder))
        return ApplicationPlan(
            conf=conf,
            log=folder / f"spark-{gang.key}.log",
            patience=self._patience,
            notice=self._notice,
        )

    def poll(self, handle: str) -> Sequence[RankStatus]:
        """Every executor, those included that ended.

        Raises:
            Unreachable: Spark has ended.
        """
        if self._application is None or handle != self._key:
            return ()
        return [_status(executor) for executor in self._application.executors()]

    def stop(self, handle: str) -> None:
        """End the executors and Spark."""
        if self._application is not None and handle == self._key:
            self._application.stop()
            self._application, self._key = None, None

    def logs(self, handle: str, rank: int) -> str:
        """The end of what an executor printed, or the address where it is."""
        if self._application is None or handle != self._key:
            return ""
        every = self._application.executors()
        found = next((executor for executor in every if executor.number == rank), None)
        return "" if found is None else self._application.log_of(found, _KEPT_LOG)

    def gang(self, handle: str, job: FitJob) -> SparkGang:
        """What computes the steps of this fit.

        Raises:
            Invalid: There is no such gang.
        """
        return SparkGang(
            application=self._running(handle),
            open_computation=self._open_computation,
            job=encoded(job),
        )

    def fit(self, handle: str, fit: Callable[[Any], T]) -> T:
        """What a library of Spark's gives, once all ranks are there.

        Args:
            handle: The gang.
            fit: Given a session of Spark.

        Raises:
            Invalid: There is no such gang.
            Failed: The fit failed, however often it was tried.
            Unreachable: Spark has ended, or does not give so many executors.
        """
        application = self._running(handle)
        application.await_executors(self._ranks)
        return application.run(lambda: fit(application.session()))

    def _running(self, handle: str) -> SparkApplication:
        if self._application is None or handle != self._key:
            raise Invalid(f"Spark has no gang {handle!r}: start it first")
        return self._application


def require_master(master: str | None, gang: GangRequest) -> None:
    """Refuse a master that has no executors for this gang, before Spark is started.

    Args:
        master: What runs them; a cluster of this machine if None.
        gang: The executors.

    Raises:
        Invalid: It is none, its workers are too small, or no pod of this process is its driver.
        Unreachable: It does not answer.
    """
    named = master or default_master(gang)
    configuration(gang, named)
    if kind_of(named) == "kubernetes":
        require_pod("spark")
    reach(named)


def _of_pods(gang: GangRequest, folder: Path) -> Mapping[str, str]:
    try:
        from fairlead.engines.spark_pods import prepare_executors
    except ImportError:
        raise Invalid(
            "train.master k8s:// needs a package: pip install 'fairlead[kubernetes]'",
            code="engine_not_installed",
        ) from None
    return prepare_executors(gang, folder)


def _status(executor: Executor) -> RankStatus:
    return RankStatus(
        rank=executor.number,
        state="running" if executor.active else "ended",
        why=executor.why,
        seconds=executor.seconds,
        log=executor.logs.get("stderr", ""),
    )


@dataclass(frozen=True, kw_only=True)
class SparkGang:
    """Computes the steps of one fit by jobs of Spark.

    Args:
        application: Runs them.
        open_computation: Opens the fit in an executor's process.
        job: The fit, as JSON.
    """

    application: SparkApplication
    open_computation: OpenComputation
    job: bytes

    def alive(self) -> int:
        """How many executors there are."""
        return self.application.seen_active()

    def compute(self, work: Work) -> Sequence[Vector]:
        """The answers to all parts, in the order of their numbers.

        Raises:
            Diverged: A part has no finite numbers.
            Failed: A part cannot be computed, or its processes end whoever tries it.
            Unreachable: Spark has ended, or has had no executor for too long.
        """
        context = self.application.context
        with self.application.faults("broadcasting the state"):
            state = context.broadcast(work.state.tobytes())
        try:
            answers = self._answers(work, state)
        finally:
            self._let_go(state)
        return _vectors(answers)

    def _answers(self, work: Work, state: Any) -> Sequence[PartAnswer]:
        task = PartTask(
            open_computation=self.open_computation,
            job=self.job,
            kind=work.kind,
            step=work.step,
            parts=work.parts,
            state=state,
        )
        rows = self.application.context.parallelize(range(work.parts), work.parts)
        if self._is_barrier(work):
            try:
                barrier = rows.barrier().mapPartitionsWithIndex(task)
                return self._collected(barrier.collect)
            except Failed as error:
                # An executor may have gone for good, and the stage finds no room at once.
                self.application.tell(f"step {work.step} goes on by plain tasks: {error}")
        return self._collected(rows.mapPartitionsWithIndex(task).collect)

    def _collected(self, collect: Callable[[], list[PartAnswer]]) -> Sequence[PartAnswer]:
        return self.application.run(collect)

    def _is_barrier(self, work: Work) -> bool:
        room = not self.application.is_elastic() and self.alive() >= work.parts
        return work.kind == "local_steps" and room

    def _let_go(self, state: Any) -> None:
        """Free what executors hold of a state that is of no more use."""
        try:
            with self.application.faults("letting a state go"):
                state.destroy()
        except (Failed, Unreachable):  # of a Spark that is gone nothing is left to free
            return


def _vectors(answers: Sequence[PartAnswer]) -> Sequence[Vector]:
    import numpy as np

    for _, fault, content in answers:
        if fault is not None:
            raise raised(fault, content.decode())
    in_order = sorted(answers, key=lambda answer: answer[0])
    return [np.frombuffer(content, np.float32) for _, _, content in in_order]
