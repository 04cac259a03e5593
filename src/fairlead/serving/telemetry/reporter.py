"""Telling the supervisor what this process counts, and asking it for what all have counted.

Belongs here: when. Does not: what is counted (metrics.py), and what becomes of it (aggregate.py).

A process that is killed has told all but the last tenth of a second. That it lives is said after
what it has counted, so the supervisor knows until when it knows all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from fairlead.serving.channel import Channel
from fairlead.serving.plan import BEAT, Alive
from fairlead.serving.telemetry.metrics import Metrics

_PERIOD = 0.1  # seconds


class Telling:
    """Tells the supervisor.

    Args:
        metrics: What is told.
        channel: Over which.
        look: Has the metrics see how the process is.
    """

    def __init__(self, metrics: Metrics, channel: Channel, look: Callable[[], None]) -> None:
        self._metrics = metrics
        self._channel = channel
        self._look = look
        self._beat = float("-inf")  # when it was last said that this process lives

    def tell(self) -> None:
        """Tell what is new since the last time."""
        news = self._metrics.news()
        if news is not None:
            self._channel.tell(news)

    async def keep(self) -> None:
        """Tell again and again; a supervisor that takes nothing in is told the sum later."""
        while True:
            if not self._channel.is_full:
                self.tell()
                self._tell_of_life(time.monotonic())
            await asyncio.sleep(_PERIOD)

    def _tell_of_life(self, now: float) -> None:
        if now - self._beat >= BEAT:
            self._beat = now
            self._channel.tell(Alive(at=now))

    async def page(self) -> bytes:
        """The figures of all processes, for Prometheus: ours are of now.

        Raises:
            Unreachable: The supervisor does not answer.
        """
        self._look()
        if not self._channel.is_full:
            self.tell()
        return (await self._channel.page()).encode()
