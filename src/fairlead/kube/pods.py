"""The pods of Fairlead, as the Pod Security level `restricted` asks, and a little stricter.

No root, no capability, no token of a service account, and nothing that can be written but the home,
/tmp and the volume of the artefact store. Secrets come as variables from Secrets, never as part of
a pod: whoever may see pods sees all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightkube.models.core_v1 import (
    Capabilities,
    Container,
    EmptyDirVolumeSource,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    LocalObjectReference,
    ObjectFieldSelector,
    PersistentVolumeClaimVolumeSource,
    PodSecurityContext,
    PodSpec,
    ResourceRequirements,
    SeccompProfile,
    SecretEnvSource,
    SecurityContext,
    Toleration,
    Volume,
    VolumeMount,
)

from fairlead.kube.place import PodPlace, Taint

HOME = "/var/lib/fairlead"
"""The home of each container, kept as long as its pod."""
ARTIFACTS = "/var/lib/fairlead-artifacts"
"""Where the volume of the artefact store is, if there is one."""
GROUP = 10001
"""The group that owns volumes, and that the processes of each pod are in."""

GROUP_LABEL = "fairlead.dev/group"
"""The label of what belongs to a group of workers; its value is the group's key."""
STUDY_LABEL = "fairlead.dev/study"
"""The label of what belongs to a study; its value is the study's id."""


def labels(*, instance: str, component: str) -> dict[str, str]:
    """The labels that Kubernetes recommends.

    Args:
        instance: Which of several that are alike.
        component: Which part of Fairlead.
    """
    names = {"name": "fairlead", "part-of": "fairlead", "managed-by": "fairlead"}
    named = {**names, "instance": instance, "component": component}
    return {f"app.kubernetes.io/{key}": value for key, value in named.items()}


def container(  # noqa: PLR0913 - what containers of Fairlead differ in
    place: PodPlace,
    *,
    name: str,
    arguments: Sequence[str],
    requests: Mapping[str, str],
    limits: Mapping[str, str],
    variables: Mapping[str, str],
    secrets: Sequence[str],
) -> Container:
    """The one container of a pod: `fairlead` with these arguments.

    Args:
        place: As what it runs.
        name: Of the container.
        arguments: Of `fairlead`; `$(POD_NAME)` stands for the pod's name.
        requests: What the node must have for it.
        limits: What it may use at most.
        variables: Environment variables, seen by whoever sees the pod.
        secrets: Names of Secrets whose entries are environment variables.
    """
    claimed = [VolumeMount(name="artifacts", mountPath=ARTIFACTS)] if place.claim else []
    named = {"FAIRLEAD_HOME": HOME, "HOME": HOME, **variables}
    return Container(
        name=name,
        image=place.image,
        imagePullPolicy=place.pull_policy,
        command=["fairlead"],
        args=[*arguments],
        env=[_pod_name(), *(EnvVar(name=key, value=value) for key, value in named.items())],
        envFrom=[EnvFromSource(secretRef=SecretEnvSource(name=secret)) for secret in secrets],
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
