"""Bringing a version into service.

A deployment is begun here and carried out by the servers that run; whoever asked may wait for it.
What is deployed is a version with serving settings: those of the spec that found it, unless others
are given.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairlead.control.endpoints import wait_followed
from fairlead.control.events import DeployWarning, Notice, OnEvent
from fairlead.errors import Failed, NextStep
from fairlead.ledger.interface import Ledger
from fairlead.records import Deployment, Route, Server, Version
from fairlead.rollout.routes import current_route, running_deployment
from fairlead.rollout.start import (
    deployable_version,
    deployment_warnings,
    deploys,
    is_live,
    serve_settings,
    start_deployment,
)
from fairlead.rollout.wait import servers_of, wait_until_ended
from fairlead.spec.document import Serve
from fairlead.stores import Stores

_ENDINGS = {
    "done": "is done",
    "failed": "failed",
    "undone": "was undone",
    "superseded": "was superseded",
}


@dataclass(frozen=True, kw_only=True)
class DeployRequest:
    """What to bring into service, and how.

    Args:
        model: Name of the model.
        version: Its number; the champion's if None.
        steps: Percents of the traffic, rising to 100; those of the settings if None.
        serve: The serving settings; those of the spec that found the version if None.
        by: Who asks; the user of this process if empty.
        joins: Whether a deployment of the same revision that runs is taken for the one that is
            asked for, unless it has other steps than are given.
    """

    model: str
    version: int | None = None
    steps: tuple[int, ...] | None = None
    serve: Serve | None = None
    by: str = ""
    joins: bool = False


def deploy(
    stores: Stores, request: DeployRequest, *, on_event: OnEvent, awaited: bool = False
) -> Deployment | None:
    """Begin a deployment; one of the model that still runs gives way.

    Args:
        stores: Where the version is.
        request: What to deploy.
        on_event: Called with warnings before anything is written, and with what gave way.
        awaited: Whether the caller will wait for it, which needs a server that runs.

    Returns:
        None where the version has all of the traffic already, with these settings.

    Raises:
        NotFound: There is no such model or version, or it has no champion.
        Unexportable: The version has no ONNX form.
        Failed: Its exported form does not predict what was trained; or no server runs.
        Invalid: The steps do not rise to 100.
    """
    ledger, model = stores.ledger, request.model
    version = deployable_version(stores, model, request.version)
    serve = request.serve or serve_settings(ledger, version)
    if awaited:
        _refuse_unserved(stores, version)
    former = running_deployment(ledger, model)
    if former is None and is_live(ledger, version, serve):
        if awaited:
            wait_followed(stores, current_route(ledger, model))
        on_event(_already_live(version))
        return None
    if former is not None and _joins(ledger, request, former, version, serve):
        return former
    for line in deployment_warnings(stores, version, serve):
        on_event(DeployWarning(text=line))
    begun = start_deployment(
        stores,
        model,
        version=version.number,
        steps=request.steps,
        serve=serve,
        by=request.by,
    )
    if former is not None:
        on_event(_superseded(former))
    return begun


def wait(
    stores: Stores,
    deployment: Deployment,
    *,
    on_look: Callable[[Deployment], None],
    timeout: float | None = None,
) -> Route:
    """Wait until the deployment is done, or another of its revision that superseded it.

    Args:
        stores: Where it is.
        deployment: As it was begun.
        on_look: Called with the deployment several times a second.
        timeout: Seconds to wait at most; without end if None.

    Returns:
        Its last route.

    Raises:
        Failed: It did not stay, has not ended in time, or no server carries it out.
    """
    until = time.monotonic() + (timeout or float("inf"))
    awaited: Deployment | None = deployment
    while awaited is not None:
        left = until - time.monotonic()
        ended = wait_until_ended(stores.ledger, awaited, on_look=on_look, timeout=left)
        awaited = _successor(stores.ledger, ended)
    if ended.state != "done":
        named = f"deployment {ended.number} of {ended.revision}"
        raise Failed(
            f"deploying {ended.model!r}: {named} {ending(ended)}", code=f"deployment_{ended.state}"
        )
    routes = stores.ledger.routes.history(ended.model)
    return [route for route in routes if route.deployment == ended.number][-1]


def _joins(
    ledger: Ledger, request: DeployRequest, former: Deployment, version: Version, serve: Serve
) -> bool:
    same_steps = request.steps in {None, former.steps}
    return request.joins and same_steps and deploys(ledger, former, version, serve)


def _successor(ledger: Ledger, ended: Deployment) -> Deployment | None:
    """The deployment that superseded this one, where it is of the same revision."""
    newest = ledger.deployments.get(ended.model)
    is_next = ended.state == "superseded" and newest.number > ended.number
    return newest if is_next and newest.revision == ended.revision else None


def ending(deployment: Deployment) -> str:
    """How a deployment ended, and why."""
    end = _ENDINGS[deployment.state]
    return f"{end}: {deployment.reason}" if deployment.reason else end


def details(stores: Stores, route: Route) -> Mapping[str, Any]:
    """The document deploy_details.json of a route."""
    found: Mapping[str, Any] = json.loads(stores.artifacts.get(route.details))
    return found


def current_details(stores: Stores, model: str) -> Mapping[str, Any]:
    """The document deploy_details.json of the route in force."""
    return details(stores, current_route(stores.ledger, model))


def servers(stores: Stores, model: str) -> Sequence[Server]:
    """The servers that run and answer for the model."""
    return servers_of(stores.ledger, model)


def _refuse_unserved(stores: Stores, version: Version) -> None:
    """Where no server runs for the model, nothing that is waited for can come.

    Raises:
        Failed: None does.
    """
    if not servers(stores, version.model):
        serve = NextStep(action="serve", arguments={"models": version.model}, effect="starts one")
        raise Failed(
            f"deploying v{version.number} of {version.model!r} and waiting for it: no server "
            "serves it now; without waiting, it is deployed once one does",
            code="no_server",
            next_steps=(serve,),
        )


def _already_live(version: Version) -> Notice:
    another = NextStep(
        action="deploy",
        arguments={"model": version.model, "version": None},
        effect="deploys another version",
    )
    settings = NextStep(
        action="run",
        arguments={"spec": None, "deploy": True},
        effect="deploys this one with other settings",
    )
    return Notice(
        text=f"v{version.number} has all of the traffic already: nothing was written",
        next_steps=(another, settings),
    )


def _superseded(former: Deployment) -> Notice:
    at = "had no traffic yet" if former.step < 0 else f"was at {former.steps[former.step]} %"
    return Notice(text=f"supersedes deployment {former.number} of {former.revision}, which {at}")
