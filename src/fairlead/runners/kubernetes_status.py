"""How workers are, told from their Jobs and pods as the API server shows them.

A pod is a worker, by its name. A Job that has no pod yet, or none any more and will have another,
is one that starts, by the name of the Job.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from lightkube.models.core_v1 import (
    ContainerState,
    ContainerStateTerminated,
    PodCondition,
)
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Event, Pod

from fairlead.formatting import cores, in_a_line, size
from fairlead.kube.quantities import amount
from fairlead.runners.kubernetes_job import DISRUPTED, KUEUE_LABEL
from fairlead.runners.runner import WorkerStatus

_OVER = {"Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"}
"""Conditions of a Job that makes no pod any more."""
_STARTS = {"ContainerCreating", "PodInitializing"}
"""Reasons for which the container of every pod waits for a moment."""
_PULLS = {"ErrImagePull", "ImagePullBackOff"}
_OF_SIGNALS = 128  # exit codes above are numbers of signals


def statuses(
    jobs: Iterable[Job], pods: Sequence[Pod], *, refusals: Mapping[str, str], now: datetime
) -> list[WorkerStatus]:
    """Each worker of a group, as its Jobs and pods are.

    Args:
        jobs: Of the group.
        pods: Of the group.
        refusals: Why a Job of this name makes no pod.
        now: The time.
    """
    told = [pod_status(pod, now=now) for pod in pods]
    without = jobs_without_pod(jobs, pods)
    return [*told, *(_unborn(job, refusals.get(_name(job), "")) for job in without)]


def jobs_without_pod(jobs: Iterable[Job], pods: Iterable[Pod]) -> list[Job]:
    """The Jobs that have yet to make a pod."""
    with_pod = {job_of(pod) for pod in pods if not _makes_room(pod)}
    return [job for job in jobs if _name(job) not in with_pod and not _is_over(job)]


def pod_status(pod: Pod, *, now: datetime) -> WorkerStatus:
    """How the worker in this pod is."""
    metadata, phase = _metadata(pod), _phase(pod)
    name, log = _name(pod), f"pod {metadata.namespace}/{metadata.name}"
    deleted = metadata.deletionTimestamp is not None
    if phase in {"Succeeded", "Failed"}:
        why, killed = _end(pod)
        seconds = _seconds(_state(pod), now)
        return WorkerStatus(
            name=name, state="ended", why=why, killed=killed, seconds=seconds, log=log
        )
    if phase == "Running":
        return WorkerStatus(name=name, state="running", seconds=_seconds(_state(pod), now), log=log)
    if phase == "Unknown":
        return WorkerStatus(name=name, state="stuck", why="its node does not answer", log=log)
    if deleted:
        return left(name)
    return WorkerStatus(name=name, state="starting", why=waiting_reason(pod), log=log)


def left(name: str) -> WorkerStatus:
    """How a worker is that was deleted before it ran."""
    return WorkerStatus(
        name=name, state="ended", why="it was deleted before it started", killed=True
    )


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


def waiting_reason(pod: Pod) -> str:
    """Why a pod does not run yet; empty where that takes a moment only."""
    scheduled = _condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.status == "False" and scheduled.message:
        # What the scheduler says of pre-emption follows from what it says first.
        said = scheduled.message.partition(" preemption:")[0].partition(". no new claims")[0]
        return f"no node takes a pod with {_requested(pod)}: {in_a_line(said)}"
    waiting = _state(pod).waiting
    if waiting is None or waiting.reason in _STARTS:
        return ""
    said = in_a_line(waiting.message or "")
    if waiting.reason in _PULLS:
        said = said.rpartition("ErrImagePull: ")[2]  # the two reasons take turns
        return f"the image {_image(pod)!r} cannot be pulled: {said}"
    return f"{waiting.reason}: {said}" if said else f"{waiting.reason}"


def refusals(events: Iterable[Event]) -> dict[str, str]:
    """Why Jobs make no pod, by their names: the newest of what their controller says."""
    newest = sorted(events, key=_at)
    return {
        one.involvedObject.name: in_a_line(one.message)
        for one in newest
        if one.involvedObject.name and one.message
    }


def job_of(pod: Pod) -> str:
    """The name of the Job that made the pod."""
    return str((_metadata(pod).labels or {}).get("batch.kubernetes.io/job-name", ""))


# ---- ends ---------------------------------------------------------------------------------


def _end(pod: Pod) -> tuple[str, bool]:
    """Why it ended, and whether from outside."""
    disrupted = _condition(pod, DISRUPTED)
    if disrupted is not None and disrupted.status == "True":
        return _said(disrupted.reason, disrupted.message), True
    assert pod.status is not None
    if pod.status.reason:  # by its node: Evicted, Shutdown, OutOfcpu
        return _said(pod.status.reason, pod.status.message), True
    ended = _state(pod).terminated
    if ended is not None and ended.reason == "OOMKilled":
        return f"OOMKilled: it took more memory than its {_limit(pod)}", False
    if _metadata(pod).deletionTimestamp is not None:
        return "its pod was deleted", True
    return ("it never ran", True) if ended is None else _exit(ended)


def _exit(ended: ContainerStateTerminated) -> tuple[str, bool]:
    if ended.exitCode > _OF_SIGNALS:
        return f"signal {ended.exitCode - _OF_SIGNALS}", True
    lines = [line for line in (ended.message or "").splitlines() if line.strip()]
    return _said(f"status {ended.exitCode}", lines[-1] if lines else ""), False


def _said(reason: str | None, message: str | None) -> str:
    return in_a_line(": ".join(filter(None, (reason, message))))


# ---- what is in the objects ---------------------------------------------------------------


def _unborn(job: Job, refusal: str) -> WorkerStatus:
    queue = (_metadata(job).labels or {}).get(KUEUE_LABEL)
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
    disrupted = _condition(pod, DISRUPTED)
    return _phase(pod) == "Failed" and disrupted is not None and disrupted.status == "True"


def _is_over(job: Job) -> bool:
    conditions = (job.status.conditions if job.status else None) or ()
    over = any(one.type in _OVER and one.status == "True" for one in conditions)
    return over or _metadata(job).deletionTimestamp is not None


def _condition(pod: Pod, name: str) -> PodCondition | None:
    conditions: Collection[PodCondition] = (pod.status.conditions if pod.status else None) or ()
    return next((one for one in conditions if one.type == name), None)


def _state(pod: Pod) -> ContainerState:
    containers = (pod.status.containerStatuses if pod.status else None) or ()
    return next((one.state for one in containers if one.state), ContainerState())


def _seconds(state: ContainerState, now: datetime) -> float:
    """For which its process has run, or did; the cluster's clock may be another than ours."""
    if state.running and state.running.startedAt:
        return max(0.0, (now - state.running.startedAt).total_seconds())
    ended = state.terminated
    if ended and ended.startedAt and ended.finishedAt:
        return max(0.0, (ended.finishedAt - ended.startedAt).total_seconds())
    return 0.0


