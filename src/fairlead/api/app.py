"""The app: the routes behind the gate, their document, and how errors are answered."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fairlead.api.access import Access
from fairlead.api.bodies import Arrivals, TooSlow
from fairlead.api.feed import Feed, Horizon
from fairlead.api.gate import Gate
from fairlead.api.installation import Installation
from fairlead.api.once import Once
from fairlead.api.problems import MEDIA_TYPE, Problem, problem, problem_of, too_slow
from fairlead.api.routes import ROUTERS
from fairlead.api.submissions import Submissions
from fairlead.errors import FairleadError
from fairlead.settings import Settings
from fairlead.stores import Stores
from fairlead.version import VERSION

_ABOUT = (
    "Runs, studies, models and the fleet of one installation of Fairlead. Lists come in pages: "
    "`next` of one is the `cursor` of the following one. Errors are problem documents (RFC 9457) "
    "with a `code` that stays as it is."
)


def _never() -> bool:
    return False


def make_app(  # noqa: PLR0913 - what it works on, and how it is reached
    settings: Settings,
    stores: Stores,
    access: Access,
    *,
    host: str = "127.0.0.1",
    stopping: Callable[[], bool] = _never,
    followers: int = 64,
) -> FastAPI:
    """The control API as an ASGI app.

    Args:
        settings: The installation's.
        stores: Its stores, opened.
        access: Its tokens.
        host: The name or address that it is bound to.
        stopping: Whether long answers are to end.
        followers: Clients that may follow events at once.
    """
    errors: dict[int | str, dict[str, Any]] = {
        code: {"description": "A problem.", "content": {MEDIA_TYPE: {"schema": _schema()}}}
        for code in ("4XX", "5XX")
    }
    app = FastAPI(
        title="Fairlead control API",
        version=VERSION,
        description=_ABOUT,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        responses=errors,
        redirect_slashes=False,
    )
    horizon = Horizon(stores.ledger.histories)
    app.state.installation = Installation(
        settings=settings,
        stores=stores,
        access=access,
        feed=Feed(stores.ledger.histories, stores.ledger.fits, horizon, most=followers),
        horizon=horizon,
        arrivals=Arrivals(),
        submissions=Submissions(),
    )
    app.state.stopping = stopping
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(FairleadError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(TooSlow, lambda *_: too_slow())
    app.add_middleware(Once)  # the one that is added last is asked first
    app.add_middleware(Gate, access=access, host=host)
    return app


def _schema() -> dict[str, Any]:
    """The schema of a problem, in one piece."""
    found = Problem.model_json_schema()
    found["properties"]["next_steps"]["items"] = found.pop("$defs")["Step"]
    return found


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, FairleadError)
    return problem_of(error)


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{_place(each['loc'])}: {each['msg']}" for each in error.errors()[:5])
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", said)


def _place(loc: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in loc)[:200]


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "invalid")
    said = "there is no such route; /openapi.json lists them" if status == 404 else status.phrase  # noqa: PLR2004 - the status
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_methods(request.url.path)))
    return problem(status, code, said, headers=headers)


def _methods(path: str) -> set[str]:
    """Those of all routes of a path: each route knows its own alone."""
    known = (route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute))
    return {
        method for route in known if route.path_regex.match(path) for method in route.methods or ()
    }
