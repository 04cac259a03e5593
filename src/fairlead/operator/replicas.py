"""The objects by which an Endpoint is served: a Deployment, a Service, and what keeps them up.

Each replica is the ordinary `fairlead serve`: all of them follow the routes of one ledger. A new
replica takes requests when it is ready; one that ends takes none for a moment before it does, so
that a rollout of the program loses no request.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TypeAlias

from lightkube.models.apps_v1 import DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment
from lightkube.models.autoscaling_v2 import (
    CrossVersionObjectReference,
    HorizontalPodAutoscalerSpec,
    MetricSpec,
    MetricTarget,
    ResourceMetricSource,
)
from lightkube.models.core_v1 import (
    Container,
    ContainerPort,
    EnvVar,
    EnvVarSource,
    Lifecycle,
    LifecycleHandler,
    ObjectFieldSelector,
    PodTemplateSpec,
    ServicePort,
    ServiceSpec,
    SleepAction,
    TopologySpreadConstraint,
)
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.models.networking_v1 import (
    HTTPIngressPath,
    HTTPIngressRuleValue,
    IngressBackend,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    IngressTLS,
    ServiceBackendPort,
)
from lightkube.models.policy_v1 import PodDisruptionBudgetSpec
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from lightkube.resources.core_v1 import Service
from lightkube.resources.networking_v1 import Ingress
from lightkube.resources.policy_v1 import PodDisruptionBudget
from msgspec.structs import replace

from fairlead.errors import Conflict
from fairlead.kube import pods
from fairlead.kube.install.installation import SERVING_PORT
from fairlead.kube.install.labels import COMPONENT
from fairlead.kube.install.programs import FINGERPRINT
from fairlead.kube.kinds import ENDPOINTS
from fairlead.kube.place import PodPlace, PodSettings
from fairlead.operator.endpoint_object import EndpointObject, IngressChoice
from fairlead.operator.endpoint_scale import Scale

Replica: TypeAlias = Deployment | Service | PodDisruptionBudget | HorizontalPodAutoscaler | Ingress
OPTIONAL: Sequence[type[Replica]] = (HorizontalPodAutoscaler, Ingress)
"""What an Endpoint may have had, by its own name, and has not any more."""

ENDPOINT_LABEL = "fairlead.dev/endpoint"
"""The label of the replicas of an Endpoint; its value is the Endpoint's name."""
GATEWAY = "fairlead-gateway"
PORT = 80
"""Of the Service of an Endpoint."""
_GATEWAY = {"fairlead.dev/gateway": "true"}
"""The label of the gateway's pods."""
_EVERY = 300.0
"""Seconds after which all objects are applied again."""
_BUSY = 70
"""Percent of the requested processor time at which there are to be more replicas."""
_LEAVING = 5
"""Seconds for which a replica that ends still answers, until no proxy sends it requests."""
_REQUESTS = 20
"""Seconds that requests in hand have then."""


def objects(
    endpoint: EndpointObject, place: PodPlace, settings: PodSettings, scale: Scale
) -> Sequence[Replica]:
    """All of them, in the order in which they are applied.

    Args:
        endpoint: What is served.
        place: As what the replicas run.
        settings: Where they read where the stores are.
        scale: How it is served now.
    """
    behind: list[Replica] = []
    if not endpoint.least:
        behind = [_replicas_service(endpoint), *gateway(endpoint, place)]
    scaled = [_autoscaler(endpoint)] if endpoint.most > max(endpoint.least, 1) else []
    named = [_ingress(endpoint, endpoint.ingress)] if endpoint.ingress else []
    return [
        *behind,
        deployment(endpoint, place, settings, scale),
        _service(endpoint, scale),
        _budget(endpoint),
        *scaled,
        *named,
    ]


