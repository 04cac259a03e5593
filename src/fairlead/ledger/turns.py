"""Whose turn it is: which of the ready tasks a worker is to take.

Ready tasks stand in queues, one for each study and family. A worker takes from the study of the
highest priority, and of equals from the one that was served longest ago, so that a study of a
million trials does not hold up one of ten; of that study it takes the oldest task that it can do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fairlead.ledger.database import Now
from fairlead.ledger.schema import leaving_workers, studies, tasks
from fairlead.records import Offer, TaskQueue

# A literal, not a parameter: only so does SQLite know that the partial index serves.
_READY: sa.ColumnClause[str] = sa.literal_column("'ready'")
_NUMBER = sa.select(studies.c.number).where(studies.c.id == sa.bindparam("of")).scalar_subquery()
IS_RUNNING = tasks.c.state == sa.literal_column("'running'")
# A lease that ends further ahead than it is long was given before the clock was set back; twice
# as long forgives the small steps with which clocks are kept right.
HAS_ENDED = (tasks.c.lease_ends < Now()) | (tasks.c.lease_ends > Now() + 2 * tasks.c.lease)
_IS_LEAVING = sa.exists().where(leaving_workers.c.worker == sa.bindparam("by"))
_LEFT = 4  # ready tasks that there are for each worker, for each that one takes at once


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What waits for workers, seen at one moment."""

    queues: Sequence[TaskQueue]
    any_ended: bool  # whether a running task's lease has ended, which makes it ready


def by_turn(queues: Sequence[TaskQueue], offer: Offer | None) -> list[TaskQueue]:
    """The queues that a worker can take from, in the order in which it is to try.

    Args:
        queues: All there are.
        offer: What the worker has; None for everything.
    """
    able = [queue for queue in queues if offer is None or not lacking(queue, offer)]
    return sorted(able, key=lambda one: (-one.priority, one.served, one.number, one.oldest))


def at_once(queue: TaskQueue, most: int, *, held: int) -> int:
    """How many tasks a worker may take together: few enough that the others do not run out.

    Args:
        queue: Where it takes them.
        most: How many it can use.
        held: How many tasks of the study it has had in hand. Others are taken to have as many.
    """
    workers = max(1, math.ceil(queue.running / held))
    return max(1, min(most, queue.ready // (_LEFT * workers)))


def lacking(queue: TaskQueue, offer: Offer) -> str:
    """Why a worker can do none of these tasks; empty where it can."""
    for package, version in sorted(queue.needs.items()):
        found = offer.packages.get(package)
        if found != version:
            return f"{package} {version} is needed, and it has {found or 'none'}"
    if queue.memory is not None and offer.memory is not None and queue.memory > offer.memory:
        return f"a task may use {queue.memory} bytes of memory, and it has {offer.memory}"
    return ""


def waiting(connection: sa.Connection, worker: str, study: str | None) -> Waiting:
    """The queues that are not empty, none for a worker that is asked to leave; and ended leases.

    Args:
        connection: Of any transaction; no row is locked.
        worker: Its name.
        study: Id of the one study that it works on, if it does.
    """
    if study is None:
        rows = connection.execute(_QUEUES, {"by": worker}).all()
    else:
        rows = connection.execute(_QUEUES_OF_STUDY, {"by": worker, "of": study}).all()
    found = [
        TaskQueue(
            number=row.study,
            study=row.study_id,
            family=row.family,
            oldest=row.id,
            ready=row.ready,
            running=row.running,
            priority=row.priority,
            served=row.served,
            needs=row.needs.get(row.family, {}),
            memory=row.limit_memory,
        )
        for row in rows
        if row.id is not None
    ]
    return Waiting(queues=found, any_ended=bool(rows[0].any_ended))


def _queues(*, of_study: bool) -> sa.Select[*tuple[Any, ...]]:
    """One probe of the index a queue: from the head of each to the head of the next."""
    head, task, other = tasks.alias("head"), tasks.alias("task"), tasks.alias("other")
    one: sa.ColumnClause[int] = sa.literal_column("1")

    def first(table: Any, *conditions: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
        return (
            sa.select(table.c.id, table.c.study, table.c.family)
            .where(table.c.state == _READY, *conditions)
            .order_by(table.c.study, table.c.family, table.c.id)
            .limit(one)
        )

    begin = first(head, *([head.c.study == _NUMBER] if of_study else []))
    heads = sa.select(begin.subquery("first")).cte("heads", recursive=True)
    following = [first(other, other.c.study == heads.c.study, other.c.family > heads.c.family)]
    if not of_study:
        following.append(first(other, other.c.study > heads.c.study))
    ids = [
        one.with_only_columns(other.c.id).correlate(heads).scalar_subquery() for one in following
    ]
    heads = heads.union_all(
        sa.select(task.c.id, task.c.study, task.c.family)
        .select_from(heads)
        .join(task, task.c.id == sa.func.coalesce(*ids, None))
    )
    ready = (
        sa.select(
            heads.c.id,
            heads.c.study,
            heads.c.family,
            studies.c.id.label("study_id"),
            studies.c.ready,
            studies.c.running,
            studies.c.priority,
            studies.c.served,
            studies.c.needs,
            studies.c.limit_memory,
        )
        .join(studies, studies.c.number == heads.c.study)
        .where(~studies.c.paused, ~_IS_LEAVING)
        .subquery("ready")
    )
    ended = sa.select(sa.exists().where(IS_RUNNING, HAS_ENDED).label("any_ended")).subquery("ended")
    always = sa.true()  # one row where nothing is ready
    return sa.select(ended.c.any_ended, ready).select_from(ended.outerjoin(ready, always))


_QUEUES = _queues(of_study=False)
_QUEUES_OF_STUDY = _queues(of_study=True)
