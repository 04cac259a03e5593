"""Where on a cluster pods of Fairlead run, and as what: records that need no client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

PullPolicy: TypeAlias = Literal["Always", "IfNotPresent", "Never"]


@dataclass(frozen=True, kw_only=True)
class Taint:
    """A mark of nodes that pods tolerate.

    Args:
        key: Its key.
        value: Its value; None for any.
        effect: One of `EFFECTS`; None for each.
    """

    EFFECTS: ClassVar[Sequence[str]] = ("NoSchedule", "PreferNoSchedule", "NoExecute")

    key: str
    value: str | None = None
    effect: str | None = None


@dataclass(frozen=True, kw_only=True)
class PodPlace:
    """As what pods run, and on which nodes.

    Args:
        image: Of Fairlead, with a tag or a digest.
        pull_policy: When a node asks a registry for it.
        pull_secrets: Names of Secrets that let it in there.
        service_account: Name of the ServiceAccount; its token is not given to them.
        node_selector: Labels that a node must have.
        tolerations: Taints that a node may have.
        priority_class: Name of their PriorityClass.
        claim: Name of the PersistentVolumeClaim that is mounted for the artefact store.
    """

    image: str
    pull_policy: PullPolicy = "IfNotPresent"
    pull_secrets: Sequence[str] = ()
    service_account: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Taint] = ()
    priority_class: str | None = None
    claim: str | None = None


@dataclass(frozen=True, kw_only=True)
class PodSettings:
    """Where pods read the settings that they start with.

    Args:
        name: Of the ConfigMap and of the Secret.
        fingerprint: Of what is in them: where it changes, pods that stay start again.
    """

    name: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class KubernetesPlace:
    """Where a runner's workers run.

    Args:
        pods: As what they run.
        context: Of the kubeconfig; None for its current one.
        namespace: None for that of the context.
        kueue_queue: Name of the LocalQueue by which Kueue admits each of them.
        grace: Seconds that a worker which a node or a person ends has for its task.
        kept: Seconds for which one that ended is kept with its log.
        trainer: Name of the ServiceAccount, with its token, of those whose fits start pods; None
            where none may.
    """

    pods: PodPlace
    context: str | None = None
    namespace: str | None = None
    kueue_queue: str | None = None
    grace: int = 60
    kept: int = 600
    trainer: str | None = None
