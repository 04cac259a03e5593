"""Workers as pods of a Kubernetes cluster: a Job of one pod for each.

All of a group is found by its label, so that every process finds it, and who takes over from a
process that died goes on with it. Jobs are numbered, and each number is a name: of two processes
that add workers at once one is refused, looks again, and adds what is then lacking. Nothing is
ever scaled down: workers are asked through the ledger to leave, or are deleted before they start,
so that no controller chooses which task is lost.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Self

from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Event, Pod, Secret

from fairlead.errors import Conflict, Failed
from fairlead.kube.client import Cluster
from fairlead.kube.place import KubernetesPlace
from fairlead.kube.pod_status import refusals
from fairlead.kube.pods import GROUP_LABEL
from fairlead.runners.kubernetes_job import (
    group_secret,
    number_of,
    refuse_group,
    worker_job,
)
from fairlead.runners.kubernetes_status import (
    job_of,
    jobs_without_pod,
    left,
    statuses,
    vanished,
)
from fairlead.runners.runner import WorkerGroup, WorkerStatus

_TRIES = 20
"""So often another process may be faster."""
_LINES = 1000
"""Lines of a log that are shown."""
_AT_ONCE = 1
"""Seconds that a pod has that is removed: with none, its processes may outlive it."""
_GONE = 60.0
"""Seconds in which all is gone once it is removed."""
_OFTEN = 0.2
"""Seconds between two looks at it."""


class KubernetesRunner:
    """Pods of a cluster. A context manager that ends the connection, and no worker.

    Args:
        place: Where they run.

    Raises:
        Invalid: There is no kubeconfig that can be used.
    """

    def __init__(self, place: KubernetesPlace) -> None:
        self._place = place
        self._cluster = Cluster(context=place.context, namespace=place.namespace)
        self._alive: dict[str, dict[str, WorkerStatus]] = {}  # pods as of the last look
        self._gone: dict[str, dict[str, WorkerStatus]] = {}  # pods that vanished alive

    @property
    def detached(self) -> bool:
        """Others find them by the key of their group."""
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.__exit__()

    def ensure(self, group: WorkerGroup, count: int) -> None:
        """Create as many Jobs as the group lacks of `count` workers that have not ended."""
        refuse_group(group, self._place)
        for _ in range(_TRIES):
            jobs, pods = self._found(group.key)
            now = statuses(jobs, pods, refusals={}, now=datetime.now(UTC))
            lacking = count - sum(worker.alive for worker in now)
            if lacking <= 0 or self._created(group, jobs, lacking):
                return
        raise Conflict(
            f"workers of {group.key!r}: others added some {_TRIES} times while this process did"
        )

    def look(self, key: str) -> Sequence[WorkerStatus]:
        """Every worker that is alive, and those that ended whose Jobs are kept."""
        jobs, pods = self._found(key)
        unborn = jobs_without_pod(jobs, pods)
        refused = refusals(self._warnings()) if unborn else {}
        workers = statuses(jobs, pods, refusals=refused, now=datetime.now(UTC))
        return [*workers, *self._vanished(key, {one.name: one for one in workers}, unborn)]

    def leave(self, key: str, workers: Collection[str]) -> None:
        """Delete the Jobs of those that have not started.

        One that starts meanwhile is asked to end by its node, and has its time for a task.
        """
        jobs, pods = self._found(key)
        made = {pod.metadata.name: job_of(pod) for pod in pods if pod.metadata}
        for worker in statuses(jobs, pods, refusals={}, now=datetime.now(UTC)):
            job = made.get(worker.name, worker.name)
            if worker.state == "starting" and {worker.name, job}.intersection(workers):
                self._cluster.delete(Job, job)
                if worker.name in made:
                    self._gone.setdefault(key, {})[worker.name] = left(worker.name)

    def remove(self, key: str) -> None:
        """Delete all of the group, and wait until its pods are gone."""
        deadline = time.monotonic() + _GONE
        while left_over := self._removed(key):
            if time.monotonic() > deadline:
                raise Failed(
                    f"Kubernetes: {left_over} Jobs and pods of {key!r} in namespace "
                    f"{self._cluster.namespace!r} are still there after {_GONE:.0f} s"
                )
            time.sleep(_OFTEN)
        self._cluster.delete(Secret, key)
        self._alive.pop(key, None)
        self._gone.pop(key, None)

    def logs(self, key: str, worker: str) -> str:  # noqa: ARG002 - its name is enough
        """What the worker printed last, while its pod is there."""
        return self._cluster.log(worker, lines=_LINES)

    def _found(self, key: str) -> tuple[list[Job], list[Pod]]:
        """The Jobs, then the pods: of a Job that is seen, no pod is missed."""
        labels = {GROUP_LABEL: key}
        return self._cluster.list(Job, labels=labels), self._cluster.list(Pod, labels=labels)

    def _removed(self, key: str) -> int:
        """Have all be deleted; how many are still there."""
        jobs, pods = self._found(key)
        for metadata in (job.metadata for job in jobs):
            if metadata and metadata.name and metadata.deletionTimestamp is None:
                self._cluster.delete(Job, metadata.name)
        for metadata in (pod.metadata for pod in pods):
            if metadata and metadata.name and metadata.deletionGracePeriodSeconds != _AT_ONCE:
                self._cluster.delete(Pod, metadata.name, grace=_AT_ONCE)
        return len(jobs) + len(pods)

    def _created(self, group: WorkerGroup, jobs: Sequence[Job], lacking: int) -> bool:
        """Whether so many could be created; False where another process was faster."""
        self._cluster.apply(group_secret(group))
        numbers = [number_of(job.metadata.name or "") for job in jobs if job.metadata]
        first = max(numbers, default=0) + 1
        try:
            for number in range(first, first + lacking):
                self._cluster.create(worker_job(group, self._place, number))
        except Conflict:
            return False
        return True

    def _warnings(self) -> list[Event]:
        """What controllers of Jobs complain of."""
        return self._cluster.list(Event, fields={"involvedObject.kind": "Job", "type": "Warning"})

    def _vanished(
        self, key: str, workers: dict[str, WorkerStatus], unborn: Sequence[Job]
    ) -> list[WorkerStatus]:
        """Those that were alive when this process looked last, and are not there any more."""
        gone = self._gone.setdefault(key, {})
        before = self._alive.get(key, {})
        gone.update({name: vanished(one) for name, one in before.items() if name not in workers})
        names = {job.metadata.name for job in unborn if job.metadata}
        alive = {name: one for name, one in workers.items() if one.alive and name not in names}
        if alive or gone:
            self._alive[key] = alive
        return [one for name, one in gone.items() if name not in workers]
