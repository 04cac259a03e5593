"""Whether Fairlead can be installed in a Kubernetes cluster: what will fail, and why.

Nothing stays changed: a pod that tries the image is deleted again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fairlead.control.installation import Check
from fairlead.errors import Failed, FairleadError, NotFound
from fairlead.formatting import in_a_line

if TYPE_CHECKING:
    from lightkube.resources.core_v1 import Pod, ResourceQuota

    from fairlead.kube.client import Cluster
    from fairlead.kube.install.installation import Installation

_OLDEST = (1, 30)  # the first where a container that ends can sleep before (preStop)
_SKEW = 5.0  # seconds
_PATIENCE = 90.0  # seconds for a pod that tries an image
_EVERY = 0.5
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_APPLIED = ("get", "create", "patch")
_REPLACED = ("list", "delete")
_NAMESPACED: Sequence[tuple[str, str, Sequence[str]]] = (
    ("", "serviceaccounts", (*_APPLIED, *_REPLACED)),
    ("", "configmaps", (*_APPLIED, *_REPLACED)),
    ("", "secrets", (*_APPLIED, *_REPLACED)),
    ("", "services", (*_APPLIED, *_REPLACED)),
    ("", "persistentvolumeclaims", (*_APPLIED, *_REPLACED)),
    ("", "pods", ("list",)),
    ("", "events", ("list",)),
    ("apps", "deployments", (*_APPLIED, *_REPLACED)),
    ("apps", "replicasets", ("list",)),
    ("apps", "statefulsets", (*_APPLIED, *_REPLACED)),
    ("networking.k8s.io", "networkpolicies", (*_APPLIED, *_REPLACED)),
    ("rbac.authorization.k8s.io", "roles", (*_APPLIED, *_REPLACED)),
    ("rbac.authorization.k8s.io", "rolebindings", (*_APPLIED, *_REPLACED)),
)
_CLUSTER_WIDE: Sequence[tuple[str, str, Sequence[str]]] = (
    ("", "namespaces", ("get", "create", "patch")),
    ("apiextensions.k8s.io", "customresourcedefinitions", ("get", "create", "patch")),
)


def cluster_checks(cluster: Cluster, installation: Installation, *, image: bool) -> Iterator[Check]:
    """Every check of a cluster.

    Args:
        cluster: With the installation's namespace.
        installation: What is to be installed.
        image: Whether a pod may try the image.
    """
    try:
        version = cluster.version()
    except FairleadError as error:
        yield Check(name="api server", state="fail", text=str(error))
        return
    yield version_check(version.text, version.number, cluster.server)
    yield clock_check(version.ahead)
    there = _namespace_is_there(cluster)
    yield from (
        _caught("permissions", lambda: _permissions(cluster)),
        _caught("namespace", lambda: _namespace(cluster)),
        _caught("storage class", lambda: _storage(cluster, installation)),
    )
    if there:
        yield _caught("quota", lambda: _quota(cluster, installation))
    if image and there:
        yield _caught("image", lambda: _image(cluster, installation))
    else:
        why = "the namespace is not there yet" if image else "name it with --image"
        yield Check(name="image", state="warn", text=f"not checked: {why}")


def version_check(text: str, number: tuple[int, int], server: str) -> Check:
    """Whether the cluster is new enough."""
    wanted = ".".join(map(str, _OLDEST))
    if number < _OLDEST:
        text = f"{text}; Kubernetes {wanted} or newer is needed"
        return Check(name="api server", state="fail", text=text)
    return Check(name="api server", state="ok", text=f"{text} at {server}")


def clock_check(ahead: float) -> Check:
    """Whether the clock of the cluster is this machine's."""
    if abs(ahead) > _SKEW:
        text = f"the cluster's is {ahead:+.0f} s off this machine's; set the clocks (NTP)"
        return Check(name="clock", state="warn", text=text)
    return Check(name="clock", state="ok", text=f"within {_SKEW:.0f} s of this machine's")


def _caught(name: str, check: Callable[[], Check]) -> Check:
    """What the check finds; where it may not look, that."""
    try:
        return check()
    except Failed as error:
        return Check(name=name, state="warn", text=f"not checked: {error}")
    except FairleadError as error:
        return Check(name=name, state="fail", text=str(error))


