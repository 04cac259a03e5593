"""What a worker is on a cluster: a Job of one pod, and a Secret with what the group must know.

A Job a worker: each is admitted, ended and forgotten by itself. The Job controller makes another
pod where a node or a person evicts one (the condition DisruptionTarget), and none where the worker
ended by itself: whether that is worth another is for the caller to decide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath

from lightkube.models.batch_v1 import (
    JobSpec,
    PodFailurePolicy,
)
from lightkube.models.core_v1 import PodTemplateSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Secret

from fairlead.errors import Invalid, NextStep
from fairlead.kube import pods
from fairlead.kube.place import KubernetesPlace
from fairlead.kube.pod_status import another_where_disrupted
from fairlead.runners.runner import WorkerGroup

KUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_KEY = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
"""What names of pods may begin with, with room for a number and five letters in 63."""
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_BACK = 5
"""Seconds before its end in which a worker gives its task back."""


def refuse_group(group: WorkerGroup, place: KubernetesPlace) -> None:
    """Refuse a group that cannot be on a cluster.

    Raises:
        Invalid: Its key is no name there, a store is in files that pods do not have, or its workers
            need a right that none is given.
    """
    if not _KEY.fullmatch(group.key):
        raise Invalid(
            f"{group.key!r} is no key of workers on Kubernetes: it takes up to 40 small letters, "
            "digits and hyphens"
        )
    if group.ledger.startswith("sqlite:"):
        raise Invalid(
            f"the ledger {group.ledger!r} is a file of this machine, which no pod can open: use "
            "PostgreSQL or a server ($FAIRLEAD_LEDGER)",
            code="ledger_not_shared",
        )
    _refuse_training(group, place)
    folder = group.artifacts.removeprefix("file://")
    mounted = place.pods.claim is not None and PurePath(folder).is_relative_to(pods.ARTIFACTS)
    if folder != group.artifacts and not mounted:
        raise Invalid(
            f"the artefact store {group.artifacts!r} is a folder of this machine, which no pod "
            f"has: use s3://, a server, or a folder in {pods.ARTIFACTS} on a claim "
            "($FAIRLEAD_ARTIFACTS)",
            code="artifacts_not_shared",
        )


def _refuse_training(group: WorkerGroup, place: KubernetesPlace) -> None:
    if group.starts_pods and place.trainer is None:
        step = NextStep("install", {"parts": "training"}, "gives such workers the right")
        raise Invalid(
            f"study {group.study!r}: its train.engine starts pods, and no account of workers that "
            "may do so is named (--trainer-account)",
            code="training_not_installed",
            next_steps=(step,),
        )


def group_secret(group: WorkerGroup) -> Secret:
    """What the group's workers get as environment variables."""
    return Secret(
        metadata=ObjectMeta(name=group.key, labels=group_labels(group.key)),
        stringData={**group.variables},
        type="Opaque",
    )


def worker_job(group: WorkerGroup, place: KubernetesPlace, number: int) -> Job:
    """The Job of one worker.

    Args:
        group: What the worker is.
        place: Where it runs.
        number: No other Job of the group has it: of two processes that make one, one is refused.
    """
    labelled = {**group_labels(group.key), **_study(group)}
    queue = {KUEUE_LABEL: place.kueue_queue} if place.kueue_queue else {}
    drain = max(0, place.grace - _BACK)
    worker = pods.container(
        place.pods,
        name="worker",
        arguments=[*group.arguments("$(POD_NAME)"), "--drain-seconds", str(drain)],
        requests={"cpu": f"{group.cores:g}", **_memory(group)},
        limits=_memory(group),
        secrets=[group.key],
    )
    spec = pods.pod(place.pods, worker, grace=place.grace, restarts="Never")
    if group.starts_pods:
        spec.serviceAccountName, spec.automountServiceAccountToken = place.trainer, True
    return Job(
        metadata=ObjectMeta(name=f"{group.key}-{number}", labels={**labelled, **queue}),
        spec=JobSpec(
            backoffLimit=0,
            completions=1,
            parallelism=1,
            podFailurePolicy=PodFailurePolicy(rules=[another_where_disrupted()]),
            podReplacementPolicy="Failed",  # so that never two of a Job are there at once
            template=PodTemplateSpec(
                metadata=ObjectMeta(labels=labelled, annotations={**pods.UNDISTURBED}),
                spec=spec,
            ),
            ttlSecondsAfterFinished=place.kept,
        ),
    )


def number_of(job: str) -> int:
    """The number in the name of a Job of a group; 0 for one of somebody else."""
    last = job.rpartition("-")[2]
    return int(last) if last.isdecimal() else 0


def group_labels(key: str) -> dict[str, str]:
    """The labels of all that belongs to a group."""
    return {**pods.labels(instance=key, component="worker"), pods.GROUP_LABEL: key}


def _study(group: WorkerGroup) -> Mapping[str, str]:
    fits = group.study is not None and _LABEL.fullmatch(group.study)
    return {pods.STUDY_LABEL: group.study} if group.study and fits else {}


def _memory(group: WorkerGroup) -> Mapping[str, str]:
    return {"memory": str(group.memory)} if group.memory else {}
