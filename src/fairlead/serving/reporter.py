"""Reports to the supervisor: what this process counts, and that it is alive.

Counts go out every tenth of a second, so a killed process loses no more than that. `Alive` follows
the counts, so the supervisor knows until when it has all of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import psutil

from fairlead.serving.channel import Channel
from fairlead.serving.engine.engine import Engine
from fairlead.serving.http.body import Bodies
from fairlead.serving.http.connection import ConnectionLimit
from fairlead.serving.plan import BEAT, Alive
from fairlead.serving.telemetry.counters import Metrics, ProcessSample

_PERIOD = 0.1  # seconds
_STATS_PERIOD = 2.0  # seconds; a request for the figures takes a sample, too


class Reporter:
    """Reports to the supervisor, over the channel.

    Args:
        metrics: What is reported.
        channel: To the supervisor.
        look: Takes a sample of the process.
    """

    def __init__(self, metrics: Metrics, channel: Channel, look: Callable[[], None]) -> None:
        self._metrics = metrics
        self._channel = channel
        self._look = look
        self._beat = float("-inf")  # when `Alive` was sent last

    def report(self) -> None:
        """Report what is new since the last time."""
        news = self._metrics.news()
        if news is not None:
            self._channel.send(news)

    async def keep(self) -> None:
        """Report again and again; a supervisor that reads nothing gets the sum later."""
        while True:
            if not self._channel.is_full:
                self.report()
                self._report_alive(time.monotonic())
            await asyncio.sleep(_PERIOD)

    def _report_alive(self, now: float) -> None:
        if now - self._beat >= BEAT:
            self._beat = now
            self._channel.send(Alive(at=now))

    async def page(self) -> bytes:
        """The metrics page of all processes; our own counts are reported first.

        Raises:
            Unreachable: The supervisor does not answer.
        """
        self._look()
        if not self._channel.is_full:
            self.report()
        return (await self._channel.page()).encode()


class ProcessStats:
    """Samples this process for its metrics.

    Args:
        metrics: Get the samples.
        engine: Its revisions.
        bodies: Counts the bytes of bodies in hand.
        connection_limit: Counts its connections.
    """

    def __init__(
        self,
        metrics: Metrics,
        engine: Engine,
        bodies: Bodies,
        connection_limit: ConnectionLimit[Any],
    ) -> None:
        self._metrics = metrics
        self._engine = engine
        self._bodies = bodies
        self._limit = connection_limit
        self._process = psutil.Process()
        self._held: frozenset[tuple[str, str]] = frozenset()  # revisions, when last looked

    def look(self) -> None:
        """Take a sample now."""
        with self._process.oneshot():
            sample = ProcessSample(
                memory=self._process.memory_info().rss,
                cpu=sum(self._process.cpu_times()[:2]),
                files=self._process.num_fds(),
                connections=len(self._limit),
                bodies=self._bodies.held,
            )
        self._metrics.see(sample)
        self._look_at_revisions()

    def _look_at_revisions(self) -> None:
        held = {
            (model, name): served
            for model, live in self._engine.table.items()
            for name, served in live.revisions.items()
        }
        for key in self._held.difference(held):
            self._metrics.of(*key).loaded = 0
        for key, served in held.items():
            counted = self._metrics.of(*key)
            counted.queued = served.depth
            counted.load = served.load_seconds or 0.0
            counted.loaded = int(served.loaded)
        self._held = frozenset(held)

    async def keep(self) -> None:
        """Take a sample every two seconds."""
        while True:
            self.look()
            await asyncio.sleep(_STATS_PERIOD)
