"""What an Endpoint needs next, and what its status says: rules over records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from fairlead.errors import Conflict, FairleadError, Forbidden, NotFound
from fairlead.operator.conditions import Condition
from fairlead.operator.endpoint_scale import ASLEEP, GATEWAY_AWAY, Scale
from fairlead.records import Deployment

_PASSING = (Conflict, Forbidden, NotFound)
"""A version that is yet to be found, a right that is yet to be given, another who was faster."""


@dataclass(frozen=True, kw_only=True)
class EndpointView:
    """An Endpoint at one moment.

    Args:
        wanted: Number of the version that is asked for; None where the model has no champion.
        asked: Names the deployment that is asked for.
        begun: The last one that was begun for it, by that name; empty for none.
        refused: Why that could not be begun; empty where it was.
        deployment: The model's last one; None for none.
        live: Number of the version that has all of the traffic; None where several have some.
        traffic: How it is split, in words.
        replicas: That there are.
        ready: Of them.
        least: That there are to be.
        scale: Whether it sleeps.
        waits: What replicas that are not ready wait for; empty where all are.
        url: Where clients ask.
    """

    wanted: int | None
    asked: str
    begun: str
    refused: str
    deployment: Deployment | None
    live: int | None
    traffic: str
    replicas: int
    ready: int
    least: int
    scale: Scale
    waits: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Deploy:
    """Begin a deployment of the version."""

    version: int


@dataclass(frozen=True, kw_only=True)
class Leave:
    """Nothing is to be begun."""


EndpointStep: TypeAlias = Deploy | Leave


def next_step(view: EndpointView) -> EndpointStep:
    """What is to be begun; each thing that is asked for is begun once.

    So what was taken back, by a canary judge or by a person, is not brought in again.
    """
    if view.wanted is None or view.begun == view.asked:
        return Leave()
    return Deploy(version=view.wanted)


def noted_of_deploy(asked: str, refused: FairleadError | None) -> Mapping[str, str]:
    """What the status notes of a try to begin a deployment.

    What was refused for what may change is not begun: it is tried again.

    Args:
        asked: Names the deployment.
        refused: Why it was not begun; None where it was.
    """
    passes = isinstance(refused, _PASSING)
    return {"begun": "" if passes else asked, "refused": str(refused or "")}


def status_of(view: EndpointView) -> tuple[dict[str, Any], Sequence[Condition]]:
    """The fields of the status, and its conditions."""
    told = [_ready(view), _deployed(view)]
    fields = {
        "version": view.live,
        "traffic": view.traffic,
        "ready": f"{view.ready}/{view.replicas}",
        "replicas": view.replicas,
        "url": view.url,
        "message": "; ".join([*_gateway_away(view), *_lacking(told)]),
    }
    return fields, told


def _gateway_away(view: EndpointView) -> Sequence[str]:
    is_away = view.scale == GATEWAY_AWAY
    return ["the gateway does not answer: without it no Endpoint sleeps"] if is_away else []


def _lacking(told: Sequence[Condition]) -> Sequence[str]:
    return [one.message for one in told if one.status == "False"]


def _ready(view: EndpointView) -> Condition:
    if view.scale == ASLEEP:
        message = "no replica while nobody asks"
        return Condition(kind="Ready", status="True", reason="Asleep", message=message)
    enough = view.ready >= max(view.least, 1)
    counted = f"{view.ready} of {view.replicas} replicas are ready"
    reason = "ReplicasReady" if enough else "ReplicasStarting"
    return Condition(
        kind="Ready",
        status="True" if enough else "False",
        reason=reason,
        message=": ".join(filter(None, [counted, view.waits])),
    )


def _deployed(view: EndpointView) -> Condition:
    if view.wanted is None:
        return _not_deployed("NoChampion", "the model has no champion yet")
    if view.refused:
        return _not_deployed("Refused", view.refused)
    last = view.deployment
    if last is not None and last.state == "running":
        return _not_deployed("Deploying", f"{last.revision}: {last.reason or 'begun'}")
    if view.live == view.wanted:
        return Condition(kind="Deployed", status="True", reason="Live", message=view.asked)
    if last is not None and last.state in {"failed", "undone"}:
        return _not_deployed("TakenBack", f"{last.revision} was taken back: {last.reason}")
    return _not_deployed("OtherTraffic", f"the traffic is {view.traffic}")


def _not_deployed(reason: str, message: str) -> Condition:
    return Condition(kind="Deployed", status="False", reason=reason, message=message)
