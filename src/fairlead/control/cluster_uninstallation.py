"""An installation is taken out of a Kubernetes cluster, with its data or without.

What it consists of is found by labels, so that it goes also where it never got ready, or where
another release made it. What is gone already is no fault.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fairlead.control.cluster_installation import Listener, Progress, patiently, replaced
from fairlead.errors import Failed, NotFound

if TYPE_CHECKING:
    from fairlead.kube.client import Cluster

_EVERY = 1.0
"""Seconds between two looks at what is ending."""
_GONE = 120.0
"""Seconds in which what was deleted is gone."""
_HANDED_OVER = 30.0
"""Seconds in which the operator lets go of what it looks after."""


@dataclass(frozen=True, kw_only=True)
class Uninstalled:
    """What came of uninstalling: how many of each kind were deleted, and what is still there."""

    namespace: str
    deleted: Mapping[str, int]
    kept: tuple[str, ...]


def uninstall(cluster: Cluster, *, purge: bool, listen: Listener) -> Uninstalled:
    """Delete an installation.

    What holds data stays - volumes, Secrets, Studies, the namespace - unless it is purged. Then
    all of it goes; the kinds, which are the cluster's, unless another namespace uses them.

    Args:
        cluster: With the installation's namespace.
        purge: Whether what holds data goes as well.
        listen: Called with what is waited for.

    Raises:
        Failed: It is not allowed, or something does not go.
    """
    from fairlead.kube.install.objects import KEPT

    deleted: Counter[str] = Counter()
    if purge:
        deleted += _delete_documents(cluster, listen)
    programs, others = _parted(replaced(cluster))
    deleted += _delete(cluster, programs)
    # An operator would make again what goes next.
    _wait_for_pods(cluster, {**_installed(), **_of_programs()}, listen)
    deleted += _delete(cluster, _made_by_programs(cluster))
    # They end at once while their stores are there, and would wait for them otherwise.
    _wait_for_pods(cluster, {**_managed(), **_of_programs()}, listen)
    deleted += _delete(cluster, others)
    _wait_for_pods(cluster, _managed(), listen)
    holding = [one for kind in KEPT for one in cluster.list(kind, labels=_managed())]
    if not purge:
        kept = tuple(_worded(one) for one in holding)
        return Uninstalled(namespace=cluster.namespace, deleted=deleted, kept=kept)
    deleted += _delete(cluster, holding)
    kept = (*_delete_namespace(cluster, deleted, listen), *_delete_kinds(cluster, deleted, listen))
    return Uninstalled(namespace=cluster.namespace, deleted=deleted, kept=kept)


def _delete_documents(cluster: Cluster, listen: Listener) -> Counter[str]:
    """Studies and Endpoints: the operator lets go of them, where it runs.

    One that does not within its time, or that nobody looks after, loses its finalizers.

    Raises:
        Failed: There are always some again.
    """
    deleted: Counter[str] = Counter()
    patience = _HANDED_OVER if _operator_runs(cluster) else 0.0
    began = time.monotonic()
    while found := _documents(cluster):
        waited = time.monotonic() - began
        if waited > patience + _GONE:
            raise Failed(
                f"{_worded(found[0])} is there after {waited:.0f} s, and was deleted: have what "
                "makes it again, such as a GitOps controller, leave it out, and ask again"
            )
        for one in found:
            if not one.metadata.deletionTimestamp:
                cluster.delete(type(one), one.metadata.name)
                deleted[one.kind] += 1
        if waited >= patience:
            for one in _documents(cluster):
                _release(cluster, one)
        listen(Progress(part="studies", text=f"{len(found)} are ending"))
        time.sleep(_EVERY)
    return deleted


def _documents(cluster: Cluster) -> list[Any]:
    from fairlead.kube.kinds import KINDS

    found = []
    for kind in KINDS:
        with suppress(NotFound):  # the kind itself
            found.extend(patiently(partial(cluster.list, kind.resource)))
    return found


def _release(cluster: Cluster, one: Any) -> None:
    with suppress(NotFound):
        cluster.merge(type(one), one.metadata.name, {"metadata": {"finalizers": None}})


def _operator_runs(cluster: Cluster) -> bool:
    from lightkube.resources.apps_v1 import Deployment

    from fairlead.kube.install.rights import OPERATOR

    try:
        found = cluster.get(Deployment, OPERATOR)
    except NotFound:
        return False
    return bool(found.status and found.status.readyReplicas)


def _parted(installed: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The programs of an installation, and the rest, of which they have need until they end."""
    from lightkube.resources.apps_v1 import Deployment

    programs = [one for one in installed if isinstance(one, Deployment)]
    return programs, [one for one in installed if not isinstance(one, Deployment)]


