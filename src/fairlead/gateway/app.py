"""The gateway's ASGI application.

A request names its model in its path. It is read whole, held until a replica answers, passed on as
it is, and its answer with it. What is held is bounded in number, bytes and time; past a bound the
answer is 503 with Retry-After, so that a client knows that it may ask again. One model has half of
the room at most, and a name that name service does not know none. Each connection ends
with its answer: the next one leads past the gateway.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx2

from fairlead.gateway.readiness import ReadinessWaits
from fairlead.records import NAME

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

_MODEL = re.compile(r"/(?:v2/)?models/([^/:]+)")
_NAME = re.compile(NAME)  # it becomes part of a host's name
_SHOWN = 80  # characters of a path
_OF_A_CONNECTION = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Header fields that are not passed on (RFC 9110, section 7.6.1)."""
_JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")


@dataclass(frozen=True, kw_only=True)
class GatewayBounds:
    """What is held at most.

    Args:
        requests: At once; half of them, or one, of one model.
        body: Bytes of one request's body.
        bodies: Bytes of all of them.
        seconds: For which a request waits for a replica, and its body may take.
        answer_seconds: That a replica has for its answer.
    """

    requests: int = 256
    body: int = 16 << 20
    bodies: int = 64 << 20
    seconds: float = 30.0
    answer_seconds: float = 60.0


