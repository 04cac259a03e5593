"""Workers that KEDA starts as tasks come: for those who run no autoscaler of Fairlead's.

KEDA asks the ledger how many tasks are open, by a role that sees this number alone, and makes as
many Jobs of one worker each as are missing. It never ends one: a worker that has had no task for a
while ends by itself. (A ScaledObject or a HorizontalPodAutoscaler would end busy workers.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightkube.generic_resource import GenericNamespacedResource, create_namespaced_resource
from lightkube.models.core_v1 import Container, EnvVar, EnvVarSource, SecretKeySelector
from lightkube.models.meta_v1 import LabelSelector
from lightkube.models.networking_v1 import (
    NetworkPolicyIngressRule,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicySpec,
)
from lightkube.resources.networking_v1 import NetworkPolicy

from fairlead.kube import pods
from fairlead.kube.install.installation import (
    POSTGRESQL,
    POSTGRESQL_PORT,
    Installation,
    KedaWorkers,
)
from fairlead.kube.install.labels import metadata, selected
from fairlead.kube.install.rights import POWERLESS, TRAINER
from fairlead.kube.install.stores import CLAIM, KEDA, PASSWORD, SETTINGS
from fairlead.kube.place import PodPlace

ScaledJob: type[GenericNamespacedResource] = create_namespaced_resource(
    "keda.sh", "v1alpha1", "ScaledJob", "scaledjobs"
)
TriggerAuthentication: type[GenericNamespacedResource] = create_namespaced_resource(
    "keda.sh", "v1alpha1", "TriggerAuthentication", "triggerauthentications"
)
DEFINITION = "scaledjobs.keda.sh"
"""The name of the CustomResourceDefinition without which none of these can be."""

_VERSION = "keda.sh/v1alpha1"
_NAME = "fairlead-workers"
_ROLE = "fairlead_keda"
_QUERY = "SELECT ready + running FROM fairlead_load"  # the view of `ledger grants --for scaler`
_EVERY = 5
"""Seconds between two looks of KEDA's."""
_IDLE = 30
"""Seconds without a task after which a worker ends."""
_GRACE = 60
"""Seconds that a worker which a node or a person ends has for its task."""
_KEPT = 600
"""Seconds for which one that ended is kept with its log."""
_OPERATOR = {"app.kubernetes.io/name": "keda-operator"}


def keda(installation: Installation, workers: KedaWorkers) -> tuple[Any, ...]:
    """The ScaledJob of the workers, how KEDA reaches the ledger, and that it may."""
    login = TriggerAuthentication(
        apiVersion=_VERSION,
        kind="TriggerAuthentication",
        metadata=metadata(installation, _NAME, "worker"),
        spec={"secretTargetRef": [{"parameter": "password", "name": KEDA, "key": PASSWORD}]},
    )
    scaled = ScaledJob(
        apiVersion=_VERSION,
        kind="ScaledJob",
        metadata=metadata(installation, _NAME, "worker"),
        spec=_spec(installation, workers),
    )
    return (_policy(installation), login, scaled)


def view_maker(installation: Installation, image: str) -> Container:
    """What makes the role of KEDA and its view, before the server starts."""
    one = pods.container(
        PodPlace(image=image, claim=None if installation.artifacts else CLAIM),
        name="view",
        arguments=["ledger", "grants", _ROLE, "--for", "scaler", "--apply"],
        requests=installation.server.requests,
        limits=installation.server.limits,
        config_maps=[SETTINGS],
        secrets=[SETTINGS],
    )
    password = EnvVarSource(secretKeyRef=SecretKeySelector(name=KEDA, key=PASSWORD))
    one.env = [*(one.env or ()), EnvVar(name="FAIRLEAD_ROLE_PASSWORD", valueFrom=password)]
    return one


def _spec(installation: Installation, workers: KedaWorkers) -> Mapping[str, Any]:
    return {
        "jobTargetRef": _job(installation, workers),
        "pollingInterval": _EVERY,
        "maxReplicaCount": workers.most,
        "rollout": {"strategy": "gradual"},  # else a change would end the workers that are there
        "scalingStrategy": {"strategy": "default"},  # open tasks, less the workers that run
        "triggers": [
            {
                "type": "postgresql",
                "metadata": {
                    "host": f"{POSTGRESQL}.{installation.namespace}.svc",
                    "port": str(POSTGRESQL_PORT),
                    "userName": _ROLE,
                    "dbName": "fairlead",
                    "sslmode": "disable",  # as for the installation's own programs
                    "query": _QUERY,
                    "targetQueryValue": str(workers.tasks),
                },
                "authenticationRef": {"name": _NAME},
            }
        ],
    }


def _job(installation: Installation, workers: KedaWorkers) -> Mapping[str, Any]:
    place = PodPlace(
        image=installation.image,
        service_account=TRAINER if installation.training else POWERLESS,
        claim=None if installation.artifacts else CLAIM,
    )
    worker = pods.container(
        place,
        name="worker",
        arguments=[
            *("worker", "--name", "$(POD_NAME)", "--idle-seconds", str(_IDLE)),
            *("--drain-seconds", str(_GRACE - 5)),
        ],
        requests={"cpu": workers.cpu, "memory": workers.memory},
        limits={"memory": workers.memory},
        config_maps=[SETTINGS],
        secrets=[SETTINGS],
    )
    spec = pods.pod(place, worker, grace=_GRACE, restarts="Never")
    spec.automountServiceAccountToken = installation.training
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    return {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": 0,
        "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [disrupted]}]},
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": _KEPT,
        "template": {
            "metadata": {
                "labels": pods.labels(instance="keda", component="worker"),
                "annotations": {**pods.UNDISTURBED},
            },
            "spec": spec.to_dict(),
        },
    }


def _policy(installation: Installation) -> NetworkPolicy:
    """KEDA's operator, in whatever namespace it is, may ask the ledger."""
    peer = NetworkPolicyPeer(
        namespaceSelector=LabelSelector(), podSelector=LabelSelector(matchLabels=_OPERATOR)
    )
    port = NetworkPolicyPort(port=POSTGRESQL_PORT, protocol="TCP")
    rule = NetworkPolicyIngressRule(from_=[peer], ports=[port])
    spec = NetworkPolicySpec(
        podSelector=LabelSelector(matchLabels=selected(POSTGRESQL)),
        policyTypes=["Ingress"],
        ingress=[rule],
    )
    return NetworkPolicy(metadata=metadata(installation, "fairlead-keda", "network"), spec=spec)
