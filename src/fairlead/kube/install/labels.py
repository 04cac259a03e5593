"""The names and labels of what an installation consists of, by which it is found again."""

from __future__ import annotations

from lightkube.models.meta_v1 import LabelSelector, LabelSelectorRequirement, ObjectMeta

from fairlead.kube.install.installation import POSTGRESQL, RABBITMQ, Installation
from fairlead.kube.pods import labels

NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
MANAGED_BY = "app.kubernetes.io/managed-by"
INSTALLED = "fairlead.dev/installed"
"""The label of what was installed, and not made by the programs that were."""
FAIRLEAD = "fairlead"


def installed(component: str) -> dict[str, str]:
    """The labels of an object of the installation."""
    return {**labels(instance=FAIRLEAD, component=component), INSTALLED: "true"}


def selected(component: str) -> dict[str, str]:
    """The labels of a component's pods that never change."""
    return {NAME: FAIRLEAD, COMPONENT: component}


def programs() -> LabelSelector:
    """Selects the pods of every program of Fairlead, whoever made them."""
    others = LabelSelectorRequirement(
        key=COMPONENT, operator="NotIn", values=[POSTGRESQL, RABBITMQ]
    )
    return LabelSelector(matchLabels={NAME: FAIRLEAD}, matchExpressions=[others])


def metadata(installation: Installation, name: str, component: str) -> ObjectMeta:
    """The metadata of an object in the installation's namespace."""
    return ObjectMeta(name=name, namespace=installation.namespace, labels=installed(component))
