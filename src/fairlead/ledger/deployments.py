"""Deployments: revisions on their way into the route of their model.

A model has at most one that runs. A server carries it out under a lease, step by step; whoever
lost the lease writes no more. A deployment begins and is superseded under the lock of its model,
and goes on under the lock of its row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import sqlalchemy as sa

from fairlead.errors import Conflict, Invalid, NotFound
from fairlead.ledger import events, revisions
from fairlead.ledger.database import (
    LEASE_PATIENCE,
    Database,
    Now,
    Row,
    check_lease,
    lease_has_ended,
    lease_is_due,
    model_lock,
    now,
)
from fairlead.ledger.schema import deployments, observations, routes_in_force
from fairlead.records import Deployment, ServingEvent, StepObservation

_WHOLE = 100  # percent
_NOBODY = {"server": None, "lease": None, "lease_ends": None}
_OF_MODEL = deployments.c.model == sa.bindparam("model")
_IS_RUNNING = deployments.c.state == sa.literal_column("'running'")  # a literal: see attempts.py
_ROW = sa.select(deployments, Now().label("now"))
_ONE = _ROW.where(_OF_MODEL, deployments.c.number == sa.bindparam("number"))
_ONE_LOCKED = _ONE.with_for_update()
_ONE_SHARED = _ONE.with_for_update(read=True)  # for many at once
_LAST = _ROW.where(_OF_MODEL).order_by(deployments.c.number.desc()).limit(1)
_RUNNING = _ROW.where(_IS_RUNNING).order_by(deployments.c.model)
_RUNNING_OF_MODEL = _RUNNING.where(_OF_MODEL).with_for_update()
_RUNNING_LOCKED = _RUNNING.with_for_update(skip_locked=True)
_HELD = _RUNNING.where(deployments.c.server == sa.bindparam("by")).with_for_update()
_LAST_NUMBER = sa.select(sa.func.coalesce(sa.func.max(deployments.c.number), 0)).where(_OF_MODEL)
_IN_FORCE = sa.select(routes_in_force.c.number).where(
    routes_in_force.c.model == sa.bindparam("model")
)
_INSERT = deployments.insert()
_CHANGE = deployments.update().where(
    deployments.c.model == sa.bindparam("of"), deployments.c.number == sa.bindparam("which")
)
_GO_ON = _CHANGE.values(
    step=sa.bindparam("to"), reason=sa.bindparam("why"), since=sa.bindparam("at")
)
_END = _GO_ON.values(state=sa.bindparam("as"), **_NOBODY)
_TAKE = _CHANGE.values(
    server=sa.bindparam("by"), lease=sa.bindparam("seconds"), lease_ends=sa.bindparam("ends")
)
_RELEASE = _CHANGE.values(**_NOBODY)
_OBSERVED = (
    sa.select(observations)
    .where(
        observations.c.model == sa.bindparam("model"),
        observations.c.deployment == sa.bindparam("deployment"),
        observations.c.step == sa.bindparam("step"),
    )
    .order_by(observations.c.server)
)
_OBSERVE = observations.insert()
_OBSERVE_MORE = observations.update().where(
    observations.c.model == sa.bindparam("of"), observations.c.server == sa.bindparam("by")
)
_FORGET = observations.delete().where(observations.c.model == sa.bindparam("of"))


class SqlDeployments:
    """Deployments of revisions, and who carries them out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, deployment: Deployment) -> Deployment:
        """Append a deployment, which runs; one of the model that still runs is superseded."""
        _check_steps(deployment)
        return self._database.write(
            lambda connection: _begin(connection, deployment), lock=model_lock(deployment.model)
        )

    def get(self, model: str, number: int | None = None) -> Deployment:
        """The deployment of this number, or the last."""
        return self._database.read(
            lambda connection: _deployment(row_of(connection, model, number))
        )

    def author(self, model: str, number: int) -> str | None:
        """Who asked for the deployment; None where none is known."""
        return self._database.read(lambda connection: events.author(connection, model, number))

    def take(
        self, server: str, *, lease: float, models: Collection[str] | None = None
    ) -> Sequence[Deployment]:
        """The running deployments that this server is to carry out, by model."""
        check_lease(lease)
        rows = self._database.read(lambda connection: connection.execute(_RUNNING).all())
        if any(_is_to_take(row, server, lease, models) for row in rows):
            # After a power cut no server is left that a lease could matter to.
            rows = self._database.write(
                lambda connection: _take(connection, server, lease, models),
                durable=False,
                patience=LEASE_PATIENCE,
            )
        return [_deployment(row) for row in rows if row.server == server]

    def running(self) -> Sequence[Deployment]:
        """Those that run, whoever carries them out, by model."""
        rows = self._database.read(lambda connection: connection.execute(_RUNNING).all())
        return [_deployment(row) for row in rows]

    def advance(self, deployment: Deployment) -> Deployment:
        """Write a running deployment's step, state and reason; a new step begins now."""
        row = self._database.read(
            lambda connection: row_of(connection, deployment.model, deployment.number)
        )
        moves = (row.step, row.state) != (deployment.step, deployment.state)
        if not moves and _may_write(row, deployment) and row.reason == deployment.reason:
            return _deployment(row)
        # What it waits for may be lost in a power cut, or not be written: it is found out again.
        return self._database.write(
            lambda connection: advance(connection, deployment),
            durable=moves,
            patience=None if moves else LEASE_PATIENCE,
        )

    def observe(self, observation: StepObservation) -> None:
        """Keep what a server has observed of the present step."""
        # What a power cut takes back is written again, with more, a moment later.
        self._database.write(
            lambda connection: _observe(connection, observation),
            durable=False,
            patience=LEASE_PATIENCE,
        )

    def observations(self, deployment: Deployment) -> Sequence[StepObservation]:
        """What servers have observed of the deployment's step."""
        asked = {
            "model": deployment.model,
            "deployment": deployment.number,
            "step": deployment.step,
        }
        rows = self._database.read(lambda connection: connection.execute(_OBSERVED, asked).all())
        return [_observation(row) for row in rows]