def _requested(pod: Pod) -> str:
    """What a node must have for it: 2 CPUs and 1.5 GB of memory."""
    asked = _resources(pod, "requests")
    amounts = [cores(float(amount(asked["cpu"])))] if "cpu" in asked else []
    if "memory" in asked:
        amounts.append(f"{size(int(amount(asked['memory'])))} of memory")
    return " and ".join(amounts) or "no requests"


def _limit(pod: Pod) -> str:
    limit = _resources(pod, "limits").get("memory")
    return f"limit of {size(int(amount(limit)))}" if limit else "node has"


def _resources(pod: Pod, which: str) -> Mapping[str, str]:
    assert pod.spec is not None
    resources = pod.spec.containers[0].resources
    found: Mapping[str, str] | None = getattr(resources, which, None)
    return found or {}


def _image(pod: Pod) -> str:
    assert pod.spec is not None
    return pod.spec.containers[0].image or ""


def _phase(pod: Pod) -> str:
    return (pod.status.phase if pod.status else None) or "Pending"


def _name(of: Job | Pod) -> str:
    return _metadata(of).name or ""


def _metadata(of: Job | Pod) -> ObjectMeta:
    assert of.metadata is not None
    return of.metadata


def _at(event: Event) -> datetime:
    last = event.series.lastObservedTime if event.series else None
    times = (last, event.lastTimestamp, event.eventTime, event.metadata.creationTimestamp)
    return next(filter(None, times), datetime.min.replace(tzinfo=UTC))
