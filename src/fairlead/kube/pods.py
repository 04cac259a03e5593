"""The pods of Fairlead, as the Pod Security level `restricted` asks, and a little stricter.

No root, no capability, no token of a service account, and nothing that can be written but the home,
/tmp and the volume of the artefact store. Secrets come as variables from Secrets, never as part of
a pod: whoever may see pods sees all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightkube.models.core_v1 import (
    Capabilities,
    ConfigMapEnvSource,
    Container,
    EmptyDirVolumeSource,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    HTTPGetAction,
    KeyToPath,
    LocalObjectReference,
    ObjectFieldSelector,
    PersistentVolumeClaimVolumeSource,
    PodSecurityContext,
    PodSpec,
    Probe,
    ResourceRequirements,
    SeccompProfile,
    SecretEnvSource,
    SecretVolumeSource,
    SecurityContext,
    Toleration,
    Volume,
    VolumeMount,
)
from lightkube.models.meta_v1 import OwnerReference

from fairlead.kube.kinds import API_VERSION, Kind
from fairlead.kube.place import PodPlace, Taint

HOME = "/var/lib/fairlead"
"""The home of each container, kept as long as its pod."""
ARTIFACTS = "/var/lib/fairlead-artifacts"
"""Where the volume of the artefact store is, if there is one."""
CERTIFICATE = "/etc/fairlead/certificate"
"""Where a server has its certificate, if it speaks TLS."""
GROUP = 10001
"""The group that owns volumes, and that the processes of each pod are in."""

TOKENS = "fairlead-tokens"
"""The Secret of the tokens: the servers' file of them, and those of people and clients."""
TOKENS_FILE = "tokens.json"

GROUP_LABEL = "fairlead.dev/group"
"""The label of what belongs to a group of workers; its value is the group's key."""
STUDY_LABEL = "fairlead.dev/study"
"""The label of what belongs to a study; its value is the study's id."""

UNDISTURBED = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
"""Annotations of workers: no node is to be emptied of them for others; idle ones leave anyway."""


def labels(*, instance: str, component: str) -> dict[str, str]:
    """The labels that Kubernetes recommends.

    Args:
        instance: Which of several that are alike.
        component: Which part of Fairlead.
    """
    names = {"name": "fairlead", "part-of": "fairlead", "managed-by": "fairlead"}
    named = {**names, "instance": instance, "component": component}
    return {f"app.kubernetes.io/{key}": value for key, value in named.items()}


def foreign_labels(*, name: str, component: str) -> dict[str, str]:
    """The labels of what other platforms run: the policies of an installation are not for it.

    Args:
        name: Of the model.
        component: What it is of it.
    """
    named = {"name": name, "part-of": "fairlead", "component": component}
    return {f"app.kubernetes.io/{key}": value for key, value in named.items()}


def container(  # noqa: PLR0913 - what containers of Fairlead differ in
    place: PodPlace,
    *,
    name: str,
    arguments: Sequence[str],
    requests: Mapping[str, str],
    limits: Mapping[str, str],
    config_maps: Sequence[str] = (),
    secrets: Sequence[str] = (),
) -> Container:
    """The one container of a pod: `fairlead` with these arguments.

    Args:
        place: As what it runs.
        name: Of the container.
        arguments: Of `fairlead`; `$(POD_NAME)` stands for the pod's name.
        requests: What the node must have for it.
        limits: What it may use at most.
        config_maps: Names of ConfigMaps whose entries are environment variables.
        secrets: Names of Secrets whose entries are environment variables.
    """
    claimed = [VolumeMount(name="artifacts", mountPath=ARTIFACTS)] if place.claim else []
    named = {"FAIRLEAD_HOME": HOME, "HOME": HOME}
    return Container(
        name=name,
        image=place.image,
        imagePullPolicy=place.pull_policy,
        command=["fairlead"],
        args=[*arguments],
        env=[_pod_name(), *(EnvVar(name=key, value=value) for key, value in named.items())],
        envFrom=[
            *(EnvFromSource(configMapRef=ConfigMapEnvSource(name=each)) for each in config_maps),
            *(EnvFromSource(secretRef=SecretEnvSource(name=each)) for each in secrets),
        ],
        resources=ResourceRequirements(requests={**requests}, limits={**limits}),
        securityContext=SecurityContext(
            allowPrivilegeEscalation=False,
            capabilities=Capabilities(drop=["ALL"]),
            readOnlyRootFilesystem=True,
        ),
        terminationMessagePolicy="FallbackToLogsOnError",  # why it ended, where it can say
        volumeMounts=[
            VolumeMount(name="home", mountPath=HOME),
            VolumeMount(name="tmp", mountPath="/tmp"),  # noqa: S108 - of the container alone
            *claimed,
        ],
        workingDir=HOME,
    )


