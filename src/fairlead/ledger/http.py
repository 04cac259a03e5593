"""A ledger behind the control API of a `fairlead server`: no database, a token instead.

Each call of a Protocol's method is one request. What differs from a database: a server that is
away is waited for as one of a database is; a call that is not answered is asked again, under the
same key where twice would do harm, so that it is carried out once.
"""

from __future__ import annotations

import uuid
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

from fairlead.api_client import PATIENCE, ApiClient
from fairlead.ledger import wire
from fairlead.ledger.interface import (
    Autoscaling,
    Deployments,
    Fits,
    Histories,
    Outbox,
    Roots,
    Routes,
    Runs,
    Schedules,
    Servers,
    Studies,
    Tasks,
    Versions,
    Workers,
)
from fairlead.settings import SERVERS

KEY_HEADER = "Idempotency-Key"


def is_behind_api(location: object) -> bool:
    """Whether this is the URL of a server and not of a database."""
    return str(location).startswith(SERVERS)


def open_ledger(url: str, *, patience: float = PATIENCE, setting: str) -> HttpLedger:
    """The ledger of a server. One that does not answer by then is not waited for.

    Raises:
        Invalid: The URL is none of a server, it has another Fairlead, or it refuses the token.
        Unreachable: No server answers.
    """
    ledger = HttpLedger(ApiClient(url, setting=setting, patience=patience))
    try:
        ledger.call("clock", "now", patience=0.0)
    except BaseException:
        ledger.close()
        raise
    return ledger


class _Part:
    """A part of the ledger: it has the methods of its Protocol."""

    def __init__(self, ledger: HttpLedger, name: str) -> None:
        for method in wire.names(name):
            setattr(self, method, partial(ledger.call_with, name, method))


class HttpLedger:
    """The whole ledger of a server; use `open_ledger` to get one."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.studies = cast("Studies", _Part(self, "studies"))
        self.histories = cast("Histories", _Part(self, "histories"))
        self.tasks = cast("Tasks", _Part(self, "tasks"))
        self.fits = cast("Fits", _Part(self, "fits"))
        self.versions = cast("Versions", _Part(self, "versions"))
        self.outbox = cast("Outbox", _Part(self, "outbox"))
        self.routes = cast("Routes", _Part(self, "routes"))
        self.deployments = cast("Deployments", _Part(self, "deployments"))
        self.servers = cast("Servers", _Part(self, "servers"))
        self.workers = cast("Workers", _Part(self, "workers"))
        self.runs = cast("Runs", _Part(self, "runs"))
        self.schedules = cast("Schedules", _Part(self, "schedules"))
        self.autoscaling = cast("Autoscaling", _Part(self, "autoscaling"))
        self.roots = cast("Roots", _Part(self, "roots"))

    def now(self) -> float:
        """The clock of the server's ledger."""
        return float(self.call("clock", "now"))

    def call_with(self, part: str, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Carry out a method of a part."""
        return self.call(part, name, args, kwargs)

    def call(
        self,
        part: str,
        name: str,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        patience: float | None = None,
    ) -> Any:
        """Carry out a method of a part.

        Args:
            part: Name of the part.
            name: Of the method.
            args: Its arguments.
            kwargs: Its arguments by name.
            patience: Seconds that a server which is away is waited for, where it is not the usual.

        Raises:
            Unreachable: The server did not answer.
            FairleadError: As the method raises it.
        """
        method = wire.method(part, name)
        assert method is not None
        body = method.encoded(*args, **(kwargs or {}))
        headers = {
            "Content-Type": "application/json",
            wire.SHAPE_HEADER: wire.shape(),
        }
        if method.path in wire.KEPT:
            headers[KEY_HEADER] = uuid.uuid4().hex
        path = f"/ledger/{method.path}"
        answer = self._client.ask("POST", path, body, headers=headers, patience=patience)
        return method.answer(answer.body)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
