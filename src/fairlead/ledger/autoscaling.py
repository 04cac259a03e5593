"""How many workers there are, in the database: the load, who decides, and what was decided.

The load is read from what the ledger keeps anyway: the counters of studies, the tasks that run (by
which workers are busy), and the last lines of a study's history. None of it grows with the
number of trials.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import sqlalchemy as sa

from fairlead.errors import Lost
from fairlead.ledger import turns
from fairlead.ledger.database import (
    Database,
    Now,
    Row,
    check_lease,
    lease_has_ended,
    lease_is_due,
    now,
)
from fairlead.ledger.interface import KEPT_DECISIONS
from fairlead.ledger.schema import (
    autoscalers,
    events,
    results,
    scaling_decisions,
    studies,
    tasks,
)
from fairlead.records import Autoscaler, Load, Offer, ScalingDecision, StudyLoad

_LAST_TASKS = 20
"""So many of a study's last tasks say how long one takes."""
_LAST_EVENTS = 300
"""So many lines of its history are looked at for them."""

_OPEN = (
    sa.select(
        studies.c.number,
        studies.c.id,
        studies.c.name,
        studies.c.priority,
        studies.c.ready,
        studies.c.running,
        studies.c.results,
    )
    .where((studies.c.ready + studies.c.running) > 0, ~studies.c.paused)
    .order_by(studies.c.priority.desc(), studies.c.number)
)
_OPEN_OF_STUDY = _OPEN.where(studies.c.id == sa.bindparam("of"))
_RUNNING = (
    sa.select(tasks.c.study, tasks.c.worker, tasks.c.lease, tasks.c.lease_ends, events.c.at)
    .join(events, events.c.id == tasks.c.token)  # the claim's line
    .where(tasks.c.state == sa.literal_column("'running'"))  # a literal: see attempts.py
)
_HISTORY = (
    sa.select(events.c.kind, events.c.at, events.c.task, events.c.attempt, events.c.worker)
    .where(events.c.study == sa.bindparam("study"))
    .order_by(events.c.id.desc())
    .limit(_LAST_EVENTS)
)
_LAST_RESULTS = sa.select(sa.func.avg(results.c.seconds)).where(
    results.c.study == sa.bindparam("study"), results.c.mark > sa.bindparam("after")
)

_NOBODY = {"holder": None, "lease": None, "lease_ends": None}
_ALL = sa.select(autoscalers, Now().label("now")).order_by(autoscalers.c.name)
_ONE = _ALL.where(autoscalers.c.name == sa.bindparam("called"))
_ONE_LOCKED = _ONE.with_for_update(of=autoscalers)
_CHANGE = autoscalers.update().where(autoscalers.c.name == sa.bindparam("called"))
_HOLD = _CHANGE.values(
    holder=sa.bindparam("by"),
    workers=sa.bindparam("have", type_=autoscalers.c.workers.type),
    spent=sa.bindparam("cost"),
    began=sa.bindparam("since"),
    lease=sa.bindparam("seconds"),
    lease_ends=sa.bindparam("ends"),
)
_SPEND = _CHANGE.values(spent=sa.bindparam("cost"))
_RELEASE = _CHANGE.where(autoscalers.c.holder == sa.bindparam("by")).values(**_NOBODY)
_NEW = {"workers": (), "spent": 0.0, "began": 0.0}
_APPEND = scaling_decisions.insert()
_DECISIONS = (
    sa.select(*(column for column in scaling_decisions.c if column.name != "id"))
    .order_by(scaling_decisions.c.id.desc())
    .limit(sa.bindparam("most"))
)
_DECISIONS_OF_ONE = _DECISIONS.where(scaling_decisions.c.autoscaler == sa.bindparam("called"))
_OLDEST_KEPT = (
    sa.select(scaling_decisions.c.id)
    .where(scaling_decisions.c.autoscaler == sa.bindparam("called"))
    .order_by(scaling_decisions.c.id.desc())
    .offset(sa.bindparam("kept"))
    .limit(1)
)
_FORGET = scaling_decisions.delete().where(
    scaling_decisions.c.autoscaler == sa.bindparam("called"),
    scaling_decisions.c.id <= sa.bindparam("up_to"),
)


