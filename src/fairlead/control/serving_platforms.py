"""A version of a model as an object of KServe or Knative, served by the ordinary program.

Each of their revisions serves one version (`fairlead serve MODEL --version N`), so that traffic is
split, and taken back, by them alone. What Knative refuses by default is left out of the pod: what
is of the whole pod (its security context, its end, where it runs) and addresses as variables.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightkube.models.core_v1 import (
    ConfigMapEnvSource,
    Container,
    ContainerPort,
    EmptyDirVolumeSource,
    EnvFromSource,
    EnvVar,
    HTTPGetAction,
    KeyToPath,
    Probe,
    SeccompProfile,
    SecretEnvSource,
    SecretVolumeSource,
    Volume,
    VolumeMount,
)

from fairlead.errors import Invalid, InvalidSpec
from fairlead.kube import pods
from fairlead.kube.install.installation import SERVING_PORT
from fairlead.kube.place import PodPlace
from fairlead.spec.document import Spec
from fairlead.spec.load import Loaded

SETTINGS = "fairlead"
"""The ConfigMap and the Secret that say where the stores are: those of an installation."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]|[a-z]")
"""Names of Services begin with a letter, and platforms add to them."""
_REQUESTS = 20
"""Seconds that requests in hand have at the end."""
_WHOLE = 100


@dataclass(frozen=True, kw_only=True)
class PlatformRequest:
    """How a version is served.

    Args:
        version: Its number.
        image: Of Fairlead.
        percent: Of the traffic for it; the first step of `serve.canary` if None.
        beside: The revision of Knative that has the rest of it.
        least: Replicas at least; 0 for none while nobody asks.
        most: At most.
        cpu: Cores that each asks for.
        memory: Memory that each asks for, and may take.
    """

    version: int
    image: str
    percent: int | None = None
    beside: str | None = None
    least: int = 1
    most: int | None = None
    cpu: str = "250m"
    memory: str = "768Mi"

    @property
    def replicas(self) -> int:
        """At most."""
        return max(self.least, 1) if self.most is None else self.most


def inference_service(loaded: Loaded, request: PlatformRequest) -> Mapping[str, Any]:
    """The InferenceService of KServe.

    KServe gives a first version all traffic, whatever the percents are; with 100 they are left out,
    which ends a canary.

    Raises:
        Invalid: The name, the numbers of replicas, or the share of the traffic cannot be.
    """
    name, percent = _checked(loaded, request)
    container = _container(loaded.spec, request, name="kserve-container")
    container.env = [EnvVar(name="PROTOCOL", value="v2"), *(container.env or ())]
    canary = {} if percent == _WHOLE else {"canaryTrafficPercent": percent}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "labels": _labels(name)},
        "spec": {
            "predictor": {
                "minReplicas": request.least,
                "maxReplicas": request.replicas,
                **canary,
                **_pod(container),
            }
        },
    }


def knative_service(loaded: Loaded, request: PlatformRequest) -> Mapping[str, Any]:
    """The Service of Knative.

    Its revision is named by the version and by all that is served with it: something else is
    another revision.

    Raises:
        Invalid: The name or the numbers of replicas cannot be.
    """
    name, percent = _checked(loaded, request)
    if request.beside is None and request.percent not in {None, _WHOLE}:
        raise Invalid(
            f"--canary {percent}: name the revision that has the rest of the traffic by --beside; "
            "without one the new revision gets all of it"
        )
    scale = {"min-scale": str(request.least), "max-scale": str(request.replicas)}
    annotations = {f"autoscaling.knative.dev/{key}": value for key, value in scale.items()}
    spec = _pod(_container(loaded.spec, request, name="serve"))
    content = json.dumps([annotations, spec], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    revision = f"{name}-v{request.version}-{digest}"
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": _labels(name)},
        "spec": {
            "template": {
                "metadata": {
                    "name": revision,
                    "labels": _labels(name),
                    "annotations": annotations,
                },
                "spec": spec,
            },
            "traffic": _traffic(revision, request.beside, percent),
        },
    }


def _traffic(revision: str, beside: str | None, percent: int) -> list[Mapping[str, Any]]:
    if beside is None or beside == revision:
        return [{"revisionName": revision, "percent": _WHOLE}]
    return [
        {"revisionName": revision, "percent": percent, "tag": "canary"},
        {"revisionName": beside, "percent": _WHOLE - percent, "tag": "stable"},
    ]


def _checked(loaded: Loaded, request: PlatformRequest) -> tuple[str, int]:
    """The object's name and the percents of the traffic."""
    name = loaded.spec.name.rstrip("-")
    if not _NAME.fullmatch(name):
        with loaded.located():
            raise InvalidSpec(
                f"name: a Service takes up to 40 characters, the first a letter, and not {name!r}"
            )
    if request.replicas < max(request.least, 1):
        raise Invalid(f"--max {request.replicas} is less than --min {request.least}")
    percent = request.percent
    return name, loaded.spec.serve.canary[0] if percent is None else percent


def _container(spec: Spec, request: PlatformRequest, *, name: str) -> Container:
    listening = ["--host", "0.0.0.0", "--port", str(SERVING_PORT)]  # noqa: S104 - of its pod
    one = pods.container(
        PodPlace(image=request.image),
        name=name,
        arguments=[
            "serve",
            spec.name,
            *["--version", str(request.version), *listening],
            *["--grace", str(_REQUESTS), "--log-form", "json"],
        ],
        requests={"cpu": request.cpu, "memory": request.memory},
        limits={"memory": request.memory},
    )
    one.env = [variable for variable in one.env or () if variable.valueFrom is None]
    one.envFrom = [
        EnvFromSource(configMapRef=ConfigMapEnvSource(name=SETTINGS, optional=True)),
        EnvFromSource(secretRef=SecretEnvSource(name=SETTINGS)),
    ]
    one.ports = [ContainerPort(containerPort=SERVING_PORT)]
    one.startupProbe = _probe("/readyz", period=1, failures=120)
    one.readinessProbe = _probe("/readyz", period=2, failures=2)
    one.livenessProbe = _probe("/livez", period=10, failures=6)
    security = one.securityContext
    assert security is not None
    security.runAsNonRoot, security.runAsUser = True, pods.GROUP
    security.seccompProfile = SeccompProfile(type="RuntimeDefault")
    one.volumeMounts = [
        *(one.volumeMounts or ()),
        VolumeMount(
            name="tokens",
            mountPath=f"{pods.HOME}/{pods.TOKENS_FILE}",
            subPath=pods.TOKENS_FILE,
            readOnly=True,
        ),
    ]
    return one


def _probe(path: str, *, period: int, failures: int) -> Probe:
    made = pods.probe(path, period=period, failures=failures)
    made.httpGet = HTTPGetAction(path=path, port=SERVING_PORT)
    return made


def _pod(container: Container) -> Mapping[str, Any]:
    item = KeyToPath(key=pods.TOKENS_FILE, path=pods.TOKENS_FILE)
    # No group owns the volumes here, so that only what everybody may read can be read.
    tokens = SecretVolumeSource(secretName=pods.TOKENS, items=[item], defaultMode=0o444)
    own = [Volume(name=name, emptyDir=EmptyDirVolumeSource()) for name in ("home", "tmp")]
    volumes = [*own, Volume(name="tokens", secret=tokens)]
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container.to_dict()],
        "volumes": [volume.to_dict() for volume in volumes],
    }


def _labels(name: str) -> Mapping[str, str]:
    return pods.foreign_labels(name=name, component="serving")
