"""How workers are, told from their Jobs and pods as the API server shows them.

A pod is a worker, by its name. A Job that has no pod yet, or none any more and will have another,
is one that starts, by the name of the Job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod

from fairlead.kube.pod_status import DISRUPTED, condition, metadata_of, phase, pod_status
from fairlead.kube.pod_status import left as pod_left
from fairlead.runners.kubernetes_job import KUEUE_LABEL
from fairlead.runners.runner import WorkerStatus

_OVER = {"Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"}
"""Conditions of a Job that makes no pod any more."""


def statuses(
    jobs: Iterable[Job], pods: Sequence[Pod], *, refusals: Mapping[str, str], now: datetime
) -> list[WorkerStatus]:
    """Each worker of a group, as its Jobs and pods are.

    Args:
        jobs: Of the group.
        pods: Of the group.
        refusals: Why a Job of this uid makes no pod.
        now: The time.
    """
    told = [WorkerStatus(**asdict(pod_status(pod, now=now))) for pod in pods]
    without = jobs_without_pod(jobs, pods)
    return [*told, *(_unborn(job, refusals.get(str(metadata_of(job).uid), "")) for job in without)]


def jobs_without_pod(jobs: Iterable[Job], pods: Iterable[Pod]) -> list[Job]:
    """The Jobs that have yet to make a pod."""
    with_pod = {job_of(pod) for pod in pods if not _makes_room(pod)}
    return [job for job in jobs if _name(job) not in with_pod and not _is_over(job)]


def left(name: str) -> WorkerStatus:
    """How a worker is that was deleted before it ran."""
    return WorkerStatus(**asdict(pod_left(name)))


def vanished(before: WorkerStatus) -> WorkerStatus:
    """How a worker is whose pod was there, and is gone."""
    return WorkerStatus(
        name=before.name,
        state="ended",
        why="its pod was deleted",
        killed=True,
        seconds=before.seconds,
        log=before.log,
    )


def job_of(pod: Pod) -> str:
    """The name of the Job that made the pod."""
    return str((metadata_of(pod).labels or {}).get("batch.kubernetes.io/job-name", ""))


def _unborn(job: Job, refusal: str) -> WorkerStatus:
    queue = (metadata_of(job).labels or {}).get(KUEUE_LABEL)
    assert job.spec is not None
    if job.spec.suspend:
        why = (
            f"Kueue has not admitted it by the queue {queue!r} yet" if queue else "it is suspended"
        )
    else:
        why = f"its Job makes no pod: {refusal}" if refusal else ""
    return WorkerStatus(name=_name(job), state="starting", why=why)


def _makes_room(pod: Pod) -> bool:
    """Whether its Job makes another in its place."""
    disrupted = condition(pod, DISRUPTED)
    return phase(pod) == "Failed" and disrupted is not None and disrupted.status == "True"


def _is_over(job: Job) -> bool:
    conditions = (job.status.conditions if job.status else None) or ()
    over = any(one.type in _OVER and one.status == "True" for one in conditions)
    return over or metadata_of(job).deletionTimestamp is not None


def _name(job: Job) -> str:
    return metadata_of(job).name or ""