def digest_of(wanted: Sequence[Replica], now: float) -> str:
    """Names the objects, and some minutes, after which they are applied again.

    So what somebody deleted or changed comes back.

    Args:
        wanted: The objects.
        now: The time, in seconds.
    """
    content = [one.to_dict() for one in wanted]
    text = json.dumps([content, now // _EVERY], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def refuse_other(there: Replica, wanted: Replica) -> None:
    """Refuse an object that has the name of one of an Endpoint, and belongs to somebody else.

    Raises:
        Conflict: It does.
    """
    if _owner(there) != _owner(wanted):
        raise Conflict(
            f"the {type(wanted).__name__} {name_of(wanted)!r} is there and not of this Endpoint: "
            "delete it, or serve the model in another namespace"
        )


def is_owned(there: Replica, endpoint: EndpointObject) -> bool:
    """Whether the object is the Endpoint's."""
    return _owner(there) == endpoint.uid


def _owner(one: Replica) -> str | None:
    """Whose it is: of the Endpoint of this uid; without one, of the component that labels name."""
    assert one.metadata is not None
    owners = one.metadata.ownerReferences or ()
    component = (one.metadata.labels or {}).get(COMPONENT)
    return next((owner.uid for owner in owners if owner.controller), component)


def name_of(one: Replica) -> str:
    """The name of an object."""
    assert one.metadata is not None
    return str(one.metadata.name)


def deployment(
    endpoint: EndpointObject, place: PodPlace, settings: PodSettings, scale: Scale
) -> Deployment:
    """The replicas; an autoscaler says how many there are, where there is one."""
    scaled = endpoint.most > max(endpoint.least, 1)
    fixed = None if scaled else max(endpoint.least, 1)
    template = pods.pod(
        place,
        _container(endpoint, place, settings),
        grace=_LEAVING + _REQUESTS + 5,
        restarts="Always",
    )
    pods.add_tokens(template)
    template.topologySpreadConstraints = [_spread(endpoint)]
    return Deployment(
        metadata=_metadata(endpoint),
        spec=DeploymentSpec(
            replicas=fixed if scale.replicas is None else scale.replicas,
            revisionHistoryLimit=2,
            selector=LabelSelector(matchLabels=_selector(endpoint)),
            strategy=_one_more_first(),
            template=PodTemplateSpec(
                metadata=ObjectMeta(
                    labels={**_labels(endpoint), **_selector(endpoint)},
                    annotations={FINGERPRINT: settings.fingerprint},
                ),
                spec=template,
            ),
        ),
    )


def as_many(one: Replica, there: Deployment | None, endpoint: EndpointObject) -> Replica:
    """The object with as many replicas as there are, where an autoscaler says how many.

    A field that is applied no more would fall back to one replica, whatever the autoscaler said.
    """
    if not isinstance(one, Deployment) or one.spec is None or one.spec.replicas is not None:
        return one
    now = (there.spec.replicas if there and there.spec else None) or 0
    return replace(one, spec=replace(one.spec, replicas=max(now, endpoint.least, 1)))


def _container(endpoint: EndpointObject, place: PodPlace, settings: PodSettings) -> Container:
    # Bound everywhere, so that a port can be forwarded to it. Other servers and commands reach it
    # by what it says of itself: the pod's address.
    listening = ["--host", "0.0.0.0", "--port", str(SERVING_PORT)]  # noqa: S104 - of its pod
    arguments = ["serve", endpoint.model, *listening, "--advertise", "$(POD_IP)"]
    made = pods.container(
        place,
        name="serve",
        arguments=[*arguments, "--grace", str(_REQUESTS), "--log-form", "json"],
        requests={"cpu": endpoint.cpu, "memory": endpoint.memory},
        limits={"memory": endpoint.memory},
        config_maps=[settings.name],
        secrets=[settings.name],
    )
    address = ObjectFieldSelector(fieldPath="status.podIP")
    made.env = [EnvVar(name="POD_IP", valueFrom=EnvVarSource(fieldRef=address)), *(made.env or ())]
    made.ports = [ContainerPort(name="http", containerPort=SERVING_PORT)]
    made.startupProbe = pods.probe("/readyz", period=1, failures=120)
    made.readinessProbe = pods.probe("/readyz", period=2, failures=2)
    made.livenessProbe = pods.probe("/livez", period=10, failures=6)
    made.lifecycle = Lifecycle(preStop=LifecycleHandler(sleep=SleepAction(seconds=_LEAVING)))
    return made


def _spread(endpoint: EndpointObject) -> TopologySpreadConstraint:
    return TopologySpreadConstraint(
        maxSkew=1,
        topologyKey="kubernetes.io/hostname",
        whenUnsatisfiable="ScheduleAnyway",
        labelSelector=LabelSelector(matchLabels=_selector(endpoint)),
    )


def _service(endpoint: EndpointObject, scale: Scale) -> Service:
    """Where clients ask: the replicas, or the gateway."""
    return Service(
        metadata=_metadata(endpoint),
        spec=ServiceSpec(
            type="NodePort" if endpoint.node_port else "ClusterIP",
            selector=_GATEWAY if scale.gateway else _selector(endpoint),
            ports=[ServicePort(name="http", port=PORT, targetPort="http", nodePort=endpoint.port)],
        ),
    )


def _ingress(endpoint: EndpointObject, choice: IngressChoice) -> Ingress:
    port = ServiceBackendPort(number=PORT)
    service = IngressServiceBackend(name=endpoint.name, port=port)
    path = HTTPIngressPath(path="/", pathType="Prefix", backend=IngressBackend(service=service))
    secret = choice.tls_secret
    return Ingress(
        metadata=_metadata(endpoint),
        spec=IngressSpec(
            ingressClassName=choice.ingress_class,
            rules=[IngressRule(host=choice.host, http=HTTPIngressRuleValue(paths=[path]))],
            tls=[IngressTLS(hosts=[choice.host], secretName=secret)] if secret else None,
        ),
    )


def _replicas_service(endpoint: EndpointObject) -> Service:
    """Where the gateway finds the replicas of the model.

    Also those that are not ready, which it asks itself whether they are: a probe, and what it
    changes on all nodes, take longer than the start of the program.
    """
    metadata = _metadata(endpoint)
    metadata.name = f"{endpoint.model}-replicas"
    return Service(
        metadata=metadata,
        spec=ServiceSpec(
            publishNotReadyAddresses=True,
            selector=_selector(endpoint),
            ports=[ServicePort(name="http", port=SERVING_PORT, targetPort="http")],
        ),
    )


def gateway(endpoint: EndpointObject, place: PodPlace) -> tuple[Deployment, Service]:
    """The gateway of the namespace, which all Endpoints that sleep have in common."""
    labels = pods.labels(instance=GATEWAY, component="gateway")
    metadata = ObjectMeta(name=GATEWAY, namespace=endpoint.namespace, labels=labels)
    replicas = f"http://{{model}}-replicas.{endpoint.namespace}.svc:{SERVING_PORT}"
    listening = ["--host", "0.0.0.0", "--port", str(SERVING_PORT)]  # noqa: S104 - of its pod
    made = pods.container(
        place,
        name="gateway",
        arguments=["gateway", "--to", replicas, *listening],
        requests={"cpu": "50m", "memory": "128Mi"},
        limits={"memory": "512Mi"},
    )
    made.ports = [ContainerPort(name="http", containerPort=SERVING_PORT)]
    made.readinessProbe = pods.probe("/livez", period=2, failures=2)
    made.livenessProbe = pods.probe("/livez", period=10, failures=6)
    made.lifecycle = Lifecycle(preStop=LifecycleHandler(sleep=SleepAction(seconds=_LEAVING)))
    template = pods.pod(place, made, grace=_LEAVING + _REQUESTS + 5, restarts="Always")
    deployment = Deployment(
        metadata=metadata,
        spec=DeploymentSpec(
            replicas=1,
            revisionHistoryLimit=2,
            selector=LabelSelector(matchLabels=_GATEWAY),
            strategy=_one_more_first(),
            template=PodTemplateSpec(
                metadata=ObjectMeta(labels={**labels, **_GATEWAY}), spec=template
            ),
        ),
    )
    ports = [ServicePort(name="http", port=SERVING_PORT, targetPort="http")]
    return deployment, Service(metadata=metadata, spec=ServiceSpec(selector=_GATEWAY, ports=ports))


def _one_more_first() -> DeploymentStrategy:
    rolling = RollingUpdateDeployment(maxSurge=1, maxUnavailable=0)
    return DeploymentStrategy(type="RollingUpdate", rollingUpdate=rolling)


def _budget(endpoint: EndpointObject) -> PodDisruptionBudget:
    """A drain takes one replica at a time, also the only one."""
    return PodDisruptionBudget(
        metadata=_metadata(endpoint),
        spec=PodDisruptionBudgetSpec(
            maxUnavailable=1, selector=LabelSelector(matchLabels=_selector(endpoint))
        ),
    )


def _autoscaler(endpoint: EndpointObject) -> HorizontalPodAutoscaler:
    target = MetricTarget(type="Utilization", averageUtilization=_BUSY)
    processor = ResourceMetricSource(name="cpu", target=target)
    return HorizontalPodAutoscaler(
        metadata=_metadata(endpoint),
        spec=HorizontalPodAutoscalerSpec(
            scaleTargetRef=CrossVersionObjectReference(
                apiVersion="apps/v1", kind="Deployment", name=endpoint.name
            ),
            minReplicas=max(endpoint.least, 1),
            maxReplicas=endpoint.most,
            metrics=[MetricSpec(type="Resource", resource=processor)],
        ),
    )


def _metadata(endpoint: EndpointObject) -> ObjectMeta:
    owner = pods.owned_by(ENDPOINTS, name=endpoint.name, uid=endpoint.uid)
    return ObjectMeta(
        name=endpoint.name,
        namespace=endpoint.namespace,
        labels=_labels(endpoint),
        ownerReferences=[owner],
    )


def _labels(endpoint: EndpointObject) -> dict[str, str]:
    return pods.labels(instance=endpoint.name[:63], component="serving")


def _selector(endpoint: EndpointObject) -> dict[str, str]:
    return {ENDPOINT_LABEL: endpoint.name[:63]}
