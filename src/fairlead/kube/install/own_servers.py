"""A PostgreSQL and a RabbitMQ of the installation's own: one pod each, the data on a volume.

The images are the official ones, or others that take the same: of PostgreSQL the variables
POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD_FILE and PGDATA; of RabbitMQ RABBITMQ_CONFIG_FILE and
the like. In both the program's user has the number 999.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lightkube.models.apps_v1 import StatefulSetSpec
from lightkube.models.core_v1 import (
    Capabilities,
    Container,
    ContainerPort,
    EmptyDirVolumeSource,
    EnvVar,
    PodSecurityContext,
    PodSpec,
    PodTemplateSpec,
    Probe,
    ResourceRequirements,
    SeccompProfile,
    SecretVolumeSource,
    SecurityContext,
    ServicePort,
    ServiceSpec,
    TCPSocketAction,
    Volume,
    VolumeMount,
)
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.core_v1 import PersistentVolumeClaim, Service

from fairlead.kube.install.installation import (
    POSTGRESQL,
    POSTGRESQL_PORT,
    RABBITMQ,
    RABBITMQ_PORT,
    Installation,
    OwnServer,
)
from fairlead.kube.install.labels import installed, metadata, selected
from fairlead.kube.install.rights import POWERLESS
from fairlead.kube.install.stores import (
    PASSWORD,
    RABBITMQ_CONF,
    claim_spec,
)

_USER = 999
_SECRETS = "/run/secrets/fairlead"
_GRACE = 60


@dataclass(frozen=True, kw_only=True)
class _Program:
    """What one of them is, and what it needs.

    Args:
        name: Of all that it has.
        port: That it listens on.
        data: The folder of its volume.
        scratch: Folders that it writes to besides, by the names of their volumes.
        variables: Of its environment.
    """

    name: str
    port: int
    data: str
    scratch: Mapping[str, str]
    variables: Mapping[str, str]


_POSTGRESQL = _Program(
    name=POSTGRESQL,
    port=POSTGRESQL_PORT,
    data="/var/lib/postgresql/data",
    scratch={"run": "/var/run/postgresql", "tmp": "/tmp"},  # noqa: S108 - of a pod
    variables={
        "POSTGRES_USER": "fairlead",
        "POSTGRES_DB": "fairlead",
        "POSTGRES_PASSWORD_FILE": f"{_SECRETS}/{PASSWORD}",
        "POSTGRES_INITDB_ARGS": "--auth-host=scram-sha-256 --data-checksums",
        "PGDATA": "/var/lib/postgresql/data/pgdata",
    },
)
_RABBITMQ = _Program(
    name=RABBITMQ,
    port=RABBITMQ_PORT,
    data="/var/lib/rabbitmq",
    scratch={"log": "/var/log/rabbitmq", "tmp": "/tmp"},  # noqa: S108 - of a pod
    variables={
        "HOME": "/var/lib/rabbitmq",
        "RABBITMQ_NODENAME": "rabbit@localhost",  # its data keeps the name: no pod's own
        "RABBITMQ_CONFIG_FILE": f"{_SECRETS}/{RABBITMQ_CONF}",
        "RABBITMQ_LOGS": "-",
    },
)


def postgresql(installation: Installation, own: OwnServer) -> tuple[Service, StatefulSet]:
    """The ledger's PostgreSQL."""
    return _service(installation, _POSTGRESQL), _stateful(installation, own, _POSTGRESQL)


def rabbitmq(installation: Installation, own: OwnServer) -> tuple[Service, StatefulSet]:
    """The RabbitMQ that tells workers of tasks."""
    return _service(installation, _RABBITMQ), _stateful(installation, own, _RABBITMQ)


def _service(installation: Installation, program: _Program) -> Service:
    port = ServicePort(name=program.name, port=program.port, targetPort=program.name)
    return Service(
        metadata=metadata(installation, program.name, program.name),
        spec=ServiceSpec(selector=selected(program.name), ports=[port]),
    )


def _stateful(installation: Installation, own: OwnServer, program: _Program) -> StatefulSet:
    volume = PersistentVolumeClaim(
        metadata=ObjectMeta(name="data", labels=installed(program.name)),
        spec=claim_spec(own.claim),
    )
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels=installed(program.name)), spec=_pod(own, program)
    )
    return StatefulSet(
        metadata=metadata(installation, program.name, program.name),
        spec=StatefulSetSpec(
            replicas=1,
            serviceName=program.name,
            podManagementPolicy="Parallel",  # else a pod that is never ready is never replaced
            selector=LabelSelector(matchLabels=selected(program.name)),
            template=template,
            volumeClaimTemplates=[volume],
        ),
    )


def _pod(own: OwnServer, program: _Program) -> PodSpec:
    login = SecretVolumeSource(secretName=program.name, defaultMode=0o440)
    scratch = [Volume(name=name, emptyDir=EmptyDirVolumeSource()) for name in program.scratch]
    return PodSpec(
        serviceAccountName=POWERLESS,
        automountServiceAccountToken=False,
        enableServiceLinks=False,  # else variables of its own Service would be settings to it
        terminationGracePeriodSeconds=_GRACE,
        securityContext=PodSecurityContext(
            runAsNonRoot=True,
            runAsUser=_USER,
            runAsGroup=_USER,
            fsGroup=_USER,
            fsGroupChangePolicy="OnRootMismatch",
            seccompProfile=SeccompProfile(type="RuntimeDefault"),
        ),
        containers=[_container(own, program)],
        volumes=[*scratch, Volume(name="login", secret=login)],
    )


def _container(own: OwnServer, program: _Program) -> Container:
    folders = {**program.scratch, "data": program.data}
    return Container(
        name=program.name,
        image=own.image,
        env=[EnvVar(name=key, value=value) for key, value in program.variables.items()],
        ports=[ContainerPort(name=program.name, containerPort=program.port)],
        resources=ResourceRequirements(
            requests={**own.resources.requests}, limits={**own.resources.limits}
        ),
        securityContext=SecurityContext(
            allowPrivilegeEscalation=False,
            capabilities=Capabilities(drop=["ALL"]),
            readOnlyRootFilesystem=True,
        ),
        startupProbe=_probe(program, period=2, failures=90),
        readinessProbe=_probe(program, period=5, failures=3),
        livenessProbe=_probe(program, period=20, failures=6),
        terminationMessagePolicy="FallbackToLogsOnError",
        volumeMounts=[
            *(VolumeMount(name=name, mountPath=path) for name, path in folders.items()),
            VolumeMount(name="login", mountPath=_SECRETS, readOnly=True),
        ],
    )


def _probe(program: _Program, *, period: int, failures: int) -> Probe:
    return Probe(
        tcpSocket=TCPSocketAction(port=program.name),
        periodSeconds=period,
        failureThreshold=failures,
        timeoutSeconds=5,
    )
