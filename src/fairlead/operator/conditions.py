"""What the status of an object is to say; conditions keep the time of their last change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from fairlead.operator.decide import Noted

ConditionKind: TypeAlias = Literal["Submitted", "Finished", "Failed", "Ready", "Deployed"]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One of the conditions; unknown where it has not been decided."""

    kind: ConditionKind
    status: Literal["True", "False"]
    reason: str
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the status of a Study or an Endpoint is to say.

    Args:
        fields: Of the status.
        conditions: As they are now.
        noted: What came of a Study's submission, where that is known.
        over: Whether nothing is to be done for a Study until something else is asked for.
    """

    fields: dict[str, Any]
    conditions: Sequence[Condition]
    noted: Noted | None = None
    over: bool = False


def conditions(
    wanted: Sequence[Condition], before: Sequence[Mapping[str, Any]], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Conditions as a status has them.

    Args:
        wanted: As they are now; others of before are dropped.
        before: As the status has them.
        generation: Of the object that they are about.
        now: The time, for those that have changed.
    """
    known = {one["type"]: one for one in before}
    return [_condition(one, known.get(one.kind), generation, now) for one in wanted]


def _condition(
    one: Condition, before: Mapping[str, Any] | None, generation: int, now: datetime
) -> dict[str, Any]:
    same = before is not None and before["status"] == one.status
    since = before["lastTransitionTime"] if before is not None and same else _time(now)
    return {
        "type": one.kind,
        "status": one.status,
        "reason": one.reason,
        "message": one.message,
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }


def _time(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