# ---- what may be done -----------------------------------------------------------------------


def _permissions(cluster: Cluster) -> Check:
    refused = [
        *(_refused(cluster, *each, namespace=cluster.namespace) for each in _NAMESPACED),
        *(_refused(cluster, *each, namespace=None) for each in _CLUSTER_WIDE),
    ]
    missing = [each for each in refused if each]
    if missing:
        text = f"may not {'; '.join(missing)}; ask whoever administers the cluster for it"
        return Check(name="permissions", state="fail", text=text)
    return Check(name="permissions", state="ok", text="all that an installation needs")


def _refused(
    cluster: Cluster, group: str, resource: str, verbs: Sequence[str], *, namespace: str | None
) -> str:
    """What is not allowed of it, in words; empty where all is."""
    found = [
        verb for verb in verbs if not _may(cluster, group, resource, verb, namespace=namespace)
    ]
    if not found:
        return ""
    where = "" if namespace is None else f" in namespace {namespace}"
    return f"{', '.join(found)} {resource}{f'.{group}' if group else ''}{where}"


def _may(cluster: Cluster, group: str, resource: str, verb: str, *, namespace: str | None) -> bool:
    from lightkube.models.authorization_v1 import (
        ResourceAttributes,
        SelfSubjectAccessReviewSpec,
    )
    from lightkube.resources.authorization_v1 import SelfSubjectAccessReview

    asked = ResourceAttributes(group=group, resource=resource, verb=verb, namespace=namespace)
    review = SelfSubjectAccessReview(spec=SelfSubjectAccessReviewSpec(resourceAttributes=asked))
    answer = cluster.create(review)
    return bool(answer.status and answer.status.allowed)


# ---- where it would be ----------------------------------------------------------------------


def _namespace_is_there(cluster: Cluster) -> bool:
    from lightkube.resources.core_v1 import Namespace

    try:
        cluster.get(Namespace, cluster.namespace)
    except (NotFound, Failed):
        return False
    return True


def _namespace(cluster: Cluster) -> Check:
    from lightkube.resources.core_v1 import Namespace

    try:
        found = cluster.get(Namespace, cluster.namespace)
    except NotFound:
        text = f"{cluster.namespace!r} is not there yet; the installation makes it"
        return Check(name="namespace", state="ok", text=text)
    if found.status and found.status.phase == "Terminating":
        text = f"{cluster.namespace!r} is being deleted; wait, or name another one"
        return Check(name="namespace", state="fail", text=text)
    labels = (found.metadata.labels if found.metadata else None) or {}
    level = labels.get("pod-security.kubernetes.io/enforce", "no")
    text = f"{cluster.namespace!r} is there, with {level} pod security standard"
    return Check(name="namespace", state="ok", text=text)


def _storage(cluster: Cluster, installation: Installation) -> Check:
    from lightkube.resources.storage_v1 import StorageClass

    classes = {
        str(each.metadata.name): (each.metadata.annotations or {}).get(_DEFAULT_CLASS) == "true"
        for each in cluster.list(StorageClass)
        if each.metadata
    }
    wanted = {claim.storage_class for claim in installation.claims.values()}
    return storage_check(classes, wanted)


def storage_check(classes: Mapping[str, bool], wanted: set[str]) -> Check:
    """Whether the volumes have a class.

    Args:
        classes: Those of the cluster, and whether each is its default one.
        wanted: Those of the volumes; empty for the default one.
    """
    name = "storage class"
    if not wanted:
        return Check(name=name, state="ok", text="no volume is needed")
    there = ", ".join(sorted(classes)) or "none"
    for each in sorted(wanted):
        if each and each not in classes:
            text = f"there is no {each!r}; there are: {there}"
            return Check(name=name, state="fail", text=text)
        if not each and True not in classes.values():
            text = f"none is the default one; name one; there are: {there}"
            return Check(name=name, state="fail", text=text)
    default = next((one for one, is_default in classes.items() if is_default), "")
    found = sorted(each or f"{default} (the default)" for each in wanted)
    return Check(name=name, state="ok", text=", ".join(found))


def _quota(cluster: Cluster, installation: Installation) -> Check:
    from lightkube.resources.core_v1 import ResourceQuota

    return quota_check(cluster.list(ResourceQuota), needed(installation))