def autoscaler_lock(name: str) -> str:
    """The lock of a name that nobody has had yet."""
    return f"autoscaler:{name}"


class SqlAutoscaling:
    """How many workers there are, and why."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, *, offer: Offer | None = None, study: str | None = None) -> Load:
        """What there is to do."""
        return self._database.read(lambda connection: _load(connection, offer, study))

    def take(self, autoscaler: Autoscaler, *, lease: float) -> Autoscaler:
        """Hold the name from now on, unless another does."""
        check_lease(lease)
        row = self._database.read(lambda connection: _row(connection, autoscaler.name))
        if row is not None and not _is_to_write(row, autoscaler, lease):
            return _autoscaler(row)
        # After a power cut no process and no worker is left that it could matter to.
        return self._database.write(
            lambda connection: _take(connection, autoscaler, lease),
            lock=autoscaler_lock(autoscaler.name),
            durable=False,
        )

    def release(self, name: str, holder: str) -> None:
        """Let another process have the name."""
        self._database.write(
            lambda connection: connection.execute(_RELEASE, {"called": name, "by": holder}),
            durable=False,
        )

    def all(self) -> Sequence[Autoscaler]:
        """Every autoscaler, by name."""
        return self._database.read(
            lambda connection: [_autoscaler(row) for row in connection.execute(_ALL)]
        )

    def decided(self, decision: ScalingDecision, *, holder: str) -> ScalingDecision:
        """Append a decision, and with it what was spent."""
        return self._database.write(
            lambda connection: _decided(connection, decision, holder), durable=False
        )

    def decisions(
        self, autoscaler: str | None = None, *, limit: int = 100
    ) -> Sequence[ScalingDecision]:
        """The last decisions (of this one), the newest first."""
        query = _DECISIONS if autoscaler is None else _DECISIONS_OF_ONE
        of = {"most": limit} if autoscaler is None else {"most": limit, "called": autoscaler}
        return self._database.read(
            lambda connection: [
                ScalingDecision(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
                for row in connection.execute(query, of)
            ]
        )


def _load(connection: sa.Connection, offer: Offer | None, study: str | None) -> Load:
    at = now(connection)
    lacking = _lacking(connection, offer, study)
    running = _running(connection, at)
    query, of = (_OPEN, {}) if study is None else (_OPEN_OF_STUDY, {"of": study})
    found = [
        _study_load(connection, row, at, running.get(row.number, ()), lacking.get(row.number))
        for row in connection.execute(query, of).all()
    ]
    busy = frozenset(row.worker for rows in running.values() for row in rows)
    return Load(at=at, studies=tuple(found), busy=busy)


def _lacking(
    connection: sa.Connection, offer: Offer | None, study: str | None
) -> Mapping[int, str]:
    """For each study that has ready tasks, why none can be taken; empty where one can."""
    found: dict[int, str] = {}
    for queue in turns.waiting(connection, "", study).queues:
        why = "" if offer is None else turns.lacking(queue, offer)
        found[queue.number] = found.get(queue.number, why) and why
    return found


def _running(connection: sa.Connection, at: float) -> Mapping[int, Sequence[Row]]:
    """The tasks of each study that some worker has, and is heard of."""
    found: dict[int, list[Row]] = {}
    for row in connection.execute(_RUNNING):
        if not lease_has_ended(at, lease=row.lease, ends=row.lease_ends):
            found.setdefault(row.study, []).append(row)
    return found


def _study_load(
    connection: sa.Connection, row: Row, at: float, running: Sequence[Row], lacking: str | None
) -> StudyLoad:
    ended = row.running - len(running)  # their leases have ended: whoever claims next, may
    return StudyLoad(
        study=row.id,
        name=row.name,
        priority=row.priority,
        ready=row.ready + ended,
        running=len({each.worker for each in running}),
        seconds=_seconds(connection, row),
        longest=max((at - each.at for each in running), default=0.0),
        lacking=lacking or "",
    )


def _seconds(connection: sa.Connection, row: Row) -> float | None:
    """Mean time of the study's last tasks, from claim to commit.

    Tasks that were claimed and committed together share their time. Where there are so many workers
    that the last lines of its history hold no whole task, it is that of its last results.
    """
    ends: dict[tuple[int, int], float] = {}
    spans: list[tuple[str, float, float]] = []  # the worker, and when it had the task
    for line in connection.execute(_HISTORY, {"study": row.number}):
        task = (line.task, line.attempt)
        if line.kind == "committed":
            ends[task] = line.at
        elif line.kind == "claimed" and task in ends:
            spans.append((line.worker, line.at, ends[task]))
    if spans:
        together, last = Counter(spans), spans[:_LAST_TASKS]
        return sum(max(0.0, span[2] - span[1]) / together[span] for span in last) / len(last)
    after = {"study": row.number, "after": row.results - _LAST_TASKS}
    mean = connection.execute(_LAST_RESULTS, after).scalar_one()
    return None if mean is None else float(mean)


def _row(connection: sa.Connection, name: str, *, locked: bool = False) -> Row | None:
    query = _ONE_LOCKED if locked else _ONE
    return connection.execute(query, {"called": name}).one_or_none()


def _is_held(row: Row) -> bool:
    return row.holder is not None and not lease_has_ended(
        row.now, lease=row.lease, ends=row.lease_ends
    )


def _is_to_write(row: Row, wanted: Autoscaler, lease: float) -> bool:
    if row.holder != wanted.holder:
        return not _is_held(row)
    others = set(row.workers) != set(wanted.workers)
    return others or lease_is_due(row.now, lease=lease, ends=row.lease_ends)


def _take(connection: sa.Connection, wanted: Autoscaler, lease: float) -> Autoscaler:
    """Another process may have been here since the last look: look again, then write."""
    if _row(connection, wanted.name) is None:
        connection.execute(autoscalers.insert(), {"name": wanted.name, **_NEW})
    row = _row(connection, wanted.name, locked=True)
    assert row is not None
    if not _is_to_write(row, wanted, lease):
        return _autoscaler(row)
    own, taken_over = row.holder == wanted.holder, row.holder is not None
    held = {
        "called": wanted.name,
        "by": wanted.holder,
        "have": wanted.workers,
        "cost": wanted.spent if own else row.spent if taken_over else 0.0,
        "since": row.began if taken_over else row.now,
        "seconds": lease,
        "ends": row.now + lease,
    }
    connection.execute(_HOLD, held)
    return Autoscaler(
        name=wanted.name,
        holder=wanted.holder,
        workers=wanted.workers if own else row.workers,
        spent=held["cost"],
        began=held["since"],
    )


def _decided(connection: sa.Connection, decision: ScalingDecision, holder: str) -> ScalingDecision:
    name = decision.autoscaler
    row = _row(connection, name, locked=True)
    if row is None or row.holder != holder:
        by = "nobody" if row is None or row.holder is None else repr(row.holder)
        raise Lost(f"autoscaler {name!r} is held by {by} by now, not {holder!r}")
    values = asdict(decision) | {"at": row.now}
    connection.execute(_APPEND, values)
    connection.execute(_SPEND, {"called": name, "cost": decision.spent})
    old = connection.execute(_OLDEST_KEPT, {"called": name, "kept": KEPT_DECISIONS})
    if (up_to := old.scalar_one_or_none()) is not None:
        connection.execute(_FORGET, {"called": name, "up_to": up_to})
    return ScalingDecision(**values)


def _autoscaler(row: Row) -> Autoscaler:
    return Autoscaler(
        name=row.name,
        holder=row.holder if _is_held(row) else None,
        workers=row.workers,
        spent=row.spent,
        began=row.began,
    )
