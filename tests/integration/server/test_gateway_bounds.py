"""What a gateway does not hold: its application in this process, and replicas that never answer."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from fairlead.gateway.app import GatewayApp, GatewayBounds
from tests.support.ports import free_ports

NEVER = 600.0  # seconds: longer than any test


@asynccontextmanager
async def application(address: str, **bounds: Any) -> AsyncIterator[GatewayApp]:
    """One whose replicas are at this address."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        yield GatewayApp(
            address=lambda model: address.replace("{model}", model),
            client=client,
            bounds=GatewayBounds(**{"seconds": NEVER, **bounds}),
        )


async def asked(
    app: GatewayApp, path: str, *, receive: Callable[[], Awaitable[Any]] | None = None
) -> tuple[int, Any]:
    """The answer to a request, whose client stays."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    parts, sent = iter([{"type": "http.request", "body": b"{}"}]), []

    async def body() -> Any:
        for part in parts:
            return part
        return await never()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive or body, send)
    content = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(content)


async def never() -> Any:
    await asyncio.sleep(NEVER)


def nobody() -> str:
    return f"http://127.0.0.1:{free_ports(1)[0]}"


def test_one_model_has_half_of_the_room_and_all_have_the_whole() -> None:
    async def answers() -> list[tuple[int, Any]]:
        async with application(nobody(), requests=4) as app, asyncio.TaskGroup() as group:
            refused, holding = [], []
            for name in ("a", "b"):
                path = f"/models/{name}:predict"
                holding += [group.create_task(asked(app, path)) for _ in range(2)]
                while (await asked(app, "/waiting"))[1].get(name) != 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                refused.append(await asked(app, path))
            for task in holding:
                task.cancel()
            return refused

    (first, one), (second, all_of_them) = asyncio.run(answers())
    assert (first, second) == (503, 503)
    assert one["error"].startswith("2 requests for model 'a' are held already")
    assert all_of_them["error"].startswith("4 requests are held already")


@pytest.mark.parametrize("model", ["no-such", "m" * 63])
def test_a_model_that_name_service_does_not_know_is_not_held(model: str) -> None:
    async def answer() -> tuple[int, Any]:
        async with application("http://{model}-replicas.invalid:8000") as app:
            return await asked(app, f"/models/{model}:predict", receive=never)

    assert asyncio.run(answer()) == (404, {"error": f"no model {model!r} is served here"})


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def answer() -> tuple[int, Any]:
        async with application(nobody(), seconds=0.2) as app:
            return await asked(app, "/models/a:predict", receive=never)

    status, said = asyncio.run(answer())
    assert (status, said) == (408, {"error": "the body was not there within 0.2 s"})


def test_a_replica_that_takes_too_long_is_told_from_one_that_ended() -> None:
    async def answer(port: int) -> tuple[int, Any]:
        async with application(f"http://127.0.0.1:{port}", answer_seconds=0.5) as app:
            return await asked(app, "/models/a:predict")

    with silent() as port:
        status, said = asyncio.run(answer(port))
    assert status == 504
    assert said == {"error": "no answer by a replica of model 'a' within 0.5 s"}


@contextmanager
def silent() -> Iterator[int]:
    """The port of a replica that is ready, and answers no prediction."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            over.wait()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            over.set()
            server.shutdown()
            thread.join()
