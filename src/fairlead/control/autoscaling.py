"""How many workers there are: an autoscaler of local processes, and loads to try its rule on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fairlead.autoscale.decide import Policy
from fairlead.autoscale.described_load import DescribedLoad, read, recorded
from fairlead.autoscale.loop import AutoscalerLoop
from fairlead.autoscale.replay import Replay, picture, replay
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.machine import installed_packages, unique_name, usable_memory
from fairlead.records import Offer, ScalingDecision
from fairlead.runners.runner import WorkerGroup
from fairlead.settings import Settings
from fairlead.study.run import local_runner
from fairlead.worker.loop import WorkerStop

__all__ = [
    "Policy",
    "Replay",
    "ScaleRequest",
    "WorkerStop",
    "autoscale",
    "described",
    "picture",
    "recorded_load",
    "replay",
    "with_options",
]


@dataclass(frozen=True, kw_only=True)
class ScaleRequest:
    """What is to be scaled, and how.

    Args:
        name: What the autoscaler goes by: one process decides under each name.
        policy: How many workers are wanted.
        study: Of this study alone (a name, an id, or its beginning); None for any.
        drain: Seconds that workers have for the tasks in hand, when it is asked to stop.
    """

    name: str
    policy: Policy
    study: str | None = None
    drain: float = 30.0


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
    """Start workers of this machine as tasks come, and have them leave as they go, until stopped.

    Args:
        request: What, and how.
        settings: The installation's; the ledger must be there.
        stop: Asked once, workers finish the task in hand; asked twice, they end at once.
        on_decision: Called with each decision that is kept.
        note: Called with a line of text for what else happens.

    Raises:
        NotFound: There is no such study.
        Failed: Workers end as soon as they start.
    """
    url, setting = settings.ledger_url, settings.ledger_setting
    with (
        open_ledger(url, patience=_PATIENCE, setting=setting) as ledger,
        local_runner(settings) as runner,
    ):
        study = None if request.study is None else ledger.studies.get(request.study).id
        AutoscalerLoop(
            name=request.name,
            holder=unique_name(),
            ledger=ledger,
            runner=runner,
            group=WorkerGroup(
                key=f"autoscaler-{request.name}",
                study=study,
                ledger=url,
                artifacts=settings.artifacts_url,
            ),
            policy=request.policy,
            offer=Offer(packages=installed_packages(), memory=usable_memory()),
            lease=settings.lease,
            drain=request.drain,
            stop=stop,
            on_decision=on_decision,
            note=note,
        ).run()


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
