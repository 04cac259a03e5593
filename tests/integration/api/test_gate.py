"""What the gate holds of the bodies that arrive, driven as an ASGI server drives it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.types import Message, Scope

from fairlead.api.access import Access
from fairlead.api.gate import Gate

LARGE = b"x" * (1 << 20)


class Client:
    """A request whose body comes in these pieces, the last of them when it is told to go on."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.go_on = asyncio.Event()
        self.waits = asyncio.Event()
        self.status: int | None = None
        self._left = list(pieces)

    async def asks(self, gate: Gate) -> Client:
        path = "/api/v1/ledger/tasks/add"
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [(b"host", b"localhost")],
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


def test_large_bodies_hold_no_more_than_so_much_together_and_small_ones_pass(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        access = Access(tmp_path / "tokens.json", private=True)
        gate = Gate(PlainTextResponse("done"), access=access, host="localhost", held=2 << 20)
        slow = [Client([LARGE, b""]) for _ in range(2)]
        asking = [asyncio.create_task(each.asks(gate)) for each in slow]
        for each in slow:
            await each.waits.wait()
        for client, status in ((Client([LARGE, b""]), 503), (Client([b"{}"]), 200)):
            client.go_on.set()
            assert (await client.asks(gate)).status == status
        for each in slow:
            each.go_on.set()
        assert [done.status for done in await asyncio.gather(*asking)] == [200, 200]
        again = Client([LARGE, LARGE, b""])
        again.go_on.set()
        assert (await again.asks(gate)).status == 200

    asyncio.run(asyncio.wait_for(scenario(), 60))
