"""What a gang is on a cluster, whatever makes its pods.

Each rank is a pod of the image that the driver runs, with no right on the cluster and no token. A
Secret has what the ranks must know of the driver, and a NetworkPolicy keeps others from them, since
libraries by which ranks add their sums believe whoever connects. All is found by one label, and
owned by the driver's pod: where that goes, nothing is left.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from lightkube.models.core_v1 import EnvVar, EnvVarSource, ObjectFieldSelector, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta, OwnerReference
from lightkube.models.networking_v1 import (
    NetworkPolicyIngressRule,
    NetworkPolicyPeer,
    NetworkPolicySpec,
)
from lightkube.resources.core_v1 import Secret
from lightkube.resources.networking_v1 import NetworkPolicy

from fairlead.engines.engine import PROGRAM, RANK, GangRequest
from fairlead.errors import Invalid
from fairlead.kube import pods
from fairlead.kube.place import PodPlace

GANG_LABEL = "fairlead.dev/gang"
"""The label of what belongs to a gang; its value is the gang's key."""
DRIVER_LABEL = "fairlead.dev/driver"
"""The label of what belongs to a driver; its value is the uid of the driver's pod."""
DIGEST_ANNOTATION = "fairlead.dev/gang-digest"
"""The annotation that says which gang of this key it is: ranks of another one are of no use."""
COMPONENT = "rank"

_KEY = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
"""What a Service may be called, with room for a number and five letters in 63."""
_LOOPBACK = ("127.", "localhost:", "[::1]:")
_GRACE = 5
"""Seconds that a rank has to end: it holds nothing that is not computed again."""


@dataclass(frozen=True, kw_only=True)
class MadePods:
    """What the pods of a gang differ in, by what makes them.

    Args:
        container: Name of their container.
        number: Path of the field of a pod that has the number of its rank.
        restarts: Their restart policy.
    """

    container: str
    number: str
    restarts: str = "Never"


def refuse_gang(gang: GangRequest, place: PodPlace) -> None:
    """Refuse a gang that cannot be on a cluster.

    Raises:
        Invalid: Its key is no name there, or pods reach neither the driver nor the artefacts.
    """
    if not _KEY.fullmatch(gang.key):
        raise Invalid(
            f"{gang.key!r} is no key of a gang on Kubernetes: it takes up to 40 small letters, "
            "digits and hyphens, the first a letter"
        )
    if gang.address.startswith(_LOOPBACK):
        raise Invalid(
            f"the driver listens at {gang.address}, which no pod reaches: run the study on the "
            "cluster (--on kubernetes)",
            code="driver_not_reachable",
        )
    folder = gang.artifacts.removeprefix("file://")
    mounted = place.claim is not None and PurePath(folder).is_relative_to(pods.ARTIFACTS)
    if "://" not in folder and not mounted:
        raise Invalid(
            f"the artefact store {gang.artifacts!r} is a folder of this machine, which no pod "
            f"has: use s3://, a server, or a folder in {pods.ARTIFACTS} on a claim "
            "($FAIRLEAD_ARTIFACTS)",
            code="artifacts_not_shared",
        )


def rank_template(
    gang: GangRequest, place: PodPlace, owner: OwnerReference | None, *, maker: MadePods
) -> PodTemplateSpec:
    """The pod of each rank.

    Args:
        gang: Whose.
        place: As what it runs.
        owner: With which all of the gang goes.
        maker: What makes it.
    """
    memory = {"memory": str(gang.memory)}
    one = pods.container(
        place,
        name=maker.container,
        arguments=PROGRAM,
        requests={"cpu": f"{gang.cores:g}", **memory},
        limits=memory,
        secrets=[gang.key],
    )
    one.command = ["python"]
    field = EnvVarSource(fieldRef=ObjectFieldSelector(fieldPath=maker.number))
    one.env = [*(one.env or ()), EnvVar(name=RANK, valueFrom=field)]
    undisturbed = {**pods.UNDISTURBED} if gang.collective else None
    return PodTemplateSpec(
        metadata=ObjectMeta(labels=gang_labels(gang.key, owner), annotations=undisturbed),
        spec=pods.pod(place, one, grace=_GRACE, restarts=maker.restarts),
    )


def gang_secret(gang: GangRequest, owner: OwnerReference | None) -> Secret:
    """What the ranks get as environment variables."""
    return Secret(
        metadata=gang_metadata(gang, owner), stringData={**gang.variables()}, type="Opaque"
    )


def gang_policy(
    gang: GangRequest,
    owner: OwnerReference | None,
    *,
    callers: Mapping[str, str] | None = None,
) -> NetworkPolicy:
    """What lets nobody reach the ranks but each other.

    Args:
        gang: Whose.
        owner: With which all of the gang goes.
        callers: Labels of other pods that are to reach them; None for none.
    """
    own = {GANG_LABEL: gang.key}
    selected = [own] if callers is None else [own, {**callers}]
    peers = [NetworkPolicyPeer(podSelector=LabelSelector(matchLabels=one)) for one in selected]
    return NetworkPolicy(
        metadata=gang_metadata(gang, owner),
        spec=NetworkPolicySpec(
            podSelector=LabelSelector(matchLabels=own),
            policyTypes=["Ingress"],
            ingress=[NetworkPolicyIngressRule(from_=peers)],
        ),
    )


def gang_metadata(gang: GangRequest, owner: OwnerReference | None) -> ObjectMeta:
    """The metadata of each object of a gang."""
    return ObjectMeta(
        name=gang.key,
        labels=gang_labels(gang.key, owner),
        annotations={DIGEST_ANNOTATION: gang_digest(gang)},
        ownerReferences=[owner] if owner else None,
    )


def gang_labels(key: str, owner: OwnerReference | None) -> dict[str, str]:
    """The labels of all that belongs to a gang."""
    driver = {DRIVER_LABEL: owner.uid} if owner else {}
    return {**pods.labels(instance=key, component=COMPONENT), GANG_LABEL: key, **driver}


def gang_digest(gang: GangRequest) -> str:
    """Of all that ranks are started with; nobody finds out a password by it, for it has the secret.

    How many they are is no part of it: a gang grows.
    """
    told: Mapping[str, object] = {
        "variables": dict(gang.variables()),
        "each": [gang.threads, gang.cores, gang.memory, gang.collective, gang.most],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]