class _Refused(Exception):
    """A request that is not passed on."""

    def __init__(self, status: int, reason: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(reason)
        self.status, self.headers = status, headers


class _Gone(Exception):
    """The client has left."""


@dataclass(kw_only=True)
class GatewayApp:
    """The application.

    Args:
        address: Where the replicas of a model are.
        client: Speaks to them.
        bounds: What is held.
    """

    address: Callable[[str], str]
    client: httpx2.AsyncClient
    bounds: GatewayBounds = field(default_factory=GatewayBounds)
    _held: Counter[str] = field(default_factory=Counter)
    _bytes: int = 0

    def __post_init__(self) -> None:
        self._waits = ReadinessWaits(client=self.client, ready_url=self._ready_url)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise ValueError(f"only HTTP is answered, not {scope['type']!r}")
        try:
            await self._answer(scope, receive, send)
        except _Refused as error:
            body = json.dumps({"error": str(error)}).encode()
            await _send(send, error.status, [_JSON, *error.headers], body)
        except _Gone:
            return

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/livez":
            await _send(send, 200, [_JSON], b"{}")
        elif scope["path"] == "/waiting":
            await self._waits.some(_seconds(scope["query_string"]))
            await _send(send, 200, [_JSON], json.dumps(self._waits.waiting()).encode())
        else:
            model = model_of(scope["path"])
            async with self._admitted(model):
                await self._refuse_unknown(model)
                await self._pass_on(model, scope, receive, send)

    @asynccontextmanager
    async def _admitted(self, model: str) -> AsyncIterator[None]:
        most = self.bounds.requests
        if self._held.total() >= most:
            raise _later(f"{most} requests are held already")
        if self._held[model] >= max(most // 2, 1):
            raise _later(f"{self._held[model]} requests for model {model!r} are held already")
        self._held[model] += 1
        try:
            yield
        finally:
            self._held[model] -= 1
            self._held += Counter()  # forgets those of which none is held

    async def _refuse_unknown(self, model: str) -> None:
        """Refuse a model whose replicas have no name: no Endpoint serves it, and none will soon."""
        host = urlsplit(self.address(model)).hostname
        try:
            async with asyncio.timeout(self.bounds.seconds):
                await asyncio.get_running_loop().getaddrinfo(host, None)
        except (socket.gaierror, UnicodeError) as error:  # the latter of a name that is too long
            if isinstance(error, UnicodeError) or error.errno == socket.EAI_NONAME:
                raise _Refused(404, f"no model {model!r} is served here") from error
        except TimeoutError:
            raise _later("name service is away") from None

    async def _pass_on(self, model: str, scope: Message, receive: Receive, send: Send) -> None:
        async with self._body(receive) as body:
            until = asyncio.get_running_loop().time() + self.bounds.seconds
            answer = None
            while answer is None:
                await _unless_gone(receive, self._until_ready(model, until))
                answer = await self._answer_of_replica(self._request(model, scope, body), model)
            try:
                await _stream(answer, send)
            finally:
                await answer.aclose()

    async def _answer_of_replica(
        self, request: httpx2.Request, model: str
    ) -> httpx2.Response | None:
        """The answer of one of them; None where it reached none: one was ready, another is not."""
        try:
            return await self.client.send(request, stream=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            return None
        except httpx2.ReadTimeout as error:
            within = f"within {self.bounds.answer_seconds:g} s"
            raise _Refused(504, f"no answer by a replica of model {model!r} {within}") from error
        except httpx2.TransportError as error:
            raise _later(f"a replica of model {model!r} ended meanwhile") from error

    async def _until_ready(self, model: str, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._waits.ready(model)
        except TimeoutError:
            raise _later(
                f"no replica of model {model!r} was ready within {self.bounds.seconds:g} s"
            ) from None

    @asynccontextmanager
    async def _body(self, receive: Receive) -> AsyncIterator[bytes]:
        """The body, whole, counted as long as it is held."""
        taken, parts = 0, []
        try:
            async for part in _parts(receive, self.bounds.seconds):
                taken += len(part)
                self._bytes += len(part)
                parts.append(part)
                if taken > self.bounds.body:
                    raise _Refused(413, f"a body has {self.bounds.body} bytes at most")
                if self._bytes > self.bounds.bodies:
                    raise _later("the bodies of requests that are held are too large together")
            yield b"".join(parts)
        finally:
            self._bytes -= taken

    def _request(self, model: str, scope: Message, body: bytes) -> httpx2.Request:
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        path = (scope["raw_path"] + query).decode("ascii")
        headers = [
            (name, value)
            for name, value in scope["headers"]
            if name not in _OF_A_CONNECTION and name != b"content-length"
        ]
        url = self.address(model) + path
        seconds = httpx2.Timeout(self.bounds.answer_seconds)
        return self.client.build_request(
            scope["method"], url, headers=headers, content=body, timeout=seconds
        )

    def _ready_url(self, model: str) -> str:
        return f"{self.address(model)}/v2/models/{model}/ready"


def model_of(path: str) -> str:
    """The model that a path names.

    Raises:
        _Refused: It names none.
    """
    found = _MODEL.match(path)
    if found is None or not _NAME.fullmatch(found[1]):
        shown = path if len(path) <= _SHOWN else f"{path[:_SHOWN]}..."
        raise _Refused(404, f"{shown!r} names no model: ask for /models/MODEL:predict")
    return found[1]


def _seconds(query: bytes) -> float:
    """For how long whoever asks what waits would wait for something to do so."""
    found = re.fullmatch(rb"seconds=([0-9]{1,2})", query)
    return float(found[1]) if found else 0.0


def _later(reason: str) -> _Refused:
    return _Refused(503, f"{reason}; ask again", (b"retry-after", b"5"))


async def _parts(receive: Receive, seconds: float) -> AsyncIterator[bytes]:
    """The parts of a body, which may take so many seconds together."""
    more, until = True, asyncio.get_running_loop().time() + seconds
    while more:
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise _Refused(408, f"the body was not there within {seconds:g} s") from None
        if message["type"] == "http.disconnect":
            raise _Gone
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _unless_gone(receive: Receive, work: Awaitable[None]) -> None:
    """Wait for the work, unless the client leaves before it is done."""
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise _Gone
        await doing
    finally:
        for task in (doing, leaving):
            task.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


async def _stream(answer: httpx2.Response, send: Send) -> None:
    headers = [(name.lower(), value) for name, value in answer.headers.raw]
    kept = [(name, value) for name, value in headers if name not in _OF_A_CONNECTION]
    await send(
        {"type": "http.response.start", "status": answer.status_code, "headers": [*kept, _CLOSE]}
    )
    async for part in answer.aiter_raw():
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, length, _CLOSE],
        }
    )
    await send({"type": "http.response.body", "body": body})
