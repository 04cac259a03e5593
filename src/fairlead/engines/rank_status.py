"""How the ranks of a gang are, told from their pods and from what makes these.

A rank is its newest pod. One that has no pod starts, as long as there is something that will make
one; where that was deleted, or makes none any more, the rank has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from lightkube.resources.core_v1 import Pod

from fairlead.engines.engine import RankStatus
from fairlead.kube.pod_status import metadata_of, pod_status


@dataclass(frozen=True, kw_only=True)
class Making:
    """How what makes the pods of a gang is.

    Args:
        ranks: How many it is to make.
        over: Why it makes none any more; empty while it does.
        waits: Why it makes none yet; empty where nothing is said of that.
    """

    ranks: int
    over: str = ""
    waits: str = ""


def conditions_of(found: Any) -> Mapping[str, Mapping[str, Any]]:
    """The conditions that hold of an object of a kind that no type here describes, by their types.

    Args:
        found: Its `status` is a mapping, or nothing yet.
    """
    conditions = (found.status or {}).get("conditions") or ()
    return {one["type"]: one for one in conditions if one["status"] == "True"}


def why_over(kind: str, held: Mapping[str, Mapping[str, Any]], ends: Sequence[str]) -> str:
    """Why such an object makes no pods any more; empty while it does.

    Args:
        kind: What it is.
        held: Its conditions.
        ends: The types of those that say so, the one that says most first.
    """
    over = next((held[name] for name in ends if name in held), None)
    return f"its {kind} is over: {over.get('message') or over['type']}" if over else ""


def rank_statuses(
    pods: Iterable[Pod], making: Making, *, label: str, now: datetime
) -> Sequence[RankStatus]:
    """Every rank of a gang.

    Args:
        pods: Of the gang.
        making: How what makes them is.
        label: That has the number of a pod's rank.
        now: The time.
    """
    newest = newest_pods(pods, label=label)
    numbers = sorted({*range(making.ranks), *newest})
    return [_status(number, newest.get(number), making, now) for number in numbers]


def with_vanished(
    told: Iterable[RankStatus], before: Mapping[int, RankStatus]
) -> Sequence[RankStatus]:
    """The ranks, of which those have ended that had a pod and have none now.

    Args:
        told: As the pods are.
        before: Those that had a pod at the last look.
    """
    return [
        _vanished(before[one.rank]) if one.alive and not one.log and one.rank in before else one
        for one in told
    ]


def _vanished(before: RankStatus) -> RankStatus:
    if not before.alive:
        return before
    return replace(before, state="ended", why="its pod was deleted", killed=True)


def newest_pods(pods: Iterable[Pod], *, label: str) -> dict[int, Pod]:
    """The newest pod of each rank that has one."""
    numbered = [(number, pod) for pod in pods if (number := _number(pod, label)) is not None]
    return dict(sorted(numbered, key=lambda one: (_created(one[1]), _name(one[1]))))


def _status(number: int, pod: Pod | None, making: Making, now: datetime) -> RankStatus:
    found = None if pod is None else pod_status(pod, now=now)
    if making.over and (found is None or found.killed):
        return RankStatus(rank=number, state="ended", why=making.over, killed=True)
    if found is None:
        return RankStatus(rank=number, state="starting", why=making.waits)
    return RankStatus(
        rank=number,
        state=found.state,
        why=found.why,
        killed=found.killed,
        seconds=found.seconds,
        log=found.log,
    )


def _number(pod: Pod, label: str) -> int | None:
    found = (metadata_of(pod).labels or {}).get(label, "")
    return int(found) if found.isdecimal() else None


def _created(pod: Pod) -> datetime:
    return metadata_of(pod).creationTimestamp or datetime.min.replace(tzinfo=UTC)


def _name(pod: Pod) -> str:
    return metadata_of(pod).name or ""
