"""Everything of an installation, in the order in which it is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from lightkube.core.resource import Resource
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment, StatefulSet
from lightkube.resources.core_v1 import (
    ConfigMap,
    Namespace,
    PersistentVolumeClaim,
    Secret,
    Service,
    ServiceAccount,
)
from lightkube.resources.networking_v1 import NetworkPolicy
from lightkube.resources.rbac_authorization_v1 import Role, RoleBinding

from fairlead.kube.install import stores
from fairlead.kube.install.definitions import definitions
from fairlead.kube.install.installation import Installation
from fairlead.kube.install.keda import ScaledJob, TriggerAuthentication, keda
from fairlead.kube.install.labels import FAIRLEAD, MANAGED_BY, installed
from fairlead.kube.install.network import policies
from fairlead.kube.install.own_servers import postgresql, rabbitmq
from fairlead.kube.install.programs import operator, server, server_service
from fairlead.kube.install.rights import operator_access, powerless_account, trainer_access
from fairlead.kube.install.stores import Generated

Object: TypeAlias = Any
"""One of lightkube's resources: each has `metadata` and `to_dict`, and they share no type."""

REPLACED: Sequence[type[Resource]] = (
    NetworkPolicy,
    Deployment,
    StatefulSet,
    Service,
    ConfigMap,
    RoleBinding,
    Role,
    ServiceAccount,
)
"""What an installation makes anew at any time, in the order in which it goes."""
OF_OTHERS: Sequence[type[Any]] = (ScaledJob, TriggerAuthentication)
"""The same of kinds that not every cluster has."""
KEPT: Sequence[type[Resource]] = (Secret, PersistentVolumeClaim)
"""What holds something that cannot be made again."""


def objects(installation: Installation, passwords: Mapping[str, str]) -> tuple[Object, ...]:
    """All that is applied but the namespace and the Secrets that are made once."""
    own: list[Object] = []
    if installation.postgresql:
        own.extend(postgresql(installation, installation.postgresql))
    if installation.rabbitmq:
        own.extend(rabbitmq(installation, installation.rabbitmq))
    return (
        *definitions(),
        *policies(installation),
        powerless_account(installation),
        *operator_access(installation),
        *(trainer_access(installation) if installation.training else ()),
        stores.settings_of(installation),
        stores.addresses(installation, passwords),
        *(() if installation.artifacts else (stores.artifacts_claim(installation),)),
        *own,
        server_service(installation),
        server(installation),
        operator(installation),
        *(keda(installation, installation.keda) if installation.keda else ()),
    )


def everything(installation: Installation, generated: Generated) -> tuple[Object, ...]:
    """All of it, as a new installation has it."""
    return (
        namespace(installation, ours=True),
        *stores.kept_secrets(installation, generated),
        *objects(installation, generated.passwords),
    )


def namespace(installation: Installation, *, ours: bool) -> Namespace:
    """The namespace, which takes restricted pods alone.

    Args:
        installation: That is in it.
        ours: Whether it may be deleted with the installation: nobody else made it.
    """
    level = "pod-security.kubernetes.io"
    enforced = {f"{level}/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    own = installed("namespace") if ours else {}
    return Namespace(metadata=ObjectMeta(name=installation.namespace, labels={**own, **enforced}))


def is_ours(found: Namespace) -> bool:
    """Whether the namespace was made by an installation."""
    return (found.metadata.labels or {}).get(MANAGED_BY) == FAIRLEAD  # type: ignore[union-attr]


def superfluous(wanted: Sequence[Object], found: Sequence[Object]) -> tuple[Object, ...]:
    """What an earlier installation made and this one does not have."""
    known = {named(each) for each in wanted}
    return tuple(each for each in found if named(each) not in known)


def named(one: Object) -> tuple[str, str]:
    """The kind and the name of an object."""
    return type(one).__name__, str(one.metadata.name)


def manifest(one: Object) -> dict[str, Any]:
    """The object as a document of YAML: what it is, its name, and then the rest."""
    content = one.to_dict()
    first = {key: content[key] for key in ("apiVersion", "kind", "metadata") if key in content}
    return {**first, **content}


def definition_names() -> tuple[str, ...]:
    """The names of the CustomResourceDefinitions."""
    return tuple(str(each.metadata.name) for each in definitions() if each.metadata)
