"""Whether a Deployment or a StatefulSet is ready, and if it is not, why: from what was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lightkube.models.core_v1 import ContainerStatus
from lightkube.resources.apps_v1 import Deployment, ReplicaSet, StatefulSet
from lightkube.resources.core_v1 import Event, Pod

from fairlead.formatting import in_a_line

Workload: TypeAlias = Deployment | StatefulSet

_HOPELESS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""What a container waits for that no waiting helps with."""
_BUSY = "timed out waiting for the condition"
"""Of a node that had no time to read a Secret or a ConfigMap: it tries again."""
_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff"})
_STATEFUL = "controller-revision-hash"
_TEMPLATE = "pod-template-hash"
_NUMBER = "deployment.kubernetes.io/revision"
_CRASHES = 4  # a program may end while what it needs is starting


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """How a Deployment or a StatefulSet is.

    Args:
        name: Its name.
        ready: Whether all of its pods are there, as it was applied last.
        why: What it waits for, in a line; empty where it is ready.
        hopeless: Whether waiting for it does not help.
    """

    name: str
    ready: bool
    why: str = ""
    hopeless: bool = False


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What else there is in the namespace of a workload."""

    pods: Sequence[Pod] = ()
    replica_sets: Sequence[ReplicaSet] = ()
    events: Sequence[Event] = ()


def readiness(workload: Workload, around: Surroundings) -> Readiness:
    """How it is. Pods of what was applied earlier do not count: they are about to end.

    Args:
        workload: As it was read.
        around: Read after it.
    """
    name = str(workload.metadata.name) if workload.metadata else ""
    if _is_ready(workload):
        return Readiness(name=name, ready=True)
    if not _is_seen(workload):
        return Readiness(name=name, ready=False, why="its controller has not seen it yet")
    own = sorted((each for each in around.pods if _is_of(each, workload, around)), key=_created)
    if not own:
        why = _refused(workload, around.events)
        return Readiness(name=name, ready=False, why=why or "no pod yet", hopeless=bool(why))
    why, hopeless = waits_for(own[-1])
    return Readiness(name=name, ready=False, why=why, hopeless=hopeless)


def waits_for(pod: Pod) -> tuple[str, bool]:
    """What a pod that is not ready waits for, in a line, and whether waiting does not help."""
    if pod.metadata and pod.metadata.deletionTimestamp:
        return "the pod before it ends", False
    status = pod.status
    for each in (status.containerStatuses if status else None) or ():
        if why := _waiting(each):
            return why
    for condition in (status.conditions if status else None) or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return in_a_line(f"no node for it: {condition.message}"), False
    return "starting", False


def _waiting(status: ContainerStatus) -> tuple[str, bool] | None:
    """What a container waits for, or why it ended the last time; None where neither is known."""
    waiting = status.state.waiting if status.state else None
    reason = (waiting.reason if waiting else None) or ""
    said = (waiting.message if waiting else None) or ""
    if reason in _IMAGE:
        return in_a_line(f"the image {status.image!r} cannot be pulled: {said or reason}"), True
    if reason in _HOPELESS:
        return in_a_line(f"{reason}: {said or status.image}"), not said.endswith(_BUSY)
    ended = status.lastState.terminated if status.lastState else None
    if ended is None:
        return (in_a_line(said), False) if said else None
    last = (ended.message or ended.reason or "").strip().splitlines()
    text = f"it ended with status {ended.exitCode}: {last[-1] if last else ''}"
    return in_a_line(text), status.restartCount >= _CRASHES


def _refused(workload: Workload, events: Sequence[Event]) -> str:
    """Why its pods are not made, such as for a quota; empty where nothing is known of it."""
    for condition in (workload.status.conditions if workload.status else None) or ():
        if condition.type == "ReplicaFailure" and condition.status == "True":
            return in_a_line(condition.message or condition.reason or "")
    said = [
        event.message or ""
        for event in events
        if event.reason == "FailedCreate" and event.involvedObject.uid == _uid(workload)
    ]
    return in_a_line(said[-1]) if said else ""


def _is_ready(workload: Workload) -> bool:
    status, spec = workload.status, workload.spec
    if status is None or spec is None:
        return False
    wanted = 1 if spec.replicas is None else spec.replicas
    return (
        _is_seen(workload)
        and (status.updatedReplicas or 0) == wanted
        and (status.readyReplicas or 0) == wanted
        and (status.replicas or 0) == wanted
    )


def _is_seen(workload: Workload) -> bool:
    """Whether its controller has read what was applied last."""
    seen = (workload.status.observedGeneration if workload.status else None) or 0
    return seen >= ((workload.metadata.generation if workload.metadata else None) or 0)


def _is_of(pod: Pod, workload: Workload, around: Surroundings) -> bool:
    """Whether it is a pod of the workload as it was applied last."""
    assert workload.spec is not None
    wanted = {**(workload.spec.selector.matchLabels or {}), **_revision(workload, around)}
    labels = (pod.metadata.labels if pod.metadata else None) or {}
    return wanted.items() <= labels.items()


def _revision(workload: Workload, around: Surroundings) -> dict[str, str]:
    """The label that tells its pods from those that were applied earlier, if it is known."""
    if isinstance(workload, StatefulSet):
        latest = workload.status.updateRevision if workload.status else None
        return {_STATEFUL: latest} if latest else {}
    number = _annotation(workload, _NUMBER)
    for each in around.replica_sets:
        if _owner(each) == _uid(workload) and _annotation(each, _NUMBER) == number:
            labels = (each.metadata.labels if each.metadata else None) or {}
            return {_TEMPLATE: labels[_TEMPLATE]}
    return {}


def _annotation(one: Workload | ReplicaSet, name: str) -> str | None:
    return ((one.metadata.annotations if one.metadata else None) or {}).get(name)


def _uid(one: Workload) -> str | None:
    return one.metadata.uid if one.metadata else None


def _owner(one: ReplicaSet) -> str | None:
    owners = (one.metadata.ownerReferences if one.metadata else None) or ()
    return next((each.uid for each in owners if each.controller), None)


def _created(pod: Pod) -> str:
    return str(pod.metadata.creationTimestamp) if pod.metadata else ""
