"""Tells at once that requests wait at the gateway: who sleeps is not to wait for a timer.

One request to the gateway is always under way, which it answers once something waits. Nothing is
decided here: whoever is woken looks for itself, and would have looked a moment later anyhow.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import httpx2

_PATIENCE = 10
"""Seconds after which the gateway answers also where nothing waits."""
_AGAIN = 0.2
"""Seconds between two looks while something waits."""
_AWAY = 1.0
"""Seconds until it is asked again where it does not answer."""


@dataclass(kw_only=True)
class GatewayWatch:
    """Follows what waits at the gateway, from the first Endpoint on that may sleep.

    Args:
        gateway: Its URL.
    """

    gateway: str
    _waits: dict[str, asyncio.Event] = field(default_factory=dict)
    _following: asyncio.Task[None] | None = None

    async def wait(self, model: str, seconds: float) -> None:
        """Return once a request for the model waits there, or after so many seconds."""
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
        event = self._waits.setdefault(model, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        event.clear()

    async def stop(self) -> None:
        """Follow it no more."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self) -> None:
        timeout = httpx2.Timeout(2.0, read=2.0 + _PATIENCE)
        async with httpx2.AsyncClient(timeout=timeout, trust_env=False) as client:
            while True:  # noqa: ASYNC110 - another machine sets no event
                await asyncio.sleep(await self._look(client))

    async def _look(self, client: httpx2.AsyncClient) -> float:
        """Wake those for whom something waits; the seconds until the next look."""
        try:
            answer = await client.get(f"{self.gateway}/waiting", params={"seconds": _PATIENCE})
            waiting = answer.raise_for_status().json()
        except (httpx2.HTTPError, ValueError):  # there is none yet, or it starts anew
            return _AWAY
        for model in waiting:
            if model in self._waits:
                self._waits[model].set()
        return _AGAIN if waiting else 0.0
