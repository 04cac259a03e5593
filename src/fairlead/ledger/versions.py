"""Versions, judgements and promotions of models.

All of them are appended to, and numbered within their model. What a judgement counted and whom a
promotion replaces are checked again when they are written, under the lock of the model. What is
written for a run is written while that run goes on, by the process that carries it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import sqlalchemy as sa

from fairlead.errors import Conflict, NotFound
from fairlead.ledger.database import Database, Row, Value, model_lock, now
from fairlead.ledger.runs import refuse_lost
from fairlead.ledger.schema import champions, judged_rows, judgements, outbox, promotions, versions
from fairlead.records import Basis, Digest, Judgement, Promotion, RunHolder, Version

_OF_MODEL = versions.c.model == sa.bindparam("model")
_ALL = sa.select(versions).order_by(versions.c.model, versions.c.number)
_ALL_OF_MODEL = _ALL.where(_OF_MODEL)
_ONE = sa.select(versions).where(_OF_MODEL, versions.c.number == sa.bindparam("number"))
_SAME = sa.select(versions).where(_OF_MODEL, versions.c.manifest == sa.bindparam("manifest"))
_LAST = sa.select(sa.func.coalesce(sa.func.max(versions.c.number), 0)).where(_OF_MODEL)
_CHAMPION = (
    sa.select(versions)
    .join(
        champions,
        (champions.c.model == versions.c.model) & (champions.c.version == versions.c.number),
    )
    .where(champions.c.model == sa.bindparam("model"))
)
_CHAMPION_NUMBER = sa.select(champions.c.version).where(champions.c.model == sa.bindparam("model"))
_REPLACE = (
    champions.update()
    .where(champions.c.model == sa.bindparam("of"), champions.c.version == sa.bindparam("previous"))
    .values(version=sa.bindparam("number"))
)
_JUDGED = sa.select(sa.func.count()).where(judgements.c.model == sa.bindparam("model"))
_SAMPLES = sa.select(judged_rows.c.digest, judged_rows.c.sample).where(
    judged_rows.c.digest.in_(
        sa.select(judgements.c.rows).where(judgements.c.model == sa.bindparam("model"))
    )
)
_SAMPLE = sa.select(judged_rows.c.digest).where(judged_rows.c.digest == sa.bindparam("rows"))
_JUDGEMENTS = (
    sa.select(judgements)
    .where(judgements.c.model == sa.bindparam("model"))
    .order_by(judgements.c.id)
)
_LAST_JUDGEMENT = (
    sa.select(judgements)
    .where(
        judgements.c.model == sa.bindparam("model"), judgements.c.version == sa.bindparam("number")
    )
    .order_by(judgements.c.id.desc())
    .limit(1)
)
_PROMOTIONS = (
    sa.select(promotions)
    .where(promotions.c.model == sa.bindparam("model"))
    .order_by(promotions.c.number)
)
_LAST_PROMOTION = sa.select(sa.func.coalesce(sa.func.max(promotions.c.number), 0)).where(
    promotions.c.model == sa.bindparam("model")
)


class SqlVersions:
    """Versions, judgements and promotions of models."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(
        self, version: Version, *, seen: int | None = None, carrier: RunHolder | None = None
    ) -> Version:
        """Give the candidate the model's next number; the same manifest keeps its number."""
        return self._write(
            version.model, carrier, lambda connection: _register(connection, version, seen)
        )

    def all(self, model: str | None = None) -> Sequence[Version]:
        """The versions (of this model), by model and number."""
        chosen = _ALL if model is None else _ALL_OF_MODEL
        return self._database.read(
            lambda connection: [
                _version(row) for row in connection.execute(chosen, {"model": model})
            ]
        )

    def get(self, model: str, number: int) -> Version:
        """One version."""
        return self._database.read(lambda connection: _version(row_of(connection, model, number)))

    def champion(self, model: str) -> Version | None:
        """What the model's name stands for now."""
        return self._database.read(lambda connection: _champion(connection, model))

    def judge(
        self,
        judgement: Judgement,
        basis: Basis | None = None,
        *,
        carrier: RunHolder | None = None,
    ) -> None:
        """Append a verdict, and keep the sample of its rows."""
        self._write(
            judgement.model, carrier, lambda connection: judge(connection, judgement, basis)
        )

    def samples(self, model: str) -> Mapping[Digest, bytes]:
        """The samples of rows that judged the model, by the rows' digest, where they are known."""
        return self._database.read(
            lambda connection: {
                row.digest: row.sample for row in connection.execute(_SAMPLES, {"model": model})
            }
        )

    def judgements(self, model: str) -> Sequence[Judgement]:
        """The verdicts, the oldest first."""
        return self._database.read(
            lambda connection: [
                _judgement(row) for row in connection.execute(_JUDGEMENTS, {"model": model})
            ]
        )

    def last_judgement(self, model: str, number: int) -> Judgement | None:
        """The last verdict on a version; None where it was never judged."""
        return self._database.read(lambda connection: _last_judgement(connection, model, number))

    def promote(
        self,
        promotion: Promotion,
        judgement: Judgement | None = None,
        basis: Basis | None = None,
        *,
        carrier: RunHolder | None = None,
    ) -> Promotion:
        """Change the champion and append to the history, in one transaction."""
        return self._write(
            promotion.model,
            carrier,
            lambda connection: _promote(connection, promotion, judgement, basis),
        )

    def history(self, model: str) -> Sequence[Promotion]:
        """The promotions, the oldest first."""
        return self._database.read(lambda connection: _history(connection, model))

    def _write(
        self, model: str, carrier: RunHolder | None, change: Callable[[sa.Connection], Value]
    ) -> Value:
        """Run a change of the model, for a run or for nobody."""

        def write(connection: sa.Connection) -> Value:
            refuse_lost(connection, carrier)
            return change(connection)

        return self._database.write(write, lock=model_lock(model))


