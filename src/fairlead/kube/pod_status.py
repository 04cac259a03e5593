"""How a pod is: it starts, runs, is stuck or has ended, and why, in a line.

What the API server shows of pods and of the controllers that make them, in the words that people
are told. Workers and ranks are pods: both are told from here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from lightkube.models.batch_v1 import (
    PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
)
from lightkube.models.core_v1 import (
    ContainerState,
    ContainerStateTerminated,
    ContainerStatus,
    PodCondition,
)
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Event, Pod

from fairlead.formatting import cores, in_a_line, size
from fairlead.kube.quantities import amount

if TYPE_CHECKING:
    from fairlead.kube.client import Cluster

DISRUPTED = "DisruptionTarget"
"""The condition of a pod that somebody else ends: a drain, a pre-emption, a node that is lost."""

_STARTS = {"ContainerCreating", "PodInitializing"}
"""Reasons for which the container of every pod waits for a moment."""
_PULLS = {"ErrImagePull", "ImagePullBackOff"}
_OF_SIGNALS = 128  # exit codes above are numbers of signals


class Described(Protocol):
    """An object of an API server."""

    @property
    def metadata(self) -> ObjectMeta | None:
        """Its name, its labels, whose it is."""
        ...


@dataclass(frozen=True, kw_only=True)
class PodStatus:
    """How one pod is.

    Args:
        name: Of the pod.
        state: starting, running, stuck or ended.
        why: It ended, is stuck, or does not start.
        killed: Whether it was ended from outside, whatever it was doing.
        seconds: For which its process has run, or did.
        log: Where a person finds what it printed.
    """

    name: str
    state: Literal["starting", "running", "stuck", "ended"]
    why: str = ""
    killed: bool = False
    seconds: float = 0.0
    log: str = ""


def pod_status(pod: Pod, *, now: datetime) -> PodStatus:
    """How this pod is."""
    metadata, named = metadata_of(pod), phase(pod)
    name, log = metadata.name or "", f"pod {metadata.namespace}/{metadata.name}"
    if named in {"Succeeded", "Failed"} or _restarts(pod):
        why, killed = _end(pod)
        seconds = _seconds(_state(pod), now)
        return PodStatus(name=name, state="ended", why=why, killed=killed, seconds=seconds, log=log)
    if named == "Running":
        return PodStatus(name=name, state="running", seconds=_seconds(_state(pod), now), log=log)
    if named == "Unknown":
        return PodStatus(name=name, state="stuck", why="its node does not answer", log=log)
    if metadata.deletionTimestamp is not None:
        return left(name)
    return PodStatus(name=name, state="starting", why=waiting_reason(pod), log=log)


def left(name: str) -> PodStatus:
    """How a pod is that was deleted before it ran."""
    return PodStatus(name=name, state="ended", why="it was deleted before it started", killed=True)


def waiting_reason(pod: Pod) -> str:
    """Why a pod does not run yet; empty where that takes a moment only."""
    scheduled = condition(pod, "PodScheduled")
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
    """Why objects make no pod, by their uid: the newest of what their controllers say of them.

    Events outlive their object: another may have its name by now.
    """
    newest = sorted(events, key=_at)
    return {
        one.involvedObject.uid: in_a_line(one.message)
        for one in newest
        if one.involvedObject.uid and one.message
    }


def refusal_of(cluster: Cluster, uid: str) -> str:
    """Why the object of this uid makes no pod; empty where nothing is said of that."""
    fields = {"involvedObject.uid": uid, "type": "Warning"}
    return refusals(cluster.list(Event, fields=fields)).get(uid, "")


def another_where_disrupted() -> PodFailurePolicyRule:
    """That a pod which somebody else ends is no failure of its Job, which makes another."""
    disrupted = PodFailurePolicyOnPodConditionsPattern(type=DISRUPTED, status="True")
    return PodFailurePolicyRule(action="Ignore", onPodConditions=[disrupted])


def condition(pod: Pod, name: str) -> PodCondition | None:
    """The condition of this name, where it is told."""
    conditions: Collection[PodCondition] = (pod.status.conditions if pod.status else None) or ()
    return next((one for one in conditions if one.type == name), None)


def phase(pod: Pod) -> str:
    """Pending, Running, Succeeded, Failed or Unknown."""
    return (pod.status.phase if pod.status else None) or "Pending"


def metadata_of(of: Described) -> ObjectMeta:
    """The metadata of an object as the API server gives it."""
    assert of.metadata is not None
    return of.metadata


# ---- ends ---------------------------------------------------------------------------------


def _end(pod: Pod) -> tuple[str, bool]:
    """Why it ended, and whether from outside."""
    disrupted = condition(pod, DISRUPTED)
    if disrupted is not None and disrupted.status == "True":
        return _said(disrupted.reason, disrupted.message), True
    assert pod.status is not None
    if pod.status.reason:  # by its node: Evicted, Shutdown, OutOfcpu
        return _said(pod.status.reason, pod.status.message), True
    ended = _state(pod).terminated
    if ended is not None and ended.reason == "OOMKilled":
        return f"OOMKilled: it took more memory than its {_limit(pod)}", False
    if metadata_of(pod).deletionTimestamp is not None:
        return "its pod was deleted", True
    return ("it never ran", True) if ended is None else _exit(ended)


def _exit(ended: ContainerStateTerminated) -> tuple[str, bool]:
    if ended.exitCode > _OF_SIGNALS:
        return f"signal {ended.exitCode - _OF_SIGNALS}", True
    lines = [line for line in (ended.message or "").splitlines() if line.strip()]
    return _said(f"status {ended.exitCode}", lines[-1] if lines else ""), False


def _said(reason: str | None, message: str | None) -> str:
    return in_a_line(": ".join(filter(None, (reason, message))))


# ---- what is in a pod ---------------------------------------------------------------------


def _restarts(pod: Pod) -> bool:
    """Whether its container has ended, and its node will start it again after a while."""
    found = _container(pod)
    if found is None or found.state is None:
        return False
    has_ended = found.lastState is not None and found.lastState.terminated is not None
    return found.state.terminated is not None or (has_ended and found.state.waiting is not None)


def _container(pod: Pod) -> ContainerStatus | None:
    containers = (pod.status.containerStatuses if pod.status else None) or ()
    return next(iter(containers), None)


def _state(pod: Pod) -> ContainerState:
    """That of its container; of one that waits to be started again, how it ended."""
    found = _container(pod)
    if found is None:
        return ContainerState()
    waits = found.state is not None and found.state.waiting is not None
    return (found.lastState if waits and _restarts(pod) else found.state) or ContainerState()


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


def _at(event: Event) -> datetime:
    last = event.series.lastObservedTime if event.series else None
    times = (last, event.lastTimestamp, event.eventTime, event.metadata.creationTimestamp)
    return next(filter(None, times), datetime.min.replace(tzinfo=UTC))
