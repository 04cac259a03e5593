"""What is chosen of an installation in a Kubernetes cluster; all else follows from it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from fairlead.errors import Invalid, NextStep
from fairlead.formatting import without_password
from fairlead.kube.pods import ARTIFACTS
from fairlead.version import VERSION

Access: TypeAlias = Literal["ReadWriteOnce", "ReadWriteMany"]

POSTGRESQL = "postgresql"
RABBITMQ = "rabbitmq"
"""The parts that an installation may have besides, by the names of all that they consist of."""
PORT = 8000
"""Of the control API."""
POSTGRESQL_PORT = 5432
RABBITMQ_PORT = 5672
HEALTH_PORT = 8080
"""Of the operator's health."""
SERVING_PORT = 8080
"""Of the replicas of an Endpoint."""
IMAGE = f"fairlead:{VERSION}"
POSTGRESQL_IMAGE = "docker.io/library/postgres:17.6-bookworm"
RABBITMQ_IMAGE = "docker.io/library/rabbitmq:4.1.4"

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_QUANTITY = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:m|[kMGTPE]|[KMGTPE]i)?")
_LATEST = "latest"


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a pod asks of its node, and what it may take of it, as Kubernetes' quantities."""

    cpu: str
    memory: str
    cpu_limit: str
    memory_limit: str

    @property
    def requests(self) -> Mapping[str, str]:
        """What it asks of its node."""
        return {"cpu": self.cpu, "memory": self.memory}

    @property
    def limits(self) -> Mapping[str, str]:
        """What it may take."""
        return {"cpu": self.cpu_limit, "memory": self.memory_limit}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A volume.

    Args:
        size: As a quantity of Kubernetes, such as 10Gi.
        storage_class: That makes it; the cluster's default one if empty.
        access: Whether pods on several nodes may mount it at once.
    """

    size: str = "10Gi"
    storage_class: str = ""
    access: Access = "ReadWriteOnce"


@dataclass(frozen=True, kw_only=True)
class OwnServer:
    """A PostgreSQL or a RabbitMQ of the installation's own: one pod, its data on a volume."""

    image: str
    claim: Claim
    resources: Resources


def own_postgresql(*, image: str | None = None, storage_class: str = "") -> OwnServer:
    """The PostgreSQL of an installation."""
    return OwnServer(
        image=image or POSTGRESQL_IMAGE,
        claim=Claim(size="10Gi", storage_class=storage_class),
        resources=Resources(cpu="100m", memory="256Mi", cpu_limit="2", memory_limit="1Gi"),
    )


def own_rabbitmq(*, image: str | None = None, storage_class: str = "") -> OwnServer:
    """The RabbitMQ of an installation."""
    return OwnServer(
        image=image or RABBITMQ_IMAGE,
        claim=Claim(size="2Gi", storage_class=storage_class),
        resources=Resources(cpu="50m", memory="256Mi", cpu_limit="1", memory_limit="1Gi"),
    )


@dataclass(frozen=True, kw_only=True)
class KedaWorkers:
    """Workers that KEDA starts.

    Args:
        most: At most so many.
        tasks: Open tasks that one of them is worth.
        cpu: That each asks for, as a quantity.
        memory: That each asks for and may take.
    """

    most: int = 8
    tasks: int = 1
    cpu: str = "1"
    memory: str = "1Gi"

    def __post_init__(self) -> None:
        refuse_quantity(self.cpu, "a worker's CPU")
        refuse_quantity(self.memory, "a worker's memory")


