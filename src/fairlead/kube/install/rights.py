"""What programs may do in the namespace of an installation, each right with its reason.

The operator has rights, and so have workers that train with pods of their own, where that is
installed; no other pod has any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightkube.models.rbac_v1 import PolicyRule, RoleRef, Subject
from lightkube.resources.core_v1 import ServiceAccount
from lightkube.resources.rbac_authorization_v1 import Role, RoleBinding

from fairlead.kube.install.installation import Installation
from fairlead.kube.install.labels import metadata
from fairlead.kube.kinds import ENDPOINTS, GROUP, STUDIES

OPERATOR = "fairlead-operator"
"""The service account of the operator, its Role and its Deployment."""
POWERLESS = "fairlead"
"""The service account of all other pods: it may do nothing, and they have no token of it."""
TRAINER = "fairlead-trainer"
"""The service account of workers whose fits start pods, and its Role."""


@dataclass(frozen=True, kw_only=True)
class Right:
    """What may be done with which resources of an API group, and why."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str


_KINDS = tuple(kind.plural for kind in (STUDIES, ENDPOINTS))

OPERATOR_RIGHTS: Sequence[Right] = (
    Right(
        group=GROUP,
        resources=_KINDS,
        verbs=("list", "watch", "patch"),
        why="follows Studies and Endpoints, and sets and removes its finalizer",
    ),
    Right(
        group=GROUP,
        resources=tuple(f"{each}/status" for each in _KINDS),
        verbs=("patch",),
        why="says how far each is",
    ),
    Right(
        group="",
        resources=("events",),
        verbs=("list", "create"),
        why="says what happened to each; reads why a pod is not made",
    ),
    Right(
        group="",
        resources=("namespaces",),
        verbs=("get",),
        why="sees whether its own is deleted, and then lets go of all Studies and Endpoints",
    ),
    Right(
        group="batch",
        resources=("jobs",),
        verbs=("get", "list", "create", "delete"),
        why="submissions and workers are Jobs",
    ),
    Right(
        group="",
        resources=("pods",),
        verbs=("list", "delete"),
        why="sees how submissions and workers are; takes back workers of a Study that is deleted",
    ),
    Right(
        group="",
        resources=("configmaps",),
        verbs=("create", "patch", "delete"),
        why="the document and the files of a Study, for the pod that submits them",
    ),
    Right(
        group="",
        resources=("secrets",),
        verbs=("create", "patch", "delete"),
        why="the addresses with passwords that workers of a group get; it asks for none",
    ),
    Right(
        group="apps",
        resources=("deployments",),
        verbs=("get", "create", "patch"),
        why="an Endpoint is a Deployment, which is deleted with it",
    ),
    Right(
        group="",
        resources=("services",),
        verbs=("get", "create", "patch"),
        why="an Endpoint has a Service",
    ),
    Right(
        group="policy",
        resources=("poddisruptionbudgets",),
        verbs=("get", "create", "patch"),
        why="a drain leaves an Endpoint with enough replicas",
    ),
    Right(
        group="autoscaling",
        resources=("horizontalpodautoscalers",),
        verbs=("get", "create", "patch", "delete"),
        why="an Endpoint has as many replicas as its load wants",
    ),
    Right(
        group="networking.k8s.io",
        resources=("ingresses",),
        verbs=("get", "create", "patch", "delete"),
        why="an Endpoint may have a name outside of the cluster",
    ),
)


TRAINER_RIGHTS: Sequence[Right] = (
    Right(
        group="",
        resources=("pods",),
        verbs=("get", "list", "watch", "create", "patch", "delete", "deletecollection"),
        why="ranks are as its own pod is; sees how they are, and ends them; Spark's executors",
    ),
    Right(
        group="",
        resources=("pods/log",),
        verbs=("get",),
        why="says what a rank printed that failed",
    ),
    Right(
        group="",
        resources=("events",),
        verbs=("list",),
        why="reads why a pod is not made",
    ),
    Right(
        group="batch",
        resources=("jobs",),
        verbs=("get", "create", "patch", "delete"),
        why="with engine: kubernetes, the ranks of a fit are an Indexed Job, which grows",
    ),
    Right(
        group="apps",
        resources=("statefulsets",),
        verbs=("get", "create", "patch", "delete"),
        why="with train.most, they are a StatefulSet",
    ),
    Right(
        group="autoscaling",
        resources=("horizontalpodautoscalers",),
        verbs=("create", "patch", "delete"),
        why="with train.most, they become more while they are busy",
    ),
    Right(
        group="",
        resources=("services",),
        verbs=("create", "patch", "delete"),
        why="gives ranks names by which they find each other",
    ),
    Right(
        group="",
        resources=("secrets",),
        verbs=("create", "patch", "delete"),
        why="what ranks and their driver know each other by; it asks for none",
    ),
    Right(
        group="networking.k8s.io",
        resources=("networkpolicies",),
        verbs=("create", "patch", "delete"),
        why="lets nobody reach ranks but each other, and Spark's driver its executors",
    ),
    Right(
        group="",
        resources=("configmaps",),
        verbs=("get", "list", "create", "patch", "delete", "deletecollection"),
        why="with engine: spark, the settings of executors",
    ),
    Right(
        group="",
        resources=("persistentvolumeclaims",),
        verbs=("list", "deletecollection"),
        why="with engine: spark, executors that end leave no volumes",
    ),
    Right(
        group="kubeflow.org",
        resources=("tfjobs",),
        verbs=("get", "create", "patch", "delete"),
        why="with engine: tfjob, the ranks of a fit are a TFJob",
    ),
    Right(
        group="trainer.kubeflow.org",
        resources=("trainjobs", "trainingruntimes"),
        verbs=("get", "create", "patch", "delete"),
        why="with engine: trainjob, they are a TrainJob and what it runs as",
    ),
)


def operator_access(installation: Installation) -> tuple[ServiceAccount, Role, RoleBinding]:
    """The operator's service account, with its rights in this namespace."""
    return _access(installation, OPERATOR, "operator", OPERATOR_RIGHTS)


def trainer_access(installation: Installation) -> tuple[ServiceAccount, Role, RoleBinding]:
    """The service account of workers that train with pods of their own, with its rights."""
    return _access(installation, TRAINER, "worker", TRAINER_RIGHTS)


def _access(
    installation: Installation, name: str, component: str, rights: Sequence[Right]
) -> tuple[ServiceAccount, Role, RoleBinding]:
    meta = metadata(installation, name, component)
    rules = [
        PolicyRule(
            apiGroups=[right.group], resources=list(right.resources), verbs=list(right.verbs)
        )
        for right in rights
    ]
    group = "rbac.authorization.k8s.io"
    return (
        ServiceAccount(metadata=meta, automountServiceAccountToken=False),
        Role(metadata=meta, rules=rules),
        RoleBinding(
            metadata=meta,
            roleRef=RoleRef(apiGroup=group, kind="Role", name=name),
            subjects=[Subject(kind="ServiceAccount", name=name, namespace=meta.namespace)],
        ),
    )


def powerless_account(installation: Installation) -> ServiceAccount:
    """The service account of all pods that ask nothing of the cluster."""
    return ServiceAccount(
        metadata=metadata(installation, POWERLESS, "account"),
        automountServiceAccountToken=False,
    )
