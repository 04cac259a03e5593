"""The program that serves the control API, with a controller beside it unless that is elsewhere."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import uvicorn

from fairlead.api.access import Access, with_role
from fairlead.api.app import make_app
from fairlead.api.certificate import Certificate
from fairlead.api.connection import ConnectionBounds, ControlConfig
from fairlead.control.controller import Controller
from fairlead.server.auth import read_tokens
from fairlead.server.listening import bind
from fairlead.settings import Settings
from fairlead.stores import open_stores

_TICKS = 300
"""Between two looks for another certificate; uvicorn has ten a second."""
_GRACE = 10  # seconds that requests have once it is asked to stop


class ControlUvicorn(uvicorn.Server):
    """uvicorn, whose signals are whoever runs it's, and whose certificate may be renewed."""

    certificate: Certificate | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, by TLS where there is a certificate."""
        if self.certificate is not None:
            self.config.ssl = self.certificate.context
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Look for another certificate now and then; whether to end."""
        if self.certificate is not None and counter % _TICKS == 0:
            self.certificate.follow()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@dataclass(kw_only=True)
class ControlServer:
    """Serves the control API until it is asked to stop.

    Args:
        settings: The installation's.
        host: Name or address to bind.
        port: 0 for a free one.
        certificate: By which it speaks TLS; None for plain HTTP.
        controller: Carries submitted runs meanwhile; None where that is done elsewhere.
        on_bound: Called with the URL once requests are accepted.
    """

    settings: Settings
    host: str = "127.0.0.1"
    port: int = 8000
    certificate: Certificate | None = None
    controller: Controller | None = None
    on_bound: Callable[[str], None]
    _server: ControlUvicorn | None = field(default=None, init=False)
    _asked: int = field(default=0, init=False)

    def stop(self) -> None:
        """Answer what was asked, then end; at once if asked twice. Called by signals' handlers."""
        self._asked += 1
        if self._server is not None:
            self._server.should_exit = True
            self._server.force_exit = self._asked > 1
        if self.controller is not None:
            self.controller.stop()

    def run(self) -> None:
        """Serve.

        Raises:
            Invalid: The address cannot be bound, or other machines could reach it while no token
                has a role.
            Corrupt: The file of tokens is not what was written.
        """
        logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
        known = with_role(read_tokens(self.settings.tokens))
        with (
            bind(self.host, self.port, tokens=bool(known)) as address,
            open_stores(self.settings) as stores,
        ):
            access = Access(self.settings.tokens, private=address.is_private)
            app = make_app(
                self.settings,
                stores,
                access,
                host=self.host,
                stopping=lambda: self._asked > 0,
            )
            config = ControlConfig(app, ConnectionBounds(), grace=_GRACE)
            self._server = ControlUvicorn(config)
            self._server.certificate = self.certificate
            listener = address.listen()
            scheme = "https" if self.certificate else "http"
            self.on_bound(f"{scheme}://{address.url.partition('://')[2]}")
            with self._carrying():
                if not self._asked:
                    self._server.run(sockets=[listener])

    @contextlib.contextmanager
    def _carrying(self) -> Iterator[None]:
        """The controller in a thread beside this."""
        if self.controller is None:
            yield
            return
        thread = threading.Thread(target=self.controller.run, name="controller")
        thread.start()
        try:
            yield
        finally:
            self.controller.stop()
            thread.join()
