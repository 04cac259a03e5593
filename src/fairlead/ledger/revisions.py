"""Revisions of models: versions with their serving settings.

Those of one version are numbered, and named by it: v3, v3-2. A revision that is over ('retired',
'failed') is 'loading' again once it is asked for. It does not leave while the route in force names
it or a running deployment brings it in.

Every function but `row_of` and `listed` takes the connection of a transaction that holds the lock
of the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from fairlead.errors import NotFound
from fairlead.ledger import events, versions
from fairlead.ledger.database import Row, now
from fairlead.ledger.schema import deployments, revisions, routes, routes_in_force
from fairlead.records import Revision, RevisionState, ServingEvent

_OVER = {"retired", "failed"}
_LEAVING = {"draining", "retired"}
_ALL = sa.select(revisions).order_by(revisions.c.model, revisions.c.version, revisions.c.number)
_ALL_OF_MODEL = _ALL.where(revisions.c.model == sa.bindparam("model"))
_NOT_RETIRED = revisions.c.state != "retired"
_OF_VERSION = _ALL_OF_MODEL.where(revisions.c.version == sa.bindparam("version"))
_ONE = sa.select(revisions).where(
    revisions.c.model == sa.bindparam("model"), revisions.c.name == sa.bindparam("name")
)
_NAMES = sa.select(revisions.c.name).where(revisions.c.model == sa.bindparam("model"))
_INSERT = revisions.insert()
_ENTER = (
    revisions.update()
    .where(revisions.c.model == sa.bindparam("of"), revisions.c.name == sa.bindparam("called"))
    .values(state=sa.bindparam("to"), reason=sa.bindparam("why"), changed=sa.bindparam("at"))
)
_TRAFFIC = (
    sa.select(routes.c.traffic)
    .join(
        routes_in_force,
        (routes_in_force.c.model == routes.c.model) & (routes_in_force.c.number == routes.c.number),
    )
    .where(routes_in_force.c.model == sa.bindparam("model"))
)
_ON_ITS_WAY = sa.select(
    sa.exists().where(
        deployments.c.model == sa.bindparam("model"),
        deployments.c.revision == sa.bindparam("name"),
        deployments.c.state == sa.literal_column("'running'"),
    )
)


def listed(connection: sa.Connection, model: str | None, *, retired: bool) -> Sequence[Revision]:
    """The revisions (of this model), by model, version and creation.

    Args:
        connection: Of any transaction.
        model: None for every model.
        retired: Whether to list those that are retired.
    """
    chosen = _ALL if model is None else _ALL_OF_MODEL
    rows = connection.execute(chosen if retired else chosen.where(_NOT_RETIRED), {"model": model})
    return [_revision(row) for row in rows]


def row_of(connection: sa.Connection, model: str, name: str) -> Row:
    """The row of this revision.

    Raises:
        NotFound: There is none.
    """
    row = connection.execute(_ONE, {"model": model, "name": name}).one_or_none()
    if row is None:
        known = sorted(connection.execute(_NAMES, {"model": model}).scalars())
        listed = ", ".join(repr(each) for each in known) or "none has been deployed yet"
        raise NotFound(f"model {model!r} has no revision {name!r}; revisions: {listed}")
    return row


def revise(connection: sa.Connection, wanted: Revision) -> Revision:
    """The revision of this version with this allowance, 'loading' where it is new or was over.

    Raises:
        NotFound: There is no such version.
    """
    versions.row_of(connection, wanted.model, wanted.version)
    keys = {"model": wanted.model, "version": wanted.version}
    rows = connection.execute(_OF_VERSION, keys).all()
    # As records, not as texts: an older Fairlead wrote texts that lack what has a default by now.
    same = [row for row in rows if row.allowance == wanted.allowance]
    if not same:
        return _create(connection, wanted, number=len(rows) + 1)
    renew(connection, same[0], wanted.reason)
    return _revision(row_of(connection, wanted.model, same[0].name))


def renew(connection: sa.Connection, row: Row, reason: str) -> None:
    """Make one that was over 'loading' again."""
    if row.state in _OVER:
        enter(connection, row, "loading", reason)


def may_enter(
    connection: sa.Connection, row: Row, state: RevisionState, *, was: RevisionState
) -> bool:
    """Whether it is still what it was, and nobody has come to want it if it is to leave."""
    return row.state == was and not (state in _LEAVING and _is_wanted(connection, row))


def enter(connection: sa.Connection, row: Row, state: RevisionState, reason: str) -> None:
    """Bring it into the state, or give the state another reason."""
    if (row.state, row.reason) == (state, reason):
        return
    change = {
        "of": row.model,
        "called": row.name,
        "to": state,
        "why": reason,
        "at": row.changed if row.state == state else now(connection),
    }
    connection.execute(_ENTER, change)
    _append(connection, row, state, reason)


def serve(connection: sa.Connection, model: str, names: Iterable[str], reason: str) -> None:
    """Make the revisions that are not 'serving' so.

    Raises:
        NotFound: One of them is not there.
    """
    for name in names:
        row = row_of(connection, model, name)
        if row.state != "serving":
            enter(connection, row, "serving", reason)


def _is_wanted(connection: sa.Connection, row: Row) -> bool:
    """Whether the route in force names it, or a running deployment brings it in."""
    traffic = connection.execute(_TRAFFIC, {"model": row.model}).scalar_one_or_none()
    if traffic is not None and row.name in traffic:
        return True
    keys = {"model": row.model, "name": row.name}
    return bool(connection.execute(_ON_ITS_WAY, keys).scalar_one())


def _create(connection: sa.Connection, wanted: Revision, *, number: int) -> Revision:
    at = now(connection)
    row = {
        "model": wanted.model,
        "name": _name(wanted.version, number),
        "version": wanted.version,
        "number": number,
        "allowance": wanted.allowance,
        "state": "loading",
        "reason": wanted.reason,
        "created": at,
        "changed": at,
    }
    connection.execute(_INSERT, row)
    created = row_of(connection, wanted.model, _name(wanted.version, number))
    _append(connection, created, "loading", wanted.reason)
    return _revision(created)


def _name(version: int, number: int) -> str:
    return f"v{version}" if number == 1 else f"v{version}-{number}"


def _append(connection: sa.Connection, row: Row, state: RevisionState, reason: str) -> None:
    event = ServingEvent(model=row.model, kind=state, text=reason, revision=row.name)
    events.append_serving(connection, event)


def _revision(row: Row) -> Revision:
    return Revision(
        model=row.model,
        name=row.name,
        version=row.version,
        allowance=row.allowance,
        state=row.state,
        reason=row.reason,
        created=row.created,
        changed=row.changed,
    )
