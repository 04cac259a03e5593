"""The program of a gateway."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx2

from fairlead.api.connection import ConnectionBounds, ControlConfig
from fairlead.api.process import ControlUvicorn
from fairlead.errors import Invalid
from fairlead.gateway.app import GatewayApp, GatewayBounds
from fairlead.server.listening import bind

_GRACE = 20  # seconds that held requests have once it is asked to stop
_CONNECTS = 1.0  # seconds in which a replica must take a connection


@dataclass(frozen=True, kw_only=True)
class GatewayRequest:
    """What a gateway is to be.

    Args:
        host: Name or address to bind.
        port: 0 for a free one.
        address: Of the replicas: a URL, in which `{model}` stands for the model.
        bounds: What it holds.
    """

    host: str
    port: int
    address: str
    bounds: GatewayBounds = field(default_factory=GatewayBounds)

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
            raise Invalid(
                f"the replicas' address {self.address!r} must be like http://HOST:PORT; {{model}} "
                "in it stands for the model"
            )


def serve(request: GatewayRequest, on_bound: Callable[[str], None]) -> None:
    """Hold and pass on requests until asked to stop.

    Args:
        request: What it is to be.
        on_bound: Called with the URL once requests are accepted.

    Raises:
        Invalid: The address cannot be bound.
    """
    # Whom it passes requests on to asks for the token, not the gateway.
    with bind(request.host, request.port, tokens=True) as address:
        listener = address.listen()
        asyncio.run(_served(request, listener, lambda: on_bound(address.url)))


async def _served(
    request: GatewayRequest, listener: socket.socket, on_bound: Callable[[], None]
) -> None:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64)
    timeout = httpx2.Timeout(request.bounds.answer_seconds, connect=_CONNECTS)
    async with httpx2.AsyncClient(limits=limits, timeout=timeout, trust_env=False) as client:
        app = GatewayApp(
            address=lambda model: request.address.replace("{model}", model).rstrip("/"),
            client=client,
            bounds=request.bounds,
        )
        bounds = ConnectionBounds(most=4 * request.bounds.requests)
        server = ControlUvicorn(ControlConfig(app, bounds, grace=_GRACE))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, _stop, server)
        on_bound()
        await server.serve(sockets=[listener])


def _stop(server: ControlUvicorn) -> None:
    """Answer what is held, then end; at once if asked twice."""
    server.force_exit = server.should_exit
    server.should_exit = True