def pod(place: PodPlace, of: Container, *, grace: int, restarts: str) -> PodSpec:
    """The pod of a container.

    Args:
        place: As what it runs, and on which nodes.
        of: Its container.
        grace: Seconds that it has once it is asked to end.
        restarts: Its restart policy.
    """
    return PodSpec(
        containers=[of],
        automountServiceAccountToken=False,
        # Else each Service of the namespace is variables, with names such as those of settings.
        enableServiceLinks=False,
        imagePullSecrets=[LocalObjectReference(name=name) for name in place.pull_secrets],
        nodeSelector={**place.node_selector},
        priorityClassName=place.priority_class,
        restartPolicy=restarts,
        securityContext=PodSecurityContext(
            fsGroup=GROUP,
            fsGroupChangePolicy="OnRootMismatch",
            runAsNonRoot=True,
            seccompProfile=SeccompProfile(type="RuntimeDefault"),
        ),
        serviceAccountName=place.service_account,
        # The first process of a container ignores signals that it does not handle yet.
        shareProcessNamespace=True,
        terminationGracePeriodSeconds=grace,
        tolerations=[_toleration(taint) for taint in place.tolerations],
        volumes=_volumes(place),
    )


def probe(path: str, *, period: int, failures: int, tls: bool = False) -> Probe:
    """A look at a page of the port `http`.

    Args:
        path: Of the page.
        period: Seconds between two looks.
        failures: So many in a row count.
        tls: Whether it is asked by TLS; nodes do not look at the certificate.
    """
    return Probe(
        httpGet=HTTPGetAction(path=path, port="http", scheme="HTTPS" if tls else None),
        periodSeconds=period,
        failureThreshold=failures,
        timeoutSeconds=5,
    )


def add_certificate(to: PodSpec, secret: str) -> None:
    """Mount a Secret of type kubernetes.io/tls at `CERTIFICATE`, anew when it is renewed."""
    source = SecretVolumeSource(secretName=secret, defaultMode=0o440)
    to.volumes = [*(to.volumes or ()), Volume(name="certificate", secret=source)]
    mount = VolumeMount(name="certificate", mountPath=CERTIFICATE, readOnly=True)
    of = to.containers[0]
    of.volumeMounts = [*(of.volumeMounts or ()), mount]


def add_tokens(to: PodSpec) -> None:
    """Give a server its file of tokens, out of the Secret that also has the tokens themselves."""
    item = KeyToPath(key=TOKENS_FILE, path=TOKENS_FILE)
    source = SecretVolumeSource(secretName=TOKENS, items=[item], defaultMode=0o440)
    to.volumes = [*(to.volumes or ()), Volume(name="tokens", secret=source)]
    # A folder of the Secret would hide the home that it is in.
    file = VolumeMount(
        name="tokens", mountPath=f"{HOME}/{TOKENS_FILE}", subPath=TOKENS_FILE, readOnly=True
    )
    of = to.containers[0]
    of.volumeMounts = [*(of.volumeMounts or ()), file]


def owned_by(kind: Kind, *, name: str, uid: str) -> OwnerReference:
    """That an object goes with this one of a kind of Fairlead."""
    return OwnerReference(
        apiVersion=API_VERSION,
        kind=kind.name,
        name=name,
        uid=uid,
        controller=True,
        blockOwnerDeletion=True,
    )


def _volumes(place: PodPlace) -> list[Volume]:
    own = [Volume(name=name, emptyDir=EmptyDirVolumeSource()) for name in ("home", "tmp")]
    if place.claim is None:
        return own
    source = PersistentVolumeClaimVolumeSource(claimName=place.claim)
    return [*own, Volume(name="artifacts", persistentVolumeClaim=source)]


def _pod_name() -> EnvVar:
    field = ObjectFieldSelector(fieldPath="metadata.name")
    return EnvVar(name="POD_NAME", valueFrom=EnvVarSource(fieldRef=field))


def _toleration(taint: Taint) -> Toleration:
    operator = "Exists" if taint.value is None else "Equal"
    return Toleration(key=taint.key, operator=operator, value=taint.value, effect=taint.effect)
