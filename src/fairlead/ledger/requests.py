"""Requests that are done once, however often they are asked.

Whoever asks over a network and hears no answer cannot know whether what it asked for was done. So
it asks under a key of its own making, and asks again under the same one. The answer is kept under
the key, written in the transaction of the very change that it answers: whoever asks again after
the commit is given that answer, and nothing is done.

`once` says for the current context (a thread, or a task of an event loop and the threads that it
asks) which request is being carried out; every write that a ledger makes in that context passes
`OnceDatabase`. The first one that the request has an answer for takes the answer along. Where
another process has written an answer under the key meanwhile, the whole transaction is taken back.

A key is forgotten some time after its answer was written, and before that where its caller has
made very many since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import sqlalchemy as sa

from fairlead.errors import Conflict, Permanent
from fairlead.ledger.database import Database, Now, Value
from fairlead.ledger.interface import KEPT_REQUESTS, MakeAnswer
from fairlead.ledger.schema import requests
from fairlead.ledger.upkeep import Upkeep
from fairlead.records import Answer, Request

_DAY = 86_400.0
_EVERY = 1000  # answers between two deletions of old ones
_OPEN: ContextVar[SqlOpenRequest | None] = ContextVar("fairlead_request", default=None)

_ONE = sa.select(requests).where(
    requests.c.caller == sa.bindparam("by"),
    requests.c.request_key == sa.bindparam("under"),
    requests.c.until > Now(),
)
# A key that has had its time is taken as a new one. Both databases say it in the same words, for
# which SQLAlchemy has one construct each.
_KEEP = sa.text(
    "INSERT INTO requests"
    " (caller, request_key, digest, status, media_type, location, body, written, until)"
    " VALUES (:caller, :request_key, :digest, :status, :media_type, :location, :body, :written,"
    " :until)"
    " ON CONFLICT (caller, request_key) DO UPDATE SET digest = excluded.digest,"
    " status = excluded.status, media_type = excluded.media_type, location = excluded.location,"
    " body = excluded.body, written = excluded.written, until = excluded.until"
    " WHERE requests.until <= excluded.written"
    " RETURNING id"
).bindparams(sa.bindparam("body", type_=sa.LargeBinary))
_FORGET_OLD = requests.delete().where(requests.c.until <= sa.bindparam("at"))
_NEWER = (
    sa.select(requests.c.id)
    .where(requests.c.caller == sa.bindparam("by"))
    .order_by(requests.c.id.desc())
    .limit(1)
    .offset(sa.bindparam("most"))
)
_FORGET_MANY = requests.delete().where(
    requests.c.caller == sa.bindparam("by"), requests.c.id <= _NEWER.scalar_subquery()
)


class AnsweredMeanwhile(Permanent):
    """Another process has carried out the request; this one wrote nothing."""


class SqlOpenRequest:
    """A request that is being carried out.

    Args:
        request: What is asked, by whom, under which key.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.is_kept = False
        self.is_answered_elsewhere = False
        self._make: MakeAnswer | None = None
        self._seconds = _DAY

    @property
    def is_kept_with_write(self) -> bool:
        """Whether its answer is kept with one of its writes, and not afterwards."""
        return self._make is not None

    def answer_with(self, make: MakeAnswer, *, seconds: float = _DAY) -> None:
        """Let the first write whose value this makes an answer of keep the answer."""
        self._make = make
        self._seconds = seconds

    def write(
        self, connection: sa.Connection, change: Callable[[sa.Connection], Value]
    ) -> tuple[Value, int | None]:
        """Run the change, and write the answer that its value makes.

        Returns:
            The value, and the id of the answer if one was written.

        Raises:
            AnsweredMeanwhile: There is one by now.
        """
        value = change(connection)
        answer = None if self.is_kept or self._make is None else self._make(value)
        if answer is None:
            return value, None
        number = keep(connection, self.request, answer, self._seconds)
        if number is None:
            self.is_answered_elsewhere = True
            self.refuse_answered()
        return value, number

    def refuse_answered(self) -> None:
        """Raise AnsweredMeanwhile where it was found out before."""
        if self.is_answered_elsewhere:
            raise AnsweredMeanwhile(f"request {self.request.key!r} was answered meanwhile")


