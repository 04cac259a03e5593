"""A load to try a policy on: described by a person in YAML, or recorded in a study's history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from fairlead.autoscale.decide import Policy
from fairlead.errors import Invalid
from fairlead.records import Event
from fairlead.spec.document import Seconds
from fairlead.spec.load import load_document

STARTUP = 3.0
"""Seconds from the start of a worker to its first task, where nothing else is said."""

_MOST_TASKS = 100_000
_SHORTEST = 1e-6  # seconds
_WEEK = 7 * 86400.0
_HOUR = 3600.0
_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

Moment = Annotated[Seconds, Field(le=_WEEK)]
Whole = Annotated[int, Field(ge=0, le=1024, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """Tasks that come at once.

    Args:
        at: Second at which they do.
        tasks: How many.
        seconds: How long each takes.
        study: What they belong to: how long a task takes is measured for each study.
    """

    at: float
    tasks: int
    seconds: float
    study: str = "study"


@dataclass(frozen=True, kw_only=True)
class DescribedLoad:
    """What comes when, how long a worker takes to start, and the policy to try on it."""

    arrivals: tuple[Arrival, ...]
    startup: float
    policy: Policy


class ArrivalSection(BaseModel):
    """An item of `arrivals`."""

    model_config = _STRICT

    at: float = Field(default=0.0, ge=0, le=_WEEK, description="second at which they come")
    tasks: int = Field(ge=1, le=_MOST_TASKS, strict=True, description="how many tasks come")
    seconds: Moment = Field(description="how long each task takes")
    study: str = Field(default="study", min_length=1, description="what they belong to")


class LoadDocument(BaseModel):
    """A load as people write it."""

    model_config = _STRICT

    arrivals: tuple[ArrivalSection, ...] = Field(
        min_length=1, description="a list of what comes, such as [{at: 0, tasks: 40, seconds: 30}]"
    )
    startup: float = Field(
        default=STARTUP, ge=0, le=_WEEK, description="seconds from a worker's start to its task"
    )
    min: Whole = Field(default=Policy.least, description="workers at least")
    max: Annotated[int, Field(ge=1, le=1024, strict=True)] = Field(
        default=Policy.most, description="workers at most"
    )
    within: Moment = Field(
        default=Policy.within, description="time in which the tasks that wait are worked off"
    )
    cooldown: float = Field(
        default=Policy.cooldown, ge=0, le=_WEEK, description="seconds before any worker leaves"
    )
    budget: float | None = Field(default=None, gt=0, description="worker-hours that may be spent")


def read(path: Path) -> DescribedLoad:
    """Read a described load.

    Raises:
        InvalidSpec: With file, line and column.
        Invalid: More is to be at least than at most.
    """
    found = load_document(path, LoadDocument, kind="load")
    if (many := sum(each.tasks for each in found.arrivals)) > _MOST_TASKS:
        raise Invalid(f"{path}: {many:,} tasks come; a load has {_MOST_TASKS:,} at most")
    return DescribedLoad(
        arrivals=tuple(Arrival(**each.model_dump()) for each in found.arrivals),
        startup=found.startup,
        policy=Policy(
            least=found.min,
            most=found.max,
            within=found.within,
            cooldown=found.cooldown,
            budget=None if found.budget is None else found.budget * _HOUR,
        ),
    )


def recorded(events: Sequence[Event], name: str) -> DescribedLoad:
    """The load that a study was, with the time that each of its tasks took in the end.

    The history does not say when a task was put in. It is taken to have come when the study was
    opened or extended last before its first attempt: so it is where trials do not depend on
    results. Others come later than this says.

    Args:
        events: The study's history, the oldest first.
        name: The study's.

    Raises:
        Invalid: No task of it has ended.
    """
    opened = 0.0
    came: dict[int, float] = {}
    claimed: dict[tuple[int, int], float] = {}
    arrivals = []
    for event in events:
        if event.kind in {"opened", "extended"}:
            opened = event.at
        if event.task is None or event.attempt is None:
            continue
        if event.kind == "claimed":
            came.setdefault(event.task, opened)
            claimed[event.task, event.attempt] = event.at
        elif event.kind == "committed":
            seconds = max(_SHORTEST, event.at - claimed[event.task, event.attempt])
            arrivals.append(Arrival(at=came[event.task], tasks=1, seconds=seconds, study=name))
    if not arrivals:
        raise Invalid(f"study {name!r}: none of its tasks has ended: there is no load to replay")
    first = min(each.at for each in arrivals)
    moved = tuple(replace(each, at=each.at - first) for each in arrivals)
    return DescribedLoad(arrivals=moved, startup=STARTUP, policy=Policy())
