"""A gang that grows by itself while its ranks are busy: a StatefulSet and an autoscaler of it.

A Job has no number that an autoscaler may change; a StatefulSet numbers its pods as well, ends the
last first, and starts a process again that ended. Only ranks that any number of may compute a step
are run so: one that comes gets its part of the next, one that goes has its part computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightkube.models.apps_v1 import StatefulSetSpec
from lightkube.models.autoscaling_v2 import (
    CrossVersionObjectReference,
    HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerSpec,
    HPAScalingRules,
    MetricSpec,
    MetricTarget,
    ResourceMetricSource,
)
from lightkube.models.meta_v1 import LabelSelector, OwnerReference
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from lightkube.resources.core_v1 import Service

from fairlead.engines.engine import GangRequest
from fairlead.engines.kubernetes import rank_service
from fairlead.engines.rank_pods import GANG_LABEL, MadePods, gang_metadata, rank_template
from fairlead.engines.rank_status import Making
from fairlead.kube.place import PodPlace

INDEX = "apps.kubernetes.io/pod-index"
"""The label of a pod that has its number."""
BUSY = 70
"""Percent of the CPU that ranks ask for, above which there are to be more."""

_CONTAINER = "rank"
_COOLDOWN = 60
"""Seconds of less load before there are to be fewer."""


class ElasticSets:
    """Makes ranks by StatefulSets that an autoscaler scales."""

    kind: type[Any] = StatefulSet
    name = "StatefulSet"
    label = INDEX
    besides: Sequence[type[Any]] = (HorizontalPodAutoscaler, Service)
    install = "Kubernetes"
    settles = 0.0

    def objects(
        self, gang: GangRequest, place: PodPlace, owner: OwnerReference | None
    ) -> Sequence[Any]:
        """The Service by which ranks have names, the autoscaler, and the StatefulSet."""
        made = MadePods(
            container=_CONTAINER, number=f"metadata.labels['{INDEX}']", restarts="Always"
        )
        spec = StatefulSetSpec(
            podManagementPolicy="Parallel",
            replicas=gang.ranks,
            selector=LabelSelector(matchLabels={GANG_LABEL: gang.key}),
            serviceName=gang.key,
            template=rank_template(gang, place, owner, maker=made),
        )
        metadata = gang_metadata(gang, owner)
        return (
            rank_service(gang, owner),
            _autoscaler(gang, owner),
            StatefulSet(metadata=metadata, spec=spec),
        )

    def grown(self, ranks: int) -> Mapping[str, Any]:
        """More replicas."""
        return {"spec": {"replicas": ranks}}

    def making(self, found: StatefulSet) -> Making:
        """As its spec says, which the autoscaler changes."""
        assert found.spec is not None
        return Making(ranks=found.spec.replicas or 0)


def _autoscaler(gang: GangRequest, owner: OwnerReference | None) -> HorizontalPodAutoscaler:
    cpu = MetricTarget(type="Utilization", averageUtilization=BUSY)
    return HorizontalPodAutoscaler(
        metadata=gang_metadata(gang, owner),
        spec=HorizontalPodAutoscalerSpec(
            minReplicas=gang.ranks,
            maxReplicas=max(gang.most, gang.ranks),
            metrics=[
                MetricSpec(type="Resource", resource=ResourceMetricSource(name="cpu", target=cpu))
            ],
            behavior=HorizontalPodAutoscalerBehavior(
                scaleDown=HPAScalingRules(stabilizationWindowSeconds=_COOLDOWN)
            ),
            scaleTargetRef=CrossVersionObjectReference(
                apiVersion="apps/v1", kind="StatefulSet", name=gang.key
            ),
        ),
    )
