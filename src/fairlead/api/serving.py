"""The routes on what is in service: deployments, traffic, and what happened to them.

A change answers once it is verified and written. Servers that run are waited for, and tested, as by
the commands of the same name; who deploys looks at the deployment until it has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from fairlead.api import pages, schemas
from fairlead.api.installation import BEARER, ONCE, By, Changing, Installation, ModelName, On
from fairlead.control import deployments, routes
from fairlead.control.deployments import DeployRequest
from fairlead.records import Deployment, Route, ScalingDecision

router = APIRouter(prefix="/api/v1", dependencies=BEARER)

Number = Annotated[int, Path(ge=1, le=999_999_999, description="Of a deployment of the model.")]


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A deployment; null where the version has all of the traffic already."""

    deployment: Deployment | None


@dataclass(frozen=True, kw_only=True)
class Undone:
    """The route in force from now on, or the deployment that ended before it had traffic."""

    route: Route | None
    deployment: Deployment | None


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """The last decisions on how many workers there are, the newest first."""

    items: Sequence[ScalingDecision]


def _ignore(_: object) -> None:
    """What is said to a person meanwhile; the records have it."""


def _access(on: Installation) -> routes.Access:
    return routes.Access(checks=on.settings.checked)


@router.post(
    "/models/{model}/deployments",
    status_code=HTTPStatus.CREATED,
    responses={200: {"description": "It has all of the traffic already.", "model": Deployed}},
    response_model=Deployed,
    tags=["serving"],
    dependencies=ONCE,
)
def deploy(
    on: On, by: By, changing: Changing, model: ModelName, body: schemas.DeployBody
) -> Response:
    """Begin to bring a version into service; servers carry it out. One that runs gives way."""
    changing.of(Deployment, lambda made: Deployed(deployment=made), status=HTTPStatus.CREATED)
    steps = None if body.steps is None else tuple(body.steps)
    request = DeployRequest(model=model, version=body.version, steps=steps, by=by.name)
    begun = deployments.deploy(on.stores, request, on_event=_ignore)
    answer = pages.answer(Deployed(deployment=begun))
    if begun is not None:
        answer.status_code = HTTPStatus.CREATED
        answer.headers["Location"] = f"/api/v1/models/{begun.model}/deployments/{begun.number}"
    return answer


@router.get(
    "/models/{model}/deployments/{number}",
    response_model=Deployment,
    responses=pages.UNCHANGED,
    tags=["serving"],
)
def get_deployment(
    on: On, model: ModelName, number: Number, if_none_match: pages.IfNoneMatch = None
) -> Response:
    """How far a deployment is, or how it ended."""
    return pages.resource(on.stores.ledger.deployments.get(model, number), if_none_match)


@router.get(
    "/models/{model}/serving-events",
    response_model=routes.TrafficHistory,
    responses=pages.UNCHANGED,
    tags=["serving"],
)
def get_serving_events(
    on: On, model: ModelName, if_none_match: pages.IfNoneMatch = None
) -> Response:
    """Every route of a model, and what happened to its deployments and revisions."""
    return pages.resource(routes.history(on.stores, model), if_none_match)


@router.post("/models/{model}/route", response_model=Route, tags=["serving"], dependencies=ONCE)
def set_route(
    on: On, by: By, changing: Changing, model: ModelName, body: schemas.RouteBody
) -> Response:
    """Share the traffic over revisions that were deployed before; a deployment that runs ends."""
    changing.of(Route, lambda route: route)
    route = routes.set_traffic(
        on.stores,
        model,
        body.traffic,
        f"{body.why} (by {by.name})",
        access=_access(on),
        on_event=_ignore,
        known=body.previous,
    )
    return pages.answer(route)


@router.post("/models/{model}/undo", response_model=Undone, tags=["serving"], dependencies=ONCE)
def undo_route(
    on: On, by: By, changing: Changing, model: ModelName, body: schemas.WhyBody
) -> Response:
    """Share the traffic again as before the present route; a deployment that runs ends."""
    changing.of((Route, Deployment), _undone)
    undone = routes.undo(
        on.stores,
        model,
        f"{body.why} (by {by.name})",
        access=_access(on),
        on_event=_ignore,
        known=body.previous,
    )
    return pages.answer(_undone(undone))


@router.post("/models/{model}/undeploy", response_model=Route, tags=["serving"], dependencies=ONCE)
def undeploy(
    on: On, by: By, changing: Changing, model: ModelName, body: schemas.WhyBody
) -> Response:
    """Take a model out of service."""
    changing.of(Route, lambda route: route)
    why = f"{body.why} (by {by.name})"
    return pages.answer(
        routes.undeploy(on.stores, model, why, on_event=_ignore, known=body.previous)
    )


@router.get("/autoscaling/decisions", response_model=Decisions, tags=["fleet"])
def list_decisions(on: On, limit: pages.Limit = 100) -> Response:
    """Why there are as many workers as there are: the last decisions, the newest first."""
    found = on.stores.ledger.autoscaling.decisions(limit=limit)
    return pages.answer(Decisions(items=found))


def _undone(made: Route | Deployment) -> Undone:
    if isinstance(made, Route):
        return Undone(route=made, deployment=None)
    return Undone(route=None, deployment=made)
