"""Whether a model's replicas answer by now: asked once for all requests that wait for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx2

_EVERY = 0.05
"""Seconds between two looks."""
_SECONDS = 1.0
"""In which an answer must be there."""


@dataclass(kw_only=True)
class ReadinessWaits:
    """The models that are waited for.

    Args:
        client: Asks.
        ready_url: The address that answers 200 when a model can be predicted with.
    """

    client: httpx2.AsyncClient
    ready_url: Callable[[str], str]
    _waits: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _many: dict[str, int] = field(default_factory=dict)
    _some: asyncio.Event = field(default_factory=asyncio.Event)

    async def ready(self, model: str) -> None:
        """Return once the model's replicas answer; bounded by whoever waits."""
        self._many[model] = self._many.get(model, 0) + 1
        self._some.set()
        try:
            await asyncio.shield(self._wait(model))
        finally:
            self._left(model)

    def waiting(self) -> dict[str, int]:
        """How many requests wait for each model."""
        return dict(self._many)

    async def some(self, seconds: float) -> None:
        """Return once a request waits, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._some.wait()

    def _wait(self, model: str) -> asyncio.Task[None]:
        if model not in self._waits:
            self._waits[model] = asyncio.create_task(self._look(model))
        return self._waits[model]

    def _left(self, model: str) -> None:
        self._many[model] -= 1
        if not self._many[model]:
            del self._many[model]
            self._waits.pop(model).cancel()
        if not self._many:
            self._some.clear()

    async def _look(self, model: str) -> None:
        while not await self._is_ready(model):  # noqa: ASYNC110 - another machine sets no event
            await asyncio.sleep(_EVERY)

    async def _is_ready(self, model: str) -> bool:
        try:
            answer = await self.client.get(self.ready_url(model), timeout=_SECONDS)
        except httpx2.TransportError:  # nothing has that name, or listens there, yet
            return False
        # A server that wants a token answers who has none; what it says of the model is not asked.
        return answer.status_code in {httpx2.codes.OK, httpx2.codes.UNAUTHORIZED}
