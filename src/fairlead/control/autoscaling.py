"""How many workers there are: an autoscaler, wherever workers run, and loads to try its rule on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from fairlead.autoscale.decide import Policy
from fairlead.autoscale.described_load import DescribedLoad, read, recorded
from fairlead.autoscale.loop import AutoscalerLoop
from fairlead.autoscale.replay import Replay, picture, replay
from fairlead.errors import Invalid
from fairlead.formatting import without_password
from fairlead.kube.place import KubernetesPlace, PodPlace, Taint
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.machine import installed_packages, unique_name, usable_memory
from fairlead.records import Offer, ScalingDecision
from fairlead.runners.local import LocalRunner
from fairlead.runners.ray import RayRunner
from fairlead.runners.runner import WorkerGroup
from fairlead.settings import Settings
from fairlead.study.run import local_runner
from fairlead.worker.loop import WorkerStop

if TYPE_CHECKING:
    from fairlead.runners.kubernetes import KubernetesRunner

__all__ = [
    "KubernetesPlace",
    "LocalPlace",
    "Place",
    "PodPlace",
    "Policy",
    "RayPlace",
    "Replay",
    "ScaleRequest",
    "Taint",
    "WorkerNeeds",
    "WorkerStop",
    "autoscale",
    "described",
    "picture",
    "recorded_load",
    "replay",
    "with_options",
]


@dataclass(frozen=True, kw_only=True)
class LocalPlace:
    """Workers are processes of this machine."""


@dataclass(frozen=True, kw_only=True)
class RayPlace:
    """Workers are actors of a Ray cluster.

    Args:
        address: Of the cluster.
    """

    address: str = "auto"


Place: TypeAlias = LocalPlace | RayPlace | KubernetesPlace
"""Where workers run, and by which runner."""


@dataclass(frozen=True, kw_only=True)
class WorkerNeeds:
    """What each worker of a cluster is given there.

    Args:
        cores: Cores of the cluster that it takes.
        memory: Bytes of memory that it takes; 0 for none that is counted.
        variables: Names of variables of this process's environment that it gets.
    """

    cores: float = 1.0
    memory: int = 0
    variables: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class ScaleRequest:
    """What is to be scaled, and how.

    Args:
        name: What the autoscaler goes by: one process decides under each name.
        policy: How many workers are wanted.
        study: Of this study alone (a name, an id, or its beginning); None for any.
        drain: Seconds that workers have for the tasks in hand, when it is asked to stop.
        place: Where workers run.
        needs: What each is given there.
    """

    name: str
    policy: Policy
    study: str | None = None
    drain: float = 30.0
    place: Place = field(default_factory=LocalPlace)
    needs: WorkerNeeds = field(default_factory=WorkerNeeds)


_PATIENCE = 5.0
"""Seconds that it waits for the ledger in one go: it is to notice that it is asked to stop."""


def autoscale(
    request: ScaleRequest,
    settings: Settings,
    stop: WorkerStop,
    *,
    on_decision: Callable[[ScalingDecision], None],
    note: Callable[[str], None],
) -> None:
    """Start workers as tasks come, and have them leave as they go, until stopped.

    Args:
        request: What, and how.
        settings: The installation's; the ledger must be there.
        stop: Asked once, workers finish the task in hand; asked twice, they end at once.
        on_decision: Called with each decision that is kept.
        note: Called with a line of text for what else happens.

    Raises:
        NotFound: There is no such study.
        Invalid: Workers cannot run there.
        Failed: Workers end as soon as they start.
        Unreachable: The cluster does not answer.
    """
    url, setting = settings.ledger_url, settings.ledger_setting
    with (
        open_ledger(url, patience=_PATIENCE, setting=setting) as ledger,
        _runner(request.place, settings) as runner,
    ):
        study = None if request.study is None else ledger.studies.get(request.study).id
        group = _group(request, settings, study)
        runner.ensure(group, 0)  # what cannot work is said now, and ends it
        AutoscalerLoop(
            name=request.name,
            holder=unique_name(),
            ledger=ledger,
            runner=runner,
            group=group,
            policy=request.policy,
            offer=None if runner.detached else _own_offer(),
            lease=settings.lease,
            drain=request.drain,
            stop=stop,
            on_decision=on_decision,
            note=note,
        ).run()


def _runner(place: Place, settings: Settings) -> LocalRunner | RayRunner | KubernetesRunner:
    match place:
        case LocalPlace():
            return local_runner(settings)
        case RayPlace():
            return RayRunner(place.address)
        case KubernetesPlace():
            return _on_kubernetes(place)


def _on_kubernetes(place: KubernetesPlace) -> KubernetesRunner:
    try:
        from fairlead.runners.kubernetes import KubernetesRunner
    except ImportError:
        raise Invalid("Kubernetes needs a package: pip install 'fairlead[kubernetes]'") from None
    return KubernetesRunner(place)


def _own_offer() -> Offer:
    return Offer(packages=installed_packages(), memory=usable_memory())


def _group(request: ScaleRequest, settings: Settings, study: str | None) -> WorkerGroup:
    """The workers of an autoscaler; their key is that of no other ledger's on the same engine."""
    needs, url = request.needs, without_password(settings.ledger_url)
    digest = hashlib.sha256(f"{request.name}\n{study}\n{url}".encode()).hexdigest()
    place = request.place
    return WorkerGroup(
        key=f"autoscaler-{digest[:12]}",
        study=study,
        ledger=settings.ledger_url,
        artifacts=settings.artifacts_url,
        environ={} if isinstance(place, LocalPlace) else _environ(needs, settings),
        cores=needs.cores,
        memory=needs.memory,
        starts_pods=isinstance(place, KubernetesPlace) and place.trainer is not None,
    )


def _environ(needs: WorkerNeeds, settings: Settings) -> Mapping[str, str]:
    """What workers of other machines must know of this one's settings."""
    if missing := [name for name in needs.variables if name not in os.environ]:
        raise Invalid(f"${missing[0]} is to be given to the workers, and is not set")
    queue = {"FAIRLEAD_QUEUE": settings.queue} if settings.queue else {}
    own = {"FAIRLEAD_LEASE": f"{settings.lease:g}", "FAIRLEAD_CACHE_SIZE": str(settings.cache_size)}
    return {**own, **queue, **{name: os.environ[name] for name in needs.variables}}


def described(file: Path, options: Mapping[str, Any]) -> DescribedLoad:
    """A load that a file describes, with options of the policy that go before the file's.

    Raises:
        InvalidSpec: With file, line and column.
    """
    load = read(file)
    return replace(load, policy=with_options(load.policy, options))


def recorded_load(ledger: Ledger, study: str, options: Mapping[str, Any]) -> DescribedLoad:
    """The load that a study was.

    Raises:
        NotFound: There is no such study.
        Invalid: No task of it has ended.
    """
    found = ledger.studies.get(study)
    load = recorded(ledger.studies.events(found.id), found.name)
    return replace(load, policy=with_options(load.policy, options))


def with_options(policy: Policy, options: Mapping[str, Any]) -> Policy:
    """The policy with those of its fields that are given.

    Raises:
        Invalid: More is to be at least than at most.
    """
    return replace(policy, **{name: each for name, each in options.items() if each is not None})
