"""What the gate holds of the bodies that arrive, driven as an ASGI server drives it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.types import Message, Scope

from fairlead.api.access import Access
from fairlead.api.gate import Gate
from fairlead.server.auth import add_token

LARGE = b"x" * (1 << 20)


class Client:
    """A request whose body comes in these pieces, the last of them when it is told to go on."""

    def __init__(self, pieces: Sequence[bytes], token: str = "") -> None:
        self.go_on = asyncio.Event()
        self.waits = asyncio.Event()
        self.status: int | None = None
        self._left = list(pieces)
        self._token = token

    async def asks(self, gate: Gate, path: str = "/api/v1/ledger/tasks/add") -> Client:
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [
                (b"host", b"localhost"),
                (b"authorization", f"Bearer {self._token}".encode()),
            ],
            "client": ("127.0.0.1", 1),
        }
        await gate(scope, self._receive, self._send)
        return self

    async def _receive(self) -> Message:
        if len(self._left) == 1:
            self.waits.set()
            await self.go_on.wait()
        piece = self._left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self._left)}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]


async def _status(gate: Gate, pieces: Sequence[bytes], token: str, **where: str) -> int | None:
    client = Client(pieces, token)
    client.go_on.set()
    return (await client.asks(gate, **where)).status


def test_large_bodies_hold_no_more_than_so_much_together_and_small_ones_pass(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        tokens = tmp_path / "tokens.json"
        one, two, three = (add_token(tokens, name, role="admin") for name in ("a", "b", "c"))
        access = Access(tokens, private=True)
        gate = Gate(PlainTextResponse("done"), access=access, host="localhost", held=2 << 20)
        slow = [Client([LARGE, b""], one)]
        asking = [asyncio.create_task(slow[0].asks(gate))]
        await slow[0].waits.wait()
        assert await _status(gate, [LARGE, b""], one) == 503, "half of it is for others"
        assert await _status(gate, [LARGE, b""], two) == 200
        slow.append(Client([LARGE, b""], two))
        asking.append(asyncio.create_task(slow[1].asks(gate)))
        await slow[1].waits.wait()
        for token in (one, two, three):
            assert await _status(gate, [LARGE, b""], token) == 503
            assert await _status(gate, [b"{}"], token) == 200
        for each in slow:
            each.go_on.set()
        assert [done.status for done in await asyncio.gather(*asking)] == [200, 200]
        assert await _status(gate, [LARGE, b""], one) == 200

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_nul_in_a_text_of_a_body_is_refused(tmp_path: Path) -> None:
    """PostgreSQL keeps none; a backslash before the same characters is none."""

    async def scenario() -> None:
        access = Access(tmp_path / "tokens.json", private=True)
        gate = Gate(PlainTextResponse("done"), access=access, host="localhost")
        for text, status in (
            (rb"\u0000", 422),
            (rb"\\\u0000", 422),
            (rb"\\u0000", 200),
            (rb"u0000", 200),
        ):
            body = [b'{"why": "' + text + b'"}', b""]
            assert await _status(gate, body, "", path="/api/v1/runs/one/cancel") == status

    asyncio.run(asyncio.wait_for(scenario(), 60))
