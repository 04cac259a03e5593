"""The Job that submits a Study, and what it is given.

Reading data and checking families runs the user's code: it does so in a pod of its own, without any
right on the cluster. The pod tells the run's id, or why there is none, as its termination message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from lightkube.models.batch_v1 import (
    JobSpec,
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
)
from lightkube.models.core_v1 import ContainerStateTerminated, PodTemplateSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import ConfigMap, Pod

from fairlead.errors import Conflict
from fairlead.kube import pods, spec_files
from fairlead.kube.kinds import STUDIES
from fairlead.kube.place import PodPlace
from fairlead.kube.pod_status import another_where_disrupted, waiting_reason
from fairlead.operator.decide import Submission
from fairlead.operator.study_object import StudyObject

DIGEST_LABEL = "fairlead.dev/submission"
"""The label of what submits a Study; its value is the digest of what it submits."""

STUDY_UID_LABEL = "fairlead.dev/study-uid"
"""The label of such a Job that says for which Study it is, by the Study's uid."""

POD_ANNOTATION = "fairlead.dev/pod"
"""The annotation of such a Job that says of which image its pod is, and what it asks for."""

_REPORT = "/dev/termination-log"
_SECONDS = 3600
"""In which data is read, families are checked, and all is put into the stores."""
_TRIES = 3
"""Pods that may fail, each for a store that is away or memory that is short."""
_REFUSED = 2
"""The exit status of a command that was asked for something wrong."""


def submission_name(study: StudyObject) -> str:
    """The name of the Job and of the ConfigMap."""
    return f"{study.name[:40].rstrip('-.')}-submit-{study.digest}"


def study_files(study: StudyObject) -> ConfigMap:
    """The document, and the files that it names."""
    return ConfigMap(
        metadata=_metadata(study),
        data=spec_files.content(study.document, study.files),
        immutable=True,
    )


def submission_job(study: StudyObject, place: PodPlace, settings: str) -> Job:
    """The Job.

    Args:
        study: What it submits.
        place: As what it runs.
        settings: Name of the ConfigMap and of the Secret that say where the stores are.
    """
    deploy = ["--deploy"] if study.deploy else []
    one = pods.container(
        place,
        name="submit",
        arguments=["submit", spec_files.PATH, *deploy, "--id-file", _REPORT],
        requests={"cpu": study.workers.cpu, "memory": study.workers.memory},
        limits={"memory": study.workers.memory},
        config_maps=[settings],
        secrets=[settings],
    )
    template = pods.pod(place, one, grace=10, restarts="Never")
    spec_files.place(study.files, submission_name(study), pod=template, container=one)
    return Job(
        metadata=_metadata(study, annotations={POD_ANNOTATION: _pod(study, place)}),
        spec=JobSpec(
            activeDeadlineSeconds=_SECONDS,
            backoffLimit=_TRIES,
            podFailurePolicy=PodFailurePolicy(rules=[another_where_disrupted(), _refused()]),
            template=PodTemplateSpec(
                metadata=ObjectMeta(labels=_labels(study)),
                spec=template,
            ),
        ),
    )


def refuse_other(job: Job, study: StudyObject) -> None:
    """Refuse a Job that has the name of the one that submits a Study, and submits something else.

    Raises:
        Conflict: It does.
    """
    if _digest(job) != study.digest:
        raise Conflict(
            f"the Job {submission_name(study)!r}, which would submit the Study {study.name!r}, is "
            "there and not of Fairlead: delete it, or give the Study another name"
        )


def is_outdated(job: Job, study: StudyObject, place: PodPlace) -> bool:
    """Whether the Job would be another one by now: of another image, or with other resources.

    One of somebody else that has its name is none of the Study's.
    """
    assert job.metadata is not None
    made = (job.metadata.annotations or {}).get(POD_ANNOTATION)
    return _digest(job) == study.digest and made != _pod(study, place)


def submission_state(job: Job, of_job: Sequence[Pod], *, refusal: str = "") -> Submission:
    """How a Job that submits is.

    A Job says seconds after its pod that it has ended: what the pod says is taken where nothing
    follows from it but the same. Only what the command refuses is refused: a store that was away
    for longer than a Job tries, or a node that is gone, says nothing of the Study.

    Args:
        job: The Job.
        of_job: Its pods.
        refusal: Why it makes none; empty where nothing is said of that.
    """
    digest = _digest(job)
    conditions = (job.status.conditions if job.status else None) or ()
    ended = {one.type: one.message or "" for one in conditions if one.status == "True"}
    newest = sorted(of_job, key=_created)[-1:]
    said, status = _said(newest)
    if said and status == 0:
        return Submission(digest=digest, state="succeeded", text=said)
    if said and status == _REFUSED:
        return Submission(digest=digest, state="refused", text=said)
    if not ended.keys().isdisjoint({"Complete", "Failed"}):
        why = said or ended.get("Failed") or "what it said is gone with its pod"
        return Submission(digest=digest, state="lost", text=f"{why}; trying again")
    waits = "".join(map(waiting_reason, newest)) or (refusal and f"its Job makes no pod: {refusal}")
    is_at_work = newest and status is None and not waits
    state: Literal["waiting", "running"] = "running" if is_at_work else "waiting"
    return Submission(digest=digest, state=state, text=waits or (said and f"{said}; trying again"))


def _pod(study: StudyObject, place: PodPlace) -> str:
    return f"{place.image}, cpu {study.workers.cpu}, memory {study.workers.memory}"


def _digest(job: Job) -> str:
    """Of what a Job submits; empty where it is somebody else's."""
    assert job.metadata is not None
    return str((job.metadata.labels or {}).get(DIGEST_LABEL, ""))


def _metadata(study: StudyObject, annotations: Mapping[str, str] | None = None) -> ObjectMeta:
    owner = pods.owned_by(STUDIES, name=study.name, uid=study.uid)
    return ObjectMeta(
        annotations={**(annotations or {})},
        name=submission_name(study),
        namespace=study.namespace,
        labels=_labels(study),
        ownerReferences=[owner],
    )


def _refused() -> PodFailurePolicyRule:
    refused = PodFailurePolicyOnExitCodesRequirement(operator="In", values=[_REFUSED])
    return PodFailurePolicyRule(action="FailJob", onExitCodes=refused)


def _labels(study: StudyObject) -> dict[str, str]:
    named = pods.labels(instance=study.name[:63], component="submission")
    return {**named, DIGEST_LABEL: study.digest, STUDY_UID_LABEL: study.uid}


def _created(pod: Pod) -> str:
    assert pod.metadata is not None
    return str(pod.metadata.creationTimestamp)


def _said(newest: Sequence[Pod]) -> tuple[str, int | None]:
    """The last line of what the pod reports, or why it ended, and its exit status; once it has."""
    for pod in newest:
        for container in (pod.status.containerStatuses if pod.status else None) or ():
            ended = container.state and container.state.terminated
            if ended:
                lines = (ended.message or "").strip().splitlines()
                return (lines or [_unsaid(ended)])[-1], ended.exitCode
    return "", None


def _unsaid(ended: ContainerStateTerminated) -> str:
    """Why it ended where the program could not say it; empty where nothing was wrong."""
    return f"its pod ended with {ended.reason or ended.exitCode}" if ended.exitCode else ""