def row_of(
    connection: sa.Connection, model: str, number: int | None = None, *, locked: bool = False
) -> Row:
    """The row of this deployment, or of the model's last.

    Raises:
        NotFound: There is none.
    """
    if number is None:
        row = connection.execute(_LAST, {"model": model}).one_or_none()
    else:
        one = _ONE_LOCKED if locked else _ONE
        row = connection.execute(one, {"model": model, "number": number}).one_or_none()
    if row is None:
        raise NotFound(_not_found(connection, model, number))
    return row


def advance(connection: sa.Connection, deployment: Deployment) -> Deployment:
    """Write its step, state and reason.

    Raises:
        Conflict: It does not run any more, another server has it, or it is further by now.
        Invalid: It has no such step.
    """
    row = row_of(connection, deployment.model, deployment.number, locked=True)
    if not _may_write(row, deployment):
        raise Conflict(_refusal(row, deployment))
    if not -1 <= deployment.step < len(row.steps):
        raise Invalid(f"{_named(row)} has no step {deployment.step}: its steps are {[*row.steps]}")
    _write(connection, row, deployment)
    return _deployment(row_of(connection, deployment.model, deployment.number))


def supersede(connection: sa.Connection, model: str, reason: str) -> Row | None:
    """End the model's deployment that runs, if one does; returns its row as it was."""
    row = connection.execute(_RUNNING_OF_MODEL, {"model": model}).one_or_none()
    if row is not None:
        ended = replace(_deployment(row), state="superseded", reason=reason)
        _write(connection, row, ended)
    return row


def refuse_running(connection: sa.Connection, model: str) -> None:
    """End where a deployment of the model runs, which is to go on.

    Raises:
        Conflict: One does.
    """
    row = connection.execute(_RUNNING_OF_MODEL, {"model": model}).one_or_none()
    if row is not None:
        raise Conflict(f"{_named(row)} runs by now, and is not to be superseded; look again")


def release(connection: sa.Connection, server: str) -> None:
    """Let another server carry out what this one holds."""
    for row in connection.execute(_HELD, {"by": server}).all():
        connection.execute(_RELEASE, _key(row))
        _append(connection, row, "released", server)


def _not_found(connection: sa.Connection, model: str, number: int | None) -> str:
    last = connection.execute(_LAST_NUMBER, {"model": model}).scalar_one()
    if not last:
        return f"nothing of model {model!r} has been deployed yet"
    return f"model {model!r} has no deployment {number}: it has 1 to {last}"


def _check_steps(deployment: Deployment) -> None:
    steps = (0, *deployment.steps)
    if steps[-1] != _WHOLE or any(after <= before for before, after in pairwise(steps)):
        raise Invalid(
            f"deploying {deployment.revision!r} of {deployment.model!r}: the steps must be rising "
            f"percents that end with 100, not {list(deployment.steps)!r}"
        )


def number_in_force(connection: sa.Connection, model: str) -> int | None:
    """The number of the model's route in force."""
    number: int | None = connection.execute(_IN_FORCE, {"model": model}).scalar()
    return number


def _begin(connection: sa.Connection, deployment: Deployment) -> Deployment:
    revision = revisions.row_of(connection, deployment.model, deployment.revision)
    number = connection.execute(_LAST_NUMBER, {"model": deployment.model}).scalar_one() + 1
    reason = f"deployment {number} of {deployment.revision} began"
    running = supersede(connection, deployment.model, reason)
    revisions.renew(connection, revision, reason)
    at = now(connection)
    begun = replace(
        deployment,
        number=number,
        base=_base(connection, deployment.model, running),
        step=-1,
        state="running",
        began=at,
        since=at,
        server=None,
    )
    connection.execute(_INSERT, _new_row(begun))
    row = row_of(connection, begun.model, number)
    _append(connection, row, "began", deployment.reason)
    return _deployment(row)


