"""A control API on a real socket in this process, whose ledger is another for each test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from fairlead.api.access import Access
from fairlead.api.app import make_app
from fairlead.api.process import ControlUvicorn
from fairlead.server.listening import bind
from fairlead.settings import Settings
from fairlead.stores import Stores, open_stores
from tests.support.waiting import wait_until


class ControlServer:
    """The server, while it runs.

    Args:
        url: Of it.
        app: That answers.
    """

    def __init__(self, url: str, app: FastAPI) -> None:
        self.url = url
        self._app = app

    @contextmanager
    def serving(self, folder: Path) -> Iterator[Stores]:
        """Have it serve the stores of a home in this folder."""
        installation = self._app.state.installation
        settings = Settings(home=folder / "home", mlflow="none")
        with open_stores(settings) as stores:
            self._app.state.installation = replace(installation, settings=settings, stores=stores)
            yield stores
        self._app.state.installation = installation


@contextmanager
def control_server(folder: Path) -> Iterator[ControlServer]:
    """A server of this process, which is open to this machine."""
    settings = Settings(home=folder / "home", mlflow="none")
    with bind("127.0.0.1", 0, tokens=False) as address, open_stores(settings) as stores:
        app = make_app(settings, stores, Access(settings.tokens, private=True))
        config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
        server = ControlUvicorn(config)
        listener = address.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield ControlServer(address.url, app)
        finally:
            server.should_exit = True
            thread.join()
