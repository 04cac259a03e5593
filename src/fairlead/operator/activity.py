"""How busy Endpoints are: what their replicas have answered, and what the gateway holds for them.

Nothing of it is kept: an operator that begins anew takes every Endpoint for one that was just used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx2
from prometheus_client.parser import text_string_to_metric_families

_SECONDS = 2.0
"""In which a replica and the gateway must answer."""
_PATIENCE = 10.0
"""For which a gateway may be silent: it starts again, or is busy."""
_ANSWERED = "fairlead_requests_total"


@dataclass(kw_only=True)
class ActivityWatch:
    """What was seen of Endpoints.

    Args:
        gateway: URL of the gateway.
        token: By which replicas show their metrics; none where they want none.
        clock: Seconds, monotonic.
    """

    gateway: str
    token: str
    clock: Callable[[], float] = time.monotonic
    _client: httpx2.Client = field(default_factory=lambda: _client(_SECONDS))
    _answered: dict[str, tuple[float, float]] = field(default_factory=dict)
    _silent_since: float | None = None

    def waiting(self, model: str) -> int | None:
        """How many requests for the model the gateway holds; None where it is silent for long."""
        try:
            answer = self._client.get(f"{self.gateway}/waiting")
            found = int(answer.raise_for_status().json().get(model, 0))
        except (httpx2.HTTPError, ValueError):
            return self._unanswered()
        self._silent_since = None
        return found

    def _unanswered(self) -> int | None:
        now = self.clock()
        if self._silent_since is None:
            self._silent_since = now
        return None if now - self._silent_since >= _PATIENCE else 0

    def idle(self, uid: str, replicas: Sequence[str]) -> float:
        """Seconds for which the replicas have answered nothing; 0 where one does not tell.

        Args:
            uid: Of the Endpoint.
            replicas: URLs of its replicas.
        """
        now = self.clock()
        try:
            answered = sum(self._of_replica(url) for url in replicas)
        except httpx2.HTTPError:
            self._answered.pop(uid, None)
            return 0.0
        known, since = self._answered.get(uid, (-1.0, now))
        if answered != known:
            since = now
        self._answered[uid] = (answered, since)
        return now - since

    def _of_replica(self, url: str) -> float:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        answer = self._client.get(f"{url}/metrics", headers=headers).raise_for_status()
        return sum(
            sample.value
            for metric in text_string_to_metric_families(answer.text)
            for sample in metric.samples
            if sample.name == _ANSWERED
        )


def _client(seconds: float) -> httpx2.Client:
    return httpx2.Client(timeout=seconds, trust_env=False)
