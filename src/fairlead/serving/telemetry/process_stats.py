"""How a serving process is, for its metrics.

Belongs here: looking. Does not: the figures' names (prometheus.py).
"""

from __future__ import annotations

import asyncio
from typing import Any

import psutil

from fairlead.serving.engine.engine import Engine
from fairlead.serving.http.body import Bodies
from fairlead.serving.http.connection_limit import Crowd
from fairlead.serving.telemetry.counters import Sight
from fairlead.serving.telemetry.metrics import Metrics

_PERIOD = 2.0  # seconds; a process that is asked for the figures looks at itself then, too


class Sights:
    """Looks at this process, and tells its metrics.

    Args:
        metrics: Told.
        engine: Its revisions.
        bodies: What it has in hand.
        crowd: Its connections.
    """

    def __init__(self, metrics: Metrics, engine: Engine, bodies: Bodies, crowd: Crowd[Any]) -> None:
        self._metrics = metrics
        self._engine = engine
        self._bodies = bodies
        self._crowd = crowd
        self._process = psutil.Process()
        self._held: frozenset[tuple[str, str]] = frozenset()  # revisions, when last looked

    def look(self) -> None:
        """Look now."""
        with self._process.oneshot():
            sight = Sight(
                memory=self._process.memory_info().rss,
                cpu=sum(self._process.cpu_times()[:2]),
                files=self._process.num_fds(),
                connections=len(self._crowd),
                bodies=self._bodies.held,
            )
        self._metrics.see(sight)
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
        """Look now and then, for the figures that another process tells."""
        while True:
            self.look()
            await asyncio.sleep(_PERIOD)
