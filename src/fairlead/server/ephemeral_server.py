"""A server of one's own, for as long as it takes to see a model answer.

Belongs here: running the serving program beside what else this process does. Does not: the serving
program (supervisor.py).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fairlead.artifacts import Artifacts
from fairlead.errors import Failed
from fairlead.ledger.interface import Ledger
from fairlead.server.events import AddressBound, ServerEvent
from fairlead.server.supervisor import ServeOptions, ShutdownRequest, serve


@contextmanager
def ephemeral_server(ledger: Ledger, artifacts: Artifacts, options: ServeOptions) -> Iterator[str]:
    """A server of this address and these models; it has drained and ended afterwards.

    Args:
        ledger: Says what is to be served.
        artifacts: Holds the files that it names.
        options: How; at port 0 it takes one that is free.

    Yields:
        Its URL.

    Raises:
        FairleadError: As `serve` does.
    """
    server = _Server(ledger, artifacts, options)
    server.start()
    try:
        yield server.url()
    finally:
        server.end()


class _Server(threading.Thread):
    def __init__(self, ledger: Ledger, artifacts: Artifacts, options: ServeOptions) -> None:
        super().__init__(name="fairlead-serve", daemon=True)
        self._given = (ledger, artifacts, options)
        self._shutdown = ShutdownRequest()
        self._listening = threading.Event()
        self._url = ""
        self._error: BaseException | None = None

    def run(self) -> None:
        """Serve until `end`; an error is kept for whoever waits."""
        try:
            serve(*self._given, shutdown=self._shutdown, on_event=self._on_event)
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody can handle it
            self._error = error
        finally:
            self._listening.set()

    def url(self) -> str:
        """Its URL, once it listens."""
        self._listening.wait()
        self._raise()
        if not self._url:
            raise Failed("starting a server for the test: it ended before it listened")
        return self._url

    def end(self) -> None:
        """Have it drain, and wait until it has ended."""
        self._shutdown.request()
        self.join()
        self._raise()

    def _on_event(self, news: ServerEvent) -> None:
        if isinstance(news, AddressBound):
            self._url = news.url
            self._listening.set()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