@dataclass(frozen=True, kw_only=True)
class Installation:
    """An installation.

    Args:
        namespace: That it is in.
        image: Of Fairlead.
        ledger: URL of the ledger's PostgreSQL; empty where `postgresql` is its server.
        queue: URL of a RabbitMQ; empty where `rabbitmq` is it, or there is none.
        artifacts: URL of the artefact store; empty where `claim` is it.
        claim: The volume of the artefacts.
        postgresql: The PostgreSQL that is part of the installation, if one is.
        rabbitmq: The RabbitMQ that is part of the installation, if one is.
        tls_secret: Name of a Secret of type kubernetes.io/tls by which the server speaks TLS; empty
            for plain HTTP.
        keda: The workers that KEDA starts, in place of the operator.
        training: Whether fits may start pods: what `train.engine` needs, and what a worker's token
            is worth.
        server: What `fairlead server` asks of its node.
        operator: What `fairlead operator` asks of its node.

    Raises:
        Invalid: It cannot be installed.
    """

    namespace: str = "fairlead"
    image: str = IMAGE
    ledger: str = ""
    queue: str = ""
    artifacts: str = ""
    claim: Claim = field(default_factory=Claim)
    postgresql: OwnServer | None = None
    rabbitmq: OwnServer | None = None
    tls_secret: str = ""
    keda: KedaWorkers | None = None
    training: bool = False
    server: Resources = field(
        default_factory=lambda: Resources(
            cpu="100m", memory="512Mi", cpu_limit="2", memory_limit="2Gi"
        )
    )
    operator: Resources = field(
        default_factory=lambda: Resources(
            cpu="50m", memory="256Mi", cpu_limit="1", memory_limit="512Mi"
        )
    )

    def __post_init__(self) -> None:
        refuse_namespace(self.namespace)
        self._refuse_stores()
        if self.keda and not self.postgresql:
            raise Invalid(
                f"ledger {without_password(self.ledger)!r}: KEDA's role is made in the PostgreSQL "
                "of the installation: install postgresql as well, or write a ScaledJob for yours"
            )
        for image in self.images:
            refuse_image(image)
        for claim in self.claims.values():
            refuse_quantity(claim.size, "a volume's size")

    def _refuse_stores(self) -> None:
        if not (self.postgresql or self.ledger.startswith("postgresql://")):
            own = NextStep("install", {"parts": POSTGRESQL}, "has one installed as well")
            raise Invalid(
                f"ledger {without_password(self.ledger)!r}: the pods of a cluster share a ledger "
                "on PostgreSQL: name it (postgresql://USER@HOST/DATABASE)",
                code="ledger_not_shared",
                next_steps=(own,),
            )
        if self.queue and not self.queue.startswith(("amqp://", "amqps://")):
            raise Invalid(f"queue {without_password(self.queue)!r}: name a RabbitMQ (amqps://...)")
        if self.artifacts and ("://" not in self.artifacts or self.artifacts.startswith("file:")):
            raise Invalid(
                f"artefacts {self.artifacts!r}: pods reach no folder of this machine: give the URL "
                "of a store, such as s3://BUCKET/PREFIX, or none for a volume of the cluster"
            )

    @property
    def images(self) -> tuple[str, ...]:
        """Every image that is pulled."""
        own = (self.postgresql, self.rabbitmq)
        return (self.image, *(each.image for each in own if each))

    @property
    def claims(self) -> Mapping[str, Claim]:
        """Every volume that is claimed, by the name of its claim."""
        found = {} if self.artifacts else {"fairlead-artifacts": self.claim}
        if self.postgresql:
            found["data-postgresql-0"] = self.postgresql.claim
        if self.rabbitmq:
            found["data-rabbitmq-0"] = self.rabbitmq.claim
        return found

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings that are no secrets, as environment variables of every pod."""
        return {
            "FAIRLEAD_ARTIFACTS": self.artifacts or ARTIFACTS,
            "FAIRLEAD_MLFLOW_URI": "none",  # a file of a pod would end with the pod
        }

    @property
    def fingerprint(self) -> str:
        """Of what pods read when they start: where it changes, they start again."""
        ledger = POSTGRESQL if self.postgresql else without_password(self.ledger)
        queue = RABBITMQ if self.rabbitmq else without_password(self.queue)
        text = json.dumps([self.settings, ledger, queue])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def refuse_quantity(text: str, what: str) -> None:
    """Refuse what is no quantity of Kubernetes. Raises Invalid."""
    if not _QUANTITY.fullmatch(text):
        raise Invalid(f"{what} must be a quantity such as 500m, 512Mi or 10Gi, not {text!r}")


def refuse_namespace(name: str) -> None:
    """Refuse a name that no namespace can have.

    Raises:
        Invalid: It is one.
    """
    if not _NAMESPACE.fullmatch(name):
        raise Invalid(
            f"namespace {name!r}: a namespace has 1 to 63 lower-case letters, digits and hyphens, "
            "none of these first or last"
        )


def refuse_image(image: str) -> None:
    """Refuse one that nobody can name twice: a node pulls `latest` anew, whatever that is then.

    Raises:
        Invalid: It is one.
    """
    last = image.rpartition("/")[2]
    tag = last.partition(":")[2]
    if "@sha256:" not in image and tag in {"", _LATEST}:
        raise Invalid(
            f"image {image!r}: give it a tag other than latest, or a digest (@sha256:...)"
        )
