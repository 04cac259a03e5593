"""Fairlead is installed in a Kubernetes cluster.

Applied twice is applied once: all but the passwords follows from what is chosen. Passwords and
tokens are made up by the first installation, and whoever installs again reads them.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fairlead.backoff import Backoff, doubled
from fairlead.errors import Conflict, Failed, Invalid, NotFound, Unreachable

if TYPE_CHECKING:
    from fairlead.kube.client import Cluster
    from fairlead.kube.install.installation import Installation
    from fairlead.kube.install.readiness import Readiness
    from fairlead.kube.install.stores import Generated

ADMIN, ENDPOINT = "admin", "endpoint"
"""The names of the tokens that an installation comes with."""
_EVERY = 1.0
"""Seconds between two looks at what is starting."""
_PASSWORD_BYTES = 24
_AWAY = 60.0
"""Seconds for which an API server that has answered may be away: it may be restarted meanwhile."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a part of an installation waits for, or that it is ready."""

    part: str
    text: str


Listener = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class Installed:
    """What came of installing."""

    namespace: str
    image: str
    applied: int
    removed: tuple[str, ...]
    ready: tuple[str, ...]


def manifests(installation: Installation) -> Sequence[Mapping[str, Any]]:
    """What an installation applies, as documents of YAML; a placeholder stands for each secret."""
    from lightkube.resources.core_v1 import Secret

    from fairlead.kube.install.objects import everything, manifest
    from fairlead.kube.install.stores import PLACEHOLDERS, without_content

    found = everything(installation, PLACEHOLDERS)
    return [manifest(without_content(one) if isinstance(one, Secret) else one) for one in found]


def install(
    cluster: Cluster, installation: Installation, *, seconds: float, listen: Listener
) -> Installed:
    """Apply an installation, delete what it has no longer, and wait until it is ready.

    Args:
        cluster: With the installation's namespace.
        installation: What is installed.
        seconds: For which it may take to get ready.
        listen: Called with what changes.

    Raises:
        Invalid: It needs KEDA, which is not there.
        Failed: It is not allowed, or does not get ready.
    """
    from fairlead.kube.install.objects import named, objects, superfluous

    _refuse_without_keda(cluster, installation)
    _apply_namespace(cluster, installation)
    wanted = objects(installation, _passwords(cluster, installation))
    for each in wanted:
        patiently(partial(cluster.apply, each))
    old = superfluous(wanted, replaced(cluster))
    for each in old:
        cluster.delete(type(each), each.metadata.name)
    ready = _wait_until_ready(cluster, seconds, listen)
    return Installed(
        namespace=installation.namespace,
        image=installation.image,
        applied=len(wanted),
        removed=tuple(" ".join(named(each)) for each in old),
        ready=tuple(each.name for each in ready),
    )


def _refuse_without_keda(cluster: Cluster, installation: Installation) -> None:
    from lightkube.resources.apiextensions_v1 import CustomResourceDefinition

    from fairlead.kube.install.keda import DEFINITION

    if installation.keda:
        try:
            cluster.get(CustomResourceDefinition, DEFINITION)
        except NotFound:
            raise Invalid(
                f"the cluster has no kind {DEFINITION}: install KEDA first (https://keda.sh), or "
                "leave keda out"
            ) from None


def _apply_namespace(cluster: Cluster, installation: Installation) -> None:
    from lightkube.resources.core_v1 import Namespace

    from fairlead.kube.install.objects import is_ours, namespace

    try:
        found = cluster.get(Namespace, installation.namespace)
    except NotFound:
        cluster.apply(namespace(installation, ours=True))
        return
    if found.status and found.status.phase == "Terminating":
        raise Failed(
            f"namespace {installation.namespace!r} is being deleted: wait until it is gone, or "
            "name another one"
        )
    cluster.apply(namespace(installation, ours=is_ours(found)))


def _passwords(cluster: Cluster, installation: Installation) -> Mapping[str, str]:
    """The passwords: made up now, or by whoever installed before, as are the tokens."""
    from fairlead.kube.install.stores import PASSWORD, kept_secrets

    made = {
        each.metadata.name: _created_once(cluster, each)
        for each in kept_secrets(installation, generated())
        if each.metadata
    }
    return {str(name): content.get(PASSWORD, "") for name, content in made.items()}


