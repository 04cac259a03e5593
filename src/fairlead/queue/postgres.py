"""Hints through PostgreSQL: LISTEN and NOTIFY on the server that the ledger is on.

A hint goes to everybody who waits at that moment and is kept for nobody. It is a transaction of its
own, without anything else in it: a NOTIFY locks the whole cluster while it commits, so none may be
in a transaction that writes results. Listening needs a session of its own, not one of a pool that
gives each transaction another.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fairlead.errors import Invalid, Unreachable
from fairlead.queue.interface import Delivery, Hint, Queue
from fairlead.queue.message import decoded, encoded

_CHANNEL = "fairlead_tasks"
NEWS = "fairlead_news"
"""The channel on which the ledger tells who carries a study of a commit after which the worker
found nothing to do. A message is the study's id."""
_PATIENCE = 5  # seconds that a connection may take
_SHORTEST, _LONGEST = 0.25, 10.0  # seconds before a further try to connect


def open_queue(url: str, *, notice: Callable[[str], None], study: str = "") -> Queue:
    """Open the queue of a server, which need not be there yet.

    Args:
        url: Of the ledger's database.
        notice: Is told, in a line, when the server is lost and when it is back.
        study: Id of the study whose hints alone are heard; those of every study if empty.

    Raises:
        Invalid: The driver is not installed.
    """
    try:
        import psycopg  # noqa: F401 - whoever asks is told at once
    except ImportError:
        raise Invalid(
            "the ledger's driver is not installed: pip install 'fairlead[postgresql]'"
        ) from None
    return PostgresQueue(url, notice=notice, study=study)


def open_news(url: str, *, study: str) -> Queue:
    """Open what brings news of a study to who carries it; who does not hear looks now and then.

    Args:
        url: Of the ledger's database.
        study: Id of the study.
    """
    return PostgresQueue(
        url,
        notice=lambda _: None,  # the ledger itself is away then, which is told
        study=study,
        channel=NEWS,
        read=lambda payload: Hint(study=payload.decode()),
    )


class PostgresQueue:
    """A channel of one database.

    Args:
        url: Of the database.
        notice: Is told, in a line, when the server is lost and when it is back.
        study: Id of the study whose hints alone are heard; those of every study if empty.
        channel: Its name.
        read: Makes a hint of what is heard.
    """

    def __init__(
        self,
        url: str,
        *,
        notice: Callable[[str], None],
        study: str,
        channel: str = _CHANNEL,
        read: Callable[[bytes], Hint] = decoded,
    ) -> None:
        self._url = url
        self._channel = channel
        self._read = read
        self._notice = notice
        self._study = study
        self._turn = threading.Lock()  # of `next`
        self._telling = threading.Lock()  # of `announce`
        self._ear: Any = None  # the connection that listens
        self._mouth: Any = None
        self._again = 0.0  # monotonic seconds before which it is not tried to connect
        self._pause = _SHORTEST
        self._is_away = False
        self._closed = False
        self._closing, self._wake = os.pipe()

    def announce(self, hint: Hint) -> None:
        """Notify whoever waits. Raises as `Queue.announce` does."""
        import psycopg

        payload = encoded(hint).decode()
        with self._telling:
            for is_last in (False, True):  # the first may find out that the server was away
                try:
                    self._mouth = self._mouth or self._connected()
                    self._mouth.execute("SELECT pg_notify(%s, %s)", (self._channel, payload))
                except psycopg.Error as error:
                    _let_go(self._mouth)
                    self._mouth = None
                    if is_last:
                        raise Unreachable(
                            f"the queue at the ledger's server: {_line(error)}"
                        ) from error
                else:
                    return

    def next(self, timeout: float) -> Delivery | None:
        """Wait for a notification; where several are there, they are one."""
        deadline = time.monotonic() + max(0.0, timeout)
        if not self._turn.acquire(timeout=max(0.0, timeout)):
            return None
        try:
            return self._heard(deadline)
        finally:
            self._turn.release()

    def acknowledge(self, delivery: Delivery) -> None:
        """Nothing is kept, so nothing comes back."""

    def close(self) -> None:
        """Let go of the connections, and of who waits."""
        if self._closed:
            return
        self._closed = True
        os.write(self._wake, b"!")
        with self._turn, self._telling:
            _let_go(self._ear)
            _let_go(self._mouth)
            self._ear = self._mouth = None
            os.close(self._closing)
            os.close(self._wake)

    def _heard(self, deadline: float) -> Delivery | None:
        while not self._closed:
            with self._away():
                self._listen()
                hints = [one for one in self._received() if self._study in {"", one.study}]
                if hints:
                    return Delivery(hint=hints[-1])
            left = deadline - time.monotonic()
            if left <= 0 or not self._wait(left):
                return None
        return None

    def _wait(self, seconds: float) -> bool:
        """Wait for something on the connection, or for the time of the next try to connect."""
        ends: list[Any] = [self._closing]
        if self._ear is not None:
            ends.append(self._ear.fileno())
        else:
            seconds = min(seconds, max(0.0, self._again - time.monotonic()) + 0.001)
        ready, _, _ = select.select(ends, [], [], seconds)
        return bool(ready) or self._ear is None

    def _listen(self) -> None:
        if self._ear is None and time.monotonic() >= self._again:
            self._ear = self._connected()
            self._ear.execute(f"LISTEN {self._channel}")
            self._pause = _SHORTEST
            if self._is_away:
                self._is_away = False
                self._notice("the queue at the ledger's server is back")

    def _received(self) -> Iterator[Hint]:
        if self._ear is None:
            return
        for notification in self._ear.notifies(timeout=0):
            with suppress(Invalid):  # of another release, or of somebody else
                yield self._read(notification.payload.encode())

    @contextmanager
    def _away(self) -> Iterator[None]:
        """A server that is away brings nothing, and is tried again ever more slowly."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            _let_go(self._ear)
            self._ear = None
            self._again = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST)
            if not self._is_away:
                self._is_away = True
                self._notice(
                    f"the queue at the ledger's server: {_line(error)}; workers look into the "
                    "ledger meanwhile"
                )

    def _connected(self) -> Any:
        import psycopg

        return psycopg.connect(
            self._url, autocommit=True, connect_timeout=_PATIENCE, application_name="fairlead queue"
        )


def _let_go(connection: Any) -> None:
    if connection is not None:
        connection.close()


def _line(error: Exception) -> str:
    return " ".join(str(error).split("\n", 1)[0].split())[:200]
