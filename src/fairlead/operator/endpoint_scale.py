"""Whether an Endpoint sleeps: rules over records.

One with `min: 0` has no replica while nobody asks. Its Service then leads to the gateway, which
holds what comes; who waits there wakes it, and so does a deployment. Once a replica is ready the
Service leads to the replicas again. Before the last replica goes, new requests go through the
gateway for a moment, which passes them on: none meets a replica that is gone. Where the gateway
does not answer nobody could wake it: it does not sleep, and the Service leads to the replicas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ScaleState: TypeAlias = Literal["Awake", "GatewayAway", "Draining", "Asleep", "Waking"]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How an Endpoint is served.

    Args:
        state: Its name, by which a status keeps it.
        replicas: How many there are to be; None where that is fixed, or an autoscaler's to say.
        gateway: Whether its Service leads to the gateway.
    """

    state: ScaleState
    replicas: int | None = None
    gateway: bool = False


AWAKE = Scale(state="Awake")
GATEWAY_AWAY = Scale(state="GatewayAway")
ASLEEP = Scale(state="Asleep", replicas=0, gateway=True)
_WAKING = Scale(state="Waking", replicas=1, gateway=True)
_DRAINING = Scale(state="Draining", gateway=True)
_ALL = (AWAKE, GATEWAY_AWAY, ASLEEP, _WAKING, _DRAINING)


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What is seen of an Endpoint.

    Args:
        waiting: Requests that the gateway holds for it; None where it does not answer.
        ready: Replicas that are ready.
        idle: Seconds since the replicas answered a request.
        deploying: Whether a deployment of its model is under way.
    """

    waiting: int | None
    ready: int
    idle: float
    deploying: bool


def scale_of(state: object) -> Scale:
    """The one that a status names; asleep where it names none."""
    return next((one for one in _ALL if one.state == state), ASLEEP)


def next_scale(before: Scale, seen: Activity, *, sleeps_after: float | None) -> Scale:
    """How it is to be served now.

    Args:
        before: How it was.
        seen: What is seen of it.
        sleeps_after: Seconds without a request; None for an Endpoint that does not sleep.
    """
    if sleeps_after is None:
        return AWAKE
    if seen.waiting is None:
        return GATEWAY_AWAY
    is_wanted = bool(seen.waiting) or seen.deploying
    if not seen.ready:  # what was begun to start is not taken back: it soon can be, if it is idle
        return _WAKING if is_wanted or before.replicas != 0 else ASLEEP
    if is_wanted or seen.idle < sleeps_after:
        return AWAKE
    return ASLEEP if before.gateway else _DRAINING