def row_of(connection: sa.Connection, model: str, number: int) -> Row:
    """The row of this version.

    Raises:
        NotFound: There is none.
    """
    row = connection.execute(_ONE, {"model": model, "number": number}).one_or_none()
    if row is not None:
        return row
    last = connection.execute(_LAST, {"model": model}).scalar_one()
    if not last:
        raise NotFound(_no_model(connection, model))
    raise NotFound(f"model {model!r} has no version {number}: it has 1 to {last}")


def _no_model(connection: sa.Connection, model: str) -> str:
    known = connection.execute(sa.select(versions.c.model).distinct()).scalars()
    listed = ", ".join(repr(name) for name in sorted(known)) or "none has been registered yet"
    return f"no model is called {model!r}; models: {listed}"


def judge(connection: sa.Connection, judgement: Judgement, basis: Basis | None = None) -> None:
    """Append a verdict, in a transaction that holds the lock of the model.

    Raises:
        NotFound: There is no such version.
        Conflict: The model has other judgements than the basis knew.
    """
    row_of(connection, judgement.model, judgement.version)
    if basis is not None:
        _rest_on(connection, judgement, basis)
    statement = judgements.insert().values(
        model=judgement.model,
        version=judgement.version,
        champion=judgement.champion,
        rows=judgement.rows,
        verdict=judgement.verdict,
        at=now(connection),
    )
    connection.execute(statement)


def _champion(connection: sa.Connection, model: str) -> Version | None:
    row = connection.execute(_CHAMPION, {"model": model}).one_or_none()
    return None if row is None else _version(row)


def _last_judgement(connection: sa.Connection, model: str, number: int) -> Judgement | None:
    keys = {"model": model, "number": number}
    row = connection.execute(_LAST_JUDGEMENT, keys).one_or_none()
    return None if row is None else _judgement(row)


def _history(connection: sa.Connection, model: str) -> Sequence[Promotion]:
    if not connection.execute(_LAST, {"model": model}).scalar_one():
        raise NotFound(_no_model(connection, model))
    return [_promotion(row) for row in connection.execute(_PROMOTIONS, {"model": model})]


def _register(connection: sa.Connection, version: Version, seen: int | None) -> Version:
    keys = {"model": version.model, "manifest": version.manifest}
    same = connection.execute(_SAME, keys).one_or_none()
    return _version(same) if same is not None else _create(connection, version, seen)


def _create(connection: sa.Connection, version: Version, seen: int | None) -> Version:
    last = connection.execute(_LAST, {"model": version.model}).scalar_one()
    if seen not in {None, last}:
        raise Conflict(
            f"registering a version of {version.model!r}: it has {last} by now, not {seen}; "
            "run it again"
        )
    created = replace(version, number=last + 1, created=now(connection))
    connection.execute(
        versions.insert().values(
            model=created.model,
            number=created.number,
            study=created.study,
            trial=created.trial,
            size=created.size,
            manifest=created.manifest,
            created=created.created,
        )
    )
    _announce(
        connection,
        "version",
        {
            "model": created.model,
            "version": created.number,
            "study": created.study,
            "manifest": created.manifest,
        },
    )
    return created