def keep(connection: sa.Connection, request: Request, answer: Answer, seconds: float) -> int | None:
    """Write the answer; its id, or None where the key has one."""
    at = float(connection.execute(sa.select(Now())).scalar_one())
    row = {
        "caller": request.caller,
        "request_key": request.key,
        "digest": request.digest,
        "status": answer.status,
        "media_type": answer.media_type,
        "location": answer.location,
        "body": answer.body,
        "written": at,
        "until": at + seconds,
    }
    return connection.execute(_KEEP, row).scalar_one_or_none()


class OnceDatabase:
    """A database whose writes take along the answer of the request that they are made for.

    Args:
        database: The one that is written to.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self._database.name

    @property
    def setting(self) -> str:
        """The setting that says where it is."""
        return self._database.setting

    @property
    def upgrades_on_opening(self) -> bool:
        """Whether opening an older ledger brings its tables up to date."""
        return self._database.upgrades_on_opening

    @property
    def upkeep(self) -> Upkeep:
        """What its status, copies and rights are asked of."""
        return self._database.upkeep

    def refuse_emptied(self) -> None:
        """Raise Corrupt where it has no tables although something shows that it had some."""
        self._database.refuse_emptied()

    def prepare(self) -> None:
        """Set what must be set once."""
        self._database.prepare()

    def read(self, query: Callable[[sa.Connection], Value]) -> Value:
        """Run a function that reads one state of the ledger."""
        return self._database.read(query)

    def write(
        self,
        change: Callable[[sa.Connection], Value],
        *,
        lock: str | None = None,
        durable: bool = True,
        patience: float | None = None,
    ) -> Value:
        """Run a function that writes, and commit what it wrote, with the request's answer."""
        opened = _OPEN.get()
        if opened is None:
            return self._database.write(change, lock=lock, durable=durable, patience=patience)
        opened.refuse_answered()
        value, number = self._database.write(
            lambda connection: opened.write(connection, change),
            lock=lock,
            durable=durable,
            patience=patience,
        )
        if number is not None:
            opened.is_kept = True
            forget_old(self._database, opened.request.caller, number)
        return value

    def tell(self, connection: sa.Connection, study: str) -> None:
        """As the database does."""
        self._database.tell(connection, study)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()


class SqlRequests:
    """Answers that are kept under the keys of their requests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, request: Request) -> Answer | None:
        """The answer that is kept under the key of the request."""
        asked = {"by": request.caller, "under": request.key}
        row = self._database.read(lambda connection: connection.execute(_ONE, asked).one_or_none())
        if row is None:
            return None
        if row.digest != request.digest:
            raise Conflict(
                f"the key {request.key!r} was used for another request; make a new key for each",
                code="idempotency_key_reused",
            )
        return Answer(
            status=row.status, media_type=row.media_type, location=row.location, body=row.body
        )

    @contextmanager
    def once(self, request: Request) -> Iterator[SqlOpenRequest]:
        """Make the writes of this context those of the request."""
        opened = SqlOpenRequest(request)
        before = _OPEN.set(opened)
        try:
            yield opened
        finally:
            _OPEN.reset(before)

    def keep(self, request: Request, answer: Answer) -> None:
        """Keep an answer of which nothing was written yet, unless the key has one."""
        number = self._database.write(
            lambda connection: keep(connection, request, answer, _DAY), durable=False
        )
        if number is not None:
            forget_old(self._database, request.caller, number)


def forget_old(database: Database, caller: str, number: int) -> None:
    """Now and then, delete answers that have had their time, and more than a caller may have."""
    if number % _EVERY:
        return

    def forget(connection: sa.Connection) -> None:
        at = connection.execute(sa.select(Now())).scalar_one()
        connection.execute(_FORGET_OLD, {"at": at})
        connection.execute(_FORGET_MANY, {"by": caller, "most": KEPT_REQUESTS})

    database.write(forget, durable=False)