def needed(installation: Installation) -> Mapping[str, Decimal]:
    """What an installation takes of quotas, without its workers."""
    from fairlead.kube.quantities import amount

    own = (installation.postgresql, installation.rabbitmq)
    pods = [installation.server, installation.operator, *(each.resources for each in own if each)]
    claims = installation.claims.values()
    return {
        "requests.cpu": sum((amount(each.cpu) for each in pods), Decimal()),
        "requests.memory": sum((amount(each.memory) for each in pods), Decimal()),
        "limits.cpu": sum((amount(each.cpu_limit) for each in pods), Decimal()),
        "limits.memory": sum((amount(each.memory_limit) for each in pods), Decimal()),
        "requests.storage": sum((amount(each.size) for each in claims), Decimal()),
        "pods": Decimal(len(pods)),
        "persistentvolumeclaims": Decimal(len(claims)),
    }


def quota_check(quotas: Sequence[ResourceQuota], wanted: Mapping[str, Decimal]) -> Check:
    """Whether the quotas of the namespace leave room."""
    from fairlead.kube.quantities import amount

    short = []
    for quota in quotas:
        status = quota.status
        used = (status.used if status else None) or {}
        for key, hard in ((status.hard if status else None) or {}).items():
            name = {"cpu": "requests.cpu", "memory": "requests.memory"}.get(key, key)
            left = amount(hard) - amount(used.get(key, "0"))
            if name in wanted and left < wanted[name]:
                short.append(
                    f"{name} {float(wanted[name]):g} of {float(max(left, Decimal())):g} left"
                )
    if short:
        text = f"an installation needs more than there is: {'; '.join(short)}"
        return Check(name="quota", state="warn", text=f"{text} (what runs already counts twice)")
    text = "leaves room" if quotas else "there is none"
    return Check(name="quota", state="ok", text=text)


# ---- the image ------------------------------------------------------------------------------


def _image(cluster: Cluster, installation: Installation) -> Check:
    from lightkube.resources.core_v1 import Pod

    name = f"fairlead-doctor-{os.urandom(4).hex()}"
    began = time.monotonic()
    cluster.create(_trial(name, installation))
    try:
        found = cluster.get(Pod, name)
        while (check := image_check(found, installation.image)) is None:
            if time.monotonic() - began > _PATIENCE:
                from fairlead.kube.install.readiness import waits_for

                text = f"not tried within {_PATIENCE:.0f} s: {waits_for(found)[0]}"
                return Check(name="image", state="warn", text=text)
            time.sleep(_EVERY)
            found = cluster.get(Pod, name)
        return check
    finally:
        cluster.delete(Pod, name, grace=1)


def image_check(pod: Pod, image: str) -> Check | None:
    """What a pod says that tries an image; None as long as it says nothing."""
    from fairlead.kube.install.readiness import waits_for

    phase = pod.status.phase if pod.status else None
    if phase == "Succeeded":
        return Check(name="image", state="ok", text=f"{image} starts")
    if phase == "Failed":
        return Check(name="image", state="fail", text=f"{image}: {_last_words(pod)}")
    why, hopeless = waits_for(pod)
    return Check(name="image", state="fail", text=why) if hopeless else None


def _last_words(pod: Pod) -> str:
    statuses: Any = (pod.status.containerStatuses if pod.status else None) or ()
    for each in statuses:
        ended = each.state.terminated if each.state else None
        if ended is not None:
            said = in_a_line(ended.message or ended.reason or "")
            return f"fairlead --version ended with status {ended.exitCode}: {said}"
    return "its pod failed"


def _trial(name: str, installation: Installation) -> Pod:
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import Pod

    from fairlead.kube import pods
    from fairlead.kube.install.labels import FAIRLEAD
    from fairlead.kube.place import PodPlace

    place = PodPlace(image=installation.image)
    small = {"cpu": "100m", "memory": "256Mi"}
    container = pods.container(
        place,
        name="doctor",
        arguments=["--version"],
        requests=small,
        limits=small,
        secrets=[],
    )
    spec = pods.pod(place, container, grace=1, restarts="Never")
    spec.activeDeadlineSeconds = int(_PATIENCE)
    return Pod(
        metadata=ObjectMeta(name=name, labels=pods.labels(instance=FAIRLEAD, component="doctor")),
        spec=spec,
    )