def _promote(
    connection: sa.Connection,
    promotion: Promotion,
    judgement: Judgement | None,
    basis: Basis | None,
) -> Promotion:
    row_of(connection, promotion.model, promotion.version)
    _replace_champion(connection, promotion)
    if judgement is not None:
        judge(connection, judgement, basis)
    _announce(connection, "champion", {"model": promotion.model, "version": promotion.version})
    return _append(connection, promotion)


def _replace_champion(connection: sa.Connection, promotion: Promotion) -> None:
    champion = connection.execute(_CHAMPION_NUMBER, {"model": promotion.model}).scalar()
    if champion != promotion.previous:
        raise Conflict(
            f"promoting {promotion.model!r} version {promotion.version}: the champion is "
            f"{_called(champion)} by now, not {_called(promotion.previous)}; run it again"
        )
    if champion is None:
        first = champions.insert().values(model=promotion.model, version=promotion.version)
        connection.execute(first)
        return
    change = {"of": promotion.model, "previous": champion, "number": promotion.version}
    connection.execute(_REPLACE, change)


def _rest_on(connection: sa.Connection, judgement: Judgement, basis: Basis) -> None:
    """What was counted is still all there is, and the next ones count this one."""
    count = connection.execute(_JUDGED, {"model": judgement.model}).scalar_one()
    if count != basis.judgements:
        raise Conflict(
            f"judging {judgement.model!r} version {judgement.version}: the model has {count} "
            f"verdicts by now, not {basis.judgements}; run it again"
        )
    if connection.execute(_SAMPLE, {"rows": judgement.rows}).one_or_none() is None:
        kept = judged_rows.insert().values(digest=judgement.rows, sample=basis.sample)
        connection.execute(kept)


def _called(version: int | None) -> str:
    return "none" if version is None else f"version {version}"


def _append(connection: sa.Connection, promotion: Promotion) -> Promotion:
    last = connection.execute(_LAST_PROMOTION, {"model": promotion.model}).scalar_one()
    appended = replace(promotion, number=last + 1, at=now(connection))
    connection.execute(
        promotions.insert().values(
            model=appended.model,
            number=appended.number,
            version=appended.version,
            previous=appended.previous,
            kind=appended.kind,
            why=appended.why,
            verdict=appended.verdict,
            at=appended.at,
        )
    )
    return appended


def _version(row: Row) -> Version:
    return Version(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it


def _judgement(row: Row) -> Judgement:
    return Judgement(
        model=row.model,
        version=row.version,
        champion=row.champion,
        rows=row.rows,
        verdict=row.verdict,
        at=row.at,
    )


def _promotion(row: Row) -> Promotion:
    return Promotion(
        model=row.model,
        number=row.number,
        version=row.version,
        previous=row.previous,
        kind=row.kind,
        why=row.why,
        verdict=row.verdict,
        at=row.at,
    )


# ---- the outbox -------------------------------------------------------------------------------
#
# The outbox: what MLflow's registry has yet to hear.
#
# An entry is put in by the transaction that makes it true, and leaves once it has arrived. What is
# away delays entries and loses none.


_PENDING = sa.select(outbox).order_by(outbox.c.id).limit(sa.bindparam("most"))
_SENT = outbox.delete().where(outbox.c.id == sa.bindparam("entry"))


class SqlOutbox:
    """What MLflow's registry has yet to hear."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending(self, limit: int = 100) -> Sequence[tuple[int, str, dict[str, object]]]:
        """(id, 'version' or 'champion', payload), the oldest first."""
        return self._database.read(
            lambda connection: [
                (row.id, row.kind, row.payload)
                for row in connection.execute(_PENDING, {"most": limit})
            ]
        )

    def sent(self, entry: int) -> None:
        """The entry has arrived."""
        self._database.write(lambda connection: connection.execute(_SENT, {"entry": entry}))


def _announce(
    connection: sa.Connection,
    kind: Literal["version", "champion"],
    payload: Mapping[str, object],
) -> None:
    """Put an entry in, in the transaction that makes it true."""
    row = {"kind": kind, "payload": payload}
    connection.execute(outbox.insert(), row)
