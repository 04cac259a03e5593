"""A serving program in a thread of this process, for as long as a block runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fairlead.errors import Failed
from fairlead.server.events import AddressBound, ServerEvent
from fairlead.server.supervisor import ServeOptions, ShutdownRequest, serve
from fairlead.stores import Stores


@contextmanager
def ephemeral_server(stores: Stores, options: ServeOptions) -> Iterator[str]:
    """A server with these options; it has drained and ended after the block.

    Args:
        stores: Of what is to be served.
        options: How; at port 0 it takes a free one.

    Yields:
        Its URL.

    Raises:
        FairleadError: As `serve` does.
    """
    server = _ServerThread(stores, options)
    server.start()
    try:
        yield server.url()
    finally:
        server.end()


class _ServerThread(threading.Thread):
    def __init__(self, stores: Stores, options: ServeOptions) -> None:
        super().__init__(name="fairlead-serve", daemon=True)
        self._arguments = (stores, options)
        self._shutdown = ShutdownRequest()
        self._listening = threading.Event()
        self._url = ""
        self._error: BaseException | None = None

    def run(self) -> None:
        """Serve until `end`; an error is kept for the thread that waits."""
        try:
            serve(*self._arguments, shutdown=self._shutdown, on_event=self._on_event)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that can handle it
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

    def _on_event(self, event: ServerEvent) -> None:
        if isinstance(event, AddressBound):
            self._url = event.url
            self._listening.set()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