def _base(connection: sa.Connection, model: str, running: Row | None) -> int | None:
    if running is not None and running.base is not None:
        base: int = running.base
        return base
    return number_in_force(connection, model)


def _take(
    connection: sa.Connection, server: str, lease: float, models: Collection[str] | None
) -> Sequence[Row]:
    """Another server may have been here since the last look: look again, then write."""
    for row in connection.execute(_RUNNING_LOCKED).all():
        if _is_to_take(row, server, lease, models):
            held = {"by": server, "seconds": lease, "ends": row.now + lease}
            connection.execute(_TAKE, _key(row) | held)
            if row.server != server:
                _append(connection, row, "taken", server)
    return connection.execute(_RUNNING).all()


def _is_to_take(row: Row, server: str, lease: float, models: Collection[str] | None) -> bool:
    if models is not None and row.model not in models:
        return False
    if row.server == server:
        return lease_is_due(row.now, lease=lease, ends=row.lease_ends)
    return row.server is None or lease_has_ended(row.now, lease=row.lease, ends=row.lease_ends)


def _may_write(row: Row, deployment: Deployment) -> bool:
    return (
        row.state == "running"
        and row.step <= deployment.step
        and deployment.server in {None, row.server}
    )


def _refusal(row: Row, deployment: Deployment) -> str:
    if row.state != "running":
        return f"{_named(row)} is {row.state} by now: {row.reason or 'no reason was given'}"
    if row.step > deployment.step:
        return f"{_named(row)} is at step {row.step} by now, not {deployment.step}; look again"
    holder = "nobody" if row.server is None else repr(row.server)
    return f"{_named(row)} is carried out by {holder} by now, not {deployment.server!r}"


def _write(connection: sa.Connection, row: Row, deployment: Deployment) -> None:
    """Write what moves; only a step or an end is a line of the history."""
    at = row.since if row.step == deployment.step else row.now
    change = {"to": deployment.step, "why": deployment.reason, "at": at}
    if deployment.state == "running":
        connection.execute(_GO_ON, _key(row) | change)
    else:
        connection.execute(_END, _key(row) | change | {"as": deployment.state})
    moves = list(_moves(row, deployment))
    for kind, text in moves:
        _append(connection, row, kind, text)
    if moves:
        connection.execute(_FORGET, {"of": row.model})


def _moves(row: Row, deployment: Deployment) -> Iterator[tuple[str, str]]:
    if row.step != deployment.step:
        steps = row.steps
        yield "step", f"{deployment.step + 1} of {len(steps)}: {steps[deployment.step]} %"
    if row.state != deployment.state:
        yield deployment.state, deployment.reason


def _observe(connection: sa.Connection, observation: StepObservation) -> None:
    """The step cannot move meanwhile, so that no observation stays behind it."""
    asked = {"model": observation.model, "number": observation.deployment}
    row = connection.execute(_ONE_SHARED, asked).one_or_none()
    if row is None or (row.state, row.step) != ("running", observation.step):
        return
    key = {"of": observation.model, "by": observation.server}
    counts = {
        "deployment": observation.deployment,
        "step": observation.step,
        "seconds": observation.seconds,
        "revisions": observation.revisions,
        "edges": observation.edges,
        "crashes": observation.crashes,
    }
    if not connection.execute(_OBSERVE_MORE, key | counts).rowcount:
        named = {"model": observation.model, "server": observation.server}
        connection.execute(_OBSERVE, named | counts)


def _append(connection: sa.Connection, row: Row, kind: str, text: str) -> None:
    event = ServingEvent(
        model=row.model, kind=kind, text=text, revision=row.revision, deployment=row.number
    )
    events.append_serving(connection, event)


def _named(row: Row) -> str:
    return f"deployment {row.number} of {row.revision!r} of model {row.model!r}"


def _observation(row: Row) -> StepObservation:
    return StepObservation(
        model=row.model,
        deployment=row.deployment,
        step=row.step,
        server=row.server,
        seconds=row.seconds,
        revisions=row.revisions,
        edges=row.edges,
        crashes=row.crashes,
    )


def _key(row: Row) -> dict[str, object]:
    return {"of": row.model, "which": row.number}


def _new_row(deployment: Deployment) -> dict[str, object]:
    return {
        "model": deployment.model,
        "number": deployment.number,
        "revision": deployment.revision,
        "steps": deployment.steps,
        "bounds": deployment.bounds,
        "sticky": deployment.sticky,
        "base": deployment.base,
        "step": deployment.step,
        "state": deployment.state,
        "reason": deployment.reason,
        "began": deployment.began,
        "since": deployment.since,
    }


def _deployment(row: Row) -> Deployment:
    return Deployment(
        model=row.model,
        number=row.number,
        revision=row.revision,
        steps=row.steps,
        bounds=row.bounds,
        sticky=row.sticky,
        base=row.base,
        step=row.step,
        state=row.state,
        reason=row.reason,
        began=row.began,
        since=row.since,
        server=row.server,
    )
