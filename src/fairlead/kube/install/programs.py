"""The Deployments of `fairlead server` and `fairlead operator`."""

from __future__ import annotations

from collections.abc import Sequence

from lightkube.models.apps_v1 import DeploymentSpec, DeploymentStrategy
from lightkube.models.core_v1 import (
    Container,
    ContainerPort,
    EnvVar,
    EnvVarSource,
    ObjectFieldSelector,
    PodSpec,
    PodTemplateSpec,
    SecretKeySelector,
    ServicePort,
    ServiceSpec,
)
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Service

from fairlead.kube import pods
from fairlead.kube.install.installation import HEALTH_PORT, PORT, Installation, Resources
from fairlead.kube.install.keda import view_maker
from fairlead.kube.install.labels import installed, metadata, selected
from fairlead.kube.install.rights import OPERATOR, POWERLESS, TRAINER
from fairlead.kube.install.stores import (
    CLAIM,
    ENDPOINT_TOKEN,
    SETTINGS,
)
from fairlead.kube.place import PodPlace

SERVER = "fairlead-server"
FINGERPRINT = "fairlead.dev/settings"
"""The annotation by which pods start again where their settings change."""
_SERVER_HEALTH = "/api/v1/health"
_OPERATOR_HEALTH = "/healthz"
_GRACE = 60


def server_service(installation: Installation) -> Service:
    """The address of the control API inside the cluster."""
    return Service(
        metadata=metadata(installation, SERVER, "server"),
        spec=ServiceSpec(
            selector=selected("server"),
            ports=[ServicePort(name="http", port=PORT, targetPort="http")],
        ),
    )


def server(installation: Installation) -> Deployment:
    """The control API, with a controller that carries runs. It wants a token of everybody."""
    listening = ("--host", "0.0.0.0", "--port", str(PORT))  # noqa: S104 - of its pod
    certificate = [f"{pods.CERTIFICATE}/{name}" for name in ("tls.crt", "tls.key")]
    by_tls = ("--tls-cert", certificate[0], "--tls-key", certificate[1])
    container = _container(
        installation,
        "server",
        arguments=("server", *listening, *(by_tls if installation.tls_secret else ())),
        resources=installation.server,
        health=_SERVER_HEALTH,
        port=PORT,
        tls=bool(installation.tls_secret),
    )
    spec = _pod(installation, container)
    pods.add_tokens(spec)
    if installation.tls_secret:
        pods.add_certificate(spec, installation.tls_secret)
    if installation.keda:
        spec.initContainers = [view_maker(installation, installation.image)]
    return _deployment(installation, SERVER, "server", spec)


def operator(installation: Installation) -> Deployment:
    """The operator, which may ask the cluster for something."""
    container = _container(
        installation,
        "operator",
        arguments=(
            *("operator", "--health", str(HEALTH_PORT), "--service-account", POWERLESS),
            *(("--no-workers",) if installation.keda else ()),
            *(("--trainer-account", TRAINER) if installation.training else ()),
        ),
        resources=installation.operator,
        health=_OPERATOR_HEALTH,
        port=HEALTH_PORT,
    )
    own = ObjectFieldSelector(fieldPath="metadata.namespace")
    container.env = [
        *(container.env or ()),
        EnvVar(name="POD_NAMESPACE", valueFrom=EnvVarSource(fieldRef=own)),
        EnvVar(name="FAIRLEAD_IMAGE", value=installation.image),
        EnvVar(name="FAIRLEAD_TOKEN", valueFrom=_endpoint_token()),
    ]
    spec = _pod(installation, container)
    spec.serviceAccountName, spec.automountServiceAccountToken = OPERATOR, True
    return _deployment(installation, OPERATOR, "operator", spec)


def _endpoint_token() -> EnvVarSource:
    """What replicas of Endpoints want to show how busy they are."""
    return EnvVarSource(secretKeyRef=SecretKeySelector(name=pods.TOKENS, key=ENDPOINT_TOKEN))


def _container(  # noqa: PLR0913 - what the two differ in
    installation: Installation,
    name: str,
    *,
    arguments: Sequence[str],
    resources: Resources,
    health: str,
    port: int,
    tls: bool = False,
) -> Container:
    made = pods.container(
        _place(installation),
        name=name,
        arguments=arguments,
        requests=resources.requests,
        limits=resources.limits,
        config_maps=[SETTINGS],
        secrets=[SETTINGS],
    )
    made.ports = [ContainerPort(name="http", containerPort=port)]
    made.startupProbe = pods.probe(health, period=2, failures=60, tls=tls)
    made.livenessProbe = pods.probe(health, period=20, failures=6, tls=tls)
    made.readinessProbe = pods.probe(health, period=5, failures=2, tls=tls)
    return made


def _pod(installation: Installation, container: Container) -> PodSpec:
    return pods.pod(_place(installation), container, grace=_GRACE, restarts="Always")


def _place(installation: Installation) -> PodPlace:
    return PodPlace(
        image=installation.image,
        service_account=POWERLESS,
        claim=None if installation.artifacts else CLAIM,
    )


def _deployment(installation: Installation, name: str, component: str, spec: PodSpec) -> Deployment:
    """One pod. The old one ends before the new one starts: a volume may be on one node alone."""
    annotations = {FINGERPRINT: installation.fingerprint}
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels=installed(component), annotations=annotations), spec=spec
    )
    return Deployment(
        metadata=metadata(installation, name, component),
        spec=DeploymentSpec(
            replicas=1,
            revisionHistoryLimit=2,
            strategy=DeploymentStrategy(type="Recreate"),
            selector=LabelSelector(matchLabels=selected(component)),
            template=template,
        ),
    )