def _created_once(cluster: Cluster, secret: Any) -> Mapping[str, str]:
    """What the Secret of this name holds, which is this one where there is none."""
    from fairlead.kube.install.stores import content_of

    try:
        return content_of(cluster.create(secret))
    except Conflict:
        return content_of(cluster.get(type(secret), secret.metadata.name))


def generated() -> Generated:
    """New passwords, and new tokens with the file that lets them in."""
    from fairlead.kube.install.stores import Generated
    from fairlead.server.auth import add_token

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tokens.json")
        token = add_token(file, ADMIN, role="admin")
        endpoint = add_token(file, ENDPOINT)
        return Generated(
            postgresql=secrets.token_hex(_PASSWORD_BYTES),
            rabbitmq=secrets.token_hex(_PASSWORD_BYTES),
            keda=secrets.token_hex(_PASSWORD_BYTES),
            token=token,
            endpoint_token=endpoint,
            tokens_file=file.read_text(encoding="utf-8"),
        )


def replaced(cluster: Cluster) -> list[Any]:
    """What installations have made in the namespace that can be made again."""
    from fairlead.kube.install.labels import INSTALLED
    from fairlead.kube.install.objects import OF_OTHERS, REPLACED

    found: list[Any] = []
    for kind in OF_OTHERS:
        with suppress(NotFound):  # the kind itself
            found.extend(cluster.list(kind, labels={INSTALLED: "true"}))
    for own in REPLACED:
        found.extend(cluster.list(own, labels={INSTALLED: "true"}))
    return found


def _wait_until_ready(cluster: Cluster, seconds: float, listen: Listener) -> Sequence[Readiness]:
    deadline = time.monotonic() + seconds
    said: dict[str, str] = {}
    while True:
        found = patiently(partial(_looked_at, cluster))
        for each in found:
            text = "ready" if each.ready else each.why
            if said.get(each.name) != text:
                said[each.name] = text
                listen(Progress(part=each.name, text=text))
        waiting = [each for each in found if not each.ready]
        if not waiting:
            return found
        late = time.monotonic() > deadline
        lost = [each for each in waiting if each.hopeless or late]
        if lost:
            raise _not_ready(cluster.namespace, lost, seconds if late else None)
        time.sleep(_EVERY)


def _looked_at(cluster: Cluster) -> Sequence[Readiness]:
    from lightkube.resources.apps_v1 import Deployment, ReplicaSet, StatefulSet
    from lightkube.resources.core_v1 import Event, Pod

    from fairlead.kube.install.labels import INSTALLED
    from fairlead.kube.install.readiness import Surroundings, readiness

    installed = {INSTALLED: "true"}
    workloads: list[StatefulSet | Deployment] = [
        *cluster.list(StatefulSet, labels=installed),
        *cluster.list(Deployment, labels=installed),
    ]
    around = Surroundings(
        replica_sets=cluster.list(ReplicaSet, labels=installed),
        pods=cluster.list(Pod, labels=installed),
        events=cluster.list(Event, fields={"reason": "FailedCreate"}),
    )
    return [readiness(each, around) for each in workloads]


def _not_ready(namespace: str, lost: Sequence[Readiness], seconds: float | None) -> Failed:
    causes: dict[str, list[str]] = {}
    for each in lost:
        causes.setdefault(each.why, []).append(each.name)
    parts = "; ".join(f"{', '.join(names)}: {why}" for why, names in causes.items())
    within = "" if seconds is None else f" within {seconds:.0f} s"
    return Failed(
        f"the installation in namespace {namespace!r} does not get ready{within}: {parts}",
        code="installation_not_ready",
    )


def patiently(ask: Callable[[], Answer]) -> Answer:
    """What the API server answers, which may be away for a moment.

    Raises:
        Unreachable: It is for longer.
    """
    backoff = Backoff(_AWAY, doubled(0.5, 5.0))
    while True:
        try:
            return ask()
        except Unreachable:
            if not backoff.wait():
                raise
