"""A gang as an Indexed Job: nothing but Kubernetes is needed.

The Job controller numbers the pods and makes another for each that fails, later each time; where
ranks need each other, it ends all with one. Their
names (KEY-0.KEY, KEY-1.KEY, ...) come from a Service without an address, so that ranks find each
other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightkube.models.batch_v1 import JobSpec, PodFailurePolicy
from lightkube.models.core_v1 import ServiceSpec
from lightkube.models.meta_v1 import OwnerReference
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Service

from fairlead.engines.engine import GangRequest
from fairlead.engines.rank_pods import GANG_LABEL, MadePods, gang_metadata, rank_template
from fairlead.engines.rank_status import Making
from fairlead.kube.place import PodPlace
from fairlead.kube.pod_status import another_where_disrupted

INDEX = "batch.kubernetes.io/job-completion-index"
"""The label and the annotation of a pod that have its number."""

_CONTAINER = "rank"
RESTARTS = 1000
"""So often a rank may fail: whether it is worth another try is for the driver to decide."""
_KEPT = 600
"""Seconds for which a Job that is over is kept with its logs."""
_OVER = ("Failed", "FailureTarget", "Complete", "SuccessCriteriaMet")


class IndexedJobs:
    """Makes ranks by Indexed Jobs."""

    kind: type[Any] = Job
    name = "Job"
    label = INDEX
    besides: Sequence[type[Any]] = (Service,)
    install = "Kubernetes"
    settles = 0.0

    def objects(
        self, gang: GangRequest, place: PodPlace, owner: OwnerReference | None
    ) -> Sequence[Any]:
        """The Service by which ranks find each other, and the Job."""
        return rank_service(gang, owner), self._job(gang, place, owner)

    def grown(self, ranks: int) -> Mapping[str, Any]:
        """Both numbers at once: the API server takes no other change of an Indexed Job."""
        return {"spec": {"completions": ranks, "parallelism": ranks}}

    def making(self, found: Job) -> Making:
        """As its spec and its conditions say."""
        assert found.spec is not None
        status = found.status
        conditions = (status.conditions if status else None) or ()
        held = {one.type: one for one in conditions if one.status == "True"}
        over = next((held[name] for name in _OVER if name in held), None)
        if over is not None:
            said = over.message or over.reason or over.type
            return Making(ranks=found.spec.completions or 0, over=f"its Job is over: {said}")
        return Making(
            ranks=found.spec.completions or 0,
            waits="its Job is suspended" if found.spec.suspend else "",
        )

    def _job(self, gang: GangRequest, place: PodPlace, owner: OwnerReference | None) -> Job:
        made = MadePods(container=_CONTAINER, number=f"metadata.annotations['{INDEX}']")
        template = rank_template(gang, place, owner, maker=made)
        assert template.spec is not None
        template.spec.subdomain = gang.key
        spec = JobSpec(
            completionMode="Indexed",
            completions=gang.ranks,
            parallelism=gang.ranks,
            podReplacementPolicy="Failed",  # so that never two of a number are there at once
            template=template,
            ttlSecondsAfterFinished=_KEPT,
        )
        if gang.collective:
            spec.backoffLimit = 0  # all end with one
        else:
            spec.backoffLimitPerIndex = RESTARTS
            spec.podFailurePolicy = PodFailurePolicy(rules=[another_where_disrupted()])
        return Job(metadata=gang_metadata(gang, owner), spec=spec)


def rank_service(gang: GangRequest, owner: OwnerReference | None) -> Service:
    """What gives the pods of a gang names, also before they are ready."""
    return Service(
        metadata=gang_metadata(gang, owner),
        spec=ServiceSpec(
            clusterIP="None",
            publishNotReadyAddresses=True,
            selector={GANG_LABEL: gang.key},
        ),
    )
