"""The pod that the driver of a fit runs in: ranks are as it is, and go with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from lightkube.models.core_v1 import PodSpec
from lightkube.models.meta_v1 import OwnerReference
from lightkube.resources.core_v1 import Pod

from fairlead.errors import Invalid
from fairlead.kube.client import Cluster
from fairlead.kube.place import PodPlace, Taint
from fairlead.kube.pod_status import metadata_of

VARIABLE = "POD_NAME"
"""The environment variable of each pod of Fairlead that has its name."""
_IN_A_CLUSTER = "KUBERNETES_SERVICE_HOST"
_OF_KUBERNETES = "node.kubernetes.io/"
"""What the keys of taints begin with that every pod tolerates for a while."""


@dataclass(frozen=True, kw_only=True)
class DriverPod:
    """What ranks have of the driver's pod.

    Args:
        host: The address where it is reached.
        place: As what ranks run, and on which nodes.
        owner: With which all of a gang goes.
        labels: By which policies know it.
    """

    host: str
    place: PodPlace
    owner: OwnerReference
    labels: Mapping[str, str]


def refuse_outside(engine: str) -> None:
    """Refuse a process that runs in no pod.

    Args:
        engine: The `train.engine` that needs one.

    Raises:
        Invalid: It does not.
    """
    if VARIABLE not in os.environ or _IN_A_CLUSTER not in os.environ:
        raise Invalid(
            f"train.engine: {engine} starts pods that call this process, which is in no pod "
            "itself: run the study on the cluster (--on kubernetes)",
            code="driver_not_reachable",
        )


def driver_pod(cluster: Cluster) -> DriverPod:
    """The pod that this process runs in."""
    return as_driver(cluster.get(Pod, os.environ[VARIABLE]))


def as_driver(pod: Pod) -> DriverPod:
    """What ranks have of this pod."""
    metadata, spec = metadata_of(pod), pod.spec
    assert spec is not None
    assert pod.status is not None
    owner = OwnerReference(
        apiVersion="v1", kind="Pod", name=metadata.name or "", uid=metadata.uid or ""
    )
    return DriverPod(
        host=pod.status.podIP or "",
        place=_place(spec),
        owner=owner,
        labels=metadata.labels or {},
    )


def _place(spec: PodSpec) -> PodPlace:
    container = spec.containers[0]
    claims = [one.persistentVolumeClaim for one in spec.volumes or () if one.name == "artifacts"]
    return PodPlace(
        image=container.image or "",
        pull_policy="Never" if container.imagePullPolicy == "Never" else "IfNotPresent",
        pull_secrets=[one.name or "" for one in spec.imagePullSecrets or ()],
        service_account=spec.serviceAccountName,
        node_selector=spec.nodeSelector or {},
        tolerations=[
            Taint(key=one.key, value=one.value, effect=one.effect)
            for one in spec.tolerations or ()
            if one.key and not one.key.startswith(_OF_KUBERNETES)
        ],
        priority_class=spec.priorityClassName,
        claim=claims[0].claimName if claims and claims[0] else None,
    )