def _made_by_programs(cluster: Cluster) -> list[Any]:
    """What the operator and the runner made, and nobody would look after any more."""
    from lightkube.operators import not_exists
    from lightkube.resources.apps_v1 import Deployment
    from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
    from lightkube.resources.batch_v1 import Job
    from lightkube.resources.core_v1 import ConfigMap, Secret, Service
    from lightkube.resources.policy_v1 import PodDisruptionBudget

    from fairlead.kube.install.labels import INSTALLED

    kinds: Sequence[type[Any]] = (
        Job,
        HorizontalPodAutoscaler,
        PodDisruptionBudget,
        Service,
        Deployment,
        ConfigMap,
        Secret,
    )
    labels: Mapping[str, Any] = {**_managed(), INSTALLED: not_exists()}
    return [one for kind in kinds for one in cluster.list(kind, labels=labels)]


def _of_programs() -> dict[str, Any]:
    """Labels of Fairlead's own programs, not of the servers beside them."""
    from lightkube.operators import not_in

    from fairlead.kube.install.installation import POSTGRESQL, RABBITMQ
    from fairlead.kube.install.labels import COMPONENT

    return {COMPONENT: not_in([POSTGRESQL, RABBITMQ])}


def _installed() -> dict[str, str]:
    from fairlead.kube.install.labels import INSTALLED

    return {INSTALLED: "true"}


def _managed() -> dict[str, str]:
    from fairlead.kube.install.labels import FAIRLEAD, MANAGED_BY

    return {MANAGED_BY: FAIRLEAD}


def _delete(cluster: Cluster, found: Sequence[Any]) -> Counter[str]:
    for one in found:
        patiently(partial(cluster.delete, type(one), one.metadata.name))
    return Counter(type(one).__name__ for one in found)


def _wait_for_pods(cluster: Cluster, labels: Mapping[str, Any], listen: Listener) -> None:
    from lightkube.resources.core_v1 import Pod

    def left() -> str:
        names = [one.metadata.name for one in cluster.list(Pod, labels=labels)]  # type: ignore[union-attr]
        return f"{len(names)} are ending" if names else ""

    _wait_until_gone(left, "pods", listen)


def _delete_namespace(cluster: Cluster, deleted: Counter[str], listen: Listener) -> Iterator[str]:
    """Delete the namespace, where it was made by an installation; say what is kept."""
    from lightkube.resources.core_v1 import Namespace

    from fairlead.kube.install.objects import is_ours

    try:
        found = cluster.get(Namespace, cluster.namespace)
    except NotFound:
        return
    if not is_ours(found):
        yield f"namespace {cluster.namespace} (it was there before Fairlead)"
        return
    if not (found.status and found.status.phase == "Terminating"):  # else somebody was faster
        cluster.delete(Namespace, cluster.namespace)
    deleted["Namespace"] += 1
    _wait_until_gone(lambda: _still(cluster, Namespace, cluster.namespace), "namespace", listen)


def _delete_kinds(cluster: Cluster, deleted: Counter[str], listen: Listener) -> Iterator[str]:
    """Delete the kinds, unless another namespace has an installation or objects of them."""
    from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
    from lightkube.resources.apps_v1 import Deployment

    from fairlead.kube.install.objects import definition_names
    from fairlead.kube.kinds import KINDS

    others = cluster.list(Deployment, labels=_installed(), everywhere=True)
    users = {one.metadata.namespace for one in others if one.metadata}
    for kind in KINDS:
        with suppress(NotFound):
            users.update(
                one.metadata.namespace or ""
                for one in patiently(partial(cluster.list, kind.resource, everywhere=True))
                if one.metadata
            )
    users.discard(cluster.namespace)
    for name in definition_names():
        if users:
            yield f"kind {name} (namespace {min(map(str, users))} uses it)"
        elif _still(cluster, CustomResourceDefinition, name):
            cluster.delete(CustomResourceDefinition, name)
            deleted["CustomResourceDefinition"] += 1
            _wait_until_gone(partial(_still, cluster, CustomResourceDefinition, name), name, listen)


def _still(cluster: Cluster, kind: type[Any], name: str) -> str:
    """That it is still there; empty where it is gone."""
    try:
        cluster.get(kind, name)
    except NotFound:
        return ""
    return "is ending"


def _wait_until_gone(left: Callable[[], str], part: str, listen: Listener) -> None:
    deadline = time.monotonic() + _GONE
    said = ""
    while text := patiently(left):
        if text != said:
            listen(Progress(part=part, text=text))
            said = text
        if time.monotonic() > deadline:
            raise Failed(
                f"{part}: {text}, and not gone within {_GONE:.0f} s; look at it, and ask again"
            )
        time.sleep(_EVERY)


def _worded(one: Any) -> str:
    return f"{type(one).__name__} {one.metadata.name}"
