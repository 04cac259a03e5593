"""A control API on a real socket in this process, whose ledger is another for each test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from fairlead.api.access import Access
from fairlead.api.app import make_app
from fairlead.api.process import ControlUvicorn
from fairlead.server.listening import bind
from fairlead.settings import Settings
from fairlead.stores import Stores, open_stores
from tests.support.waiting import wait_until


class ControlServer:
    """The server, while it runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app of this moment does."""
        assert self._app is not None
        await self._app(scope, receive, send)

    @contextmanager
    def serving(self, folder: Path, ledger: str = "") -> Iterator[Stores]:
        """Have it serve the stores of a home in this folder, or this ledger."""
        settings = Settings(home=folder / "home", ledger=ledger, mlflow="none")
        with open_stores(settings) as stores:
            self._app = make_app(settings, stores, Access(settings.tokens, private=True))
            yield stores
        self._app = None


@contextmanager
def control_server() -> Iterator[ControlServer]:
    """A server of this process, which is open to this machine."""
    with bind("127.0.0.1", 0, tokens=False) as address:
        made = ControlServer(address.url)
        config = uvicorn.Config(
            made, log_config=None, access_log=False, server_header=False, lifespan="off"
        )
        server = ControlUvicorn(config)
        listener = address.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield made
        finally:
            server.should_exit = True
            thread.join()
