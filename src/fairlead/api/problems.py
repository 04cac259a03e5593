"""Problem documents (RFC 9457): an error with its stable code, and links to what leads on."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from fairlead.errors import (
    Conflict,
    Corrupt,
    FairleadError,
    Invalid,
    Lost,
    NextStep,
    NotFound,
    Overloaded,
    TooLarge,
    Transient,
    Value,
)

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger("fairlead.api")

# The first that fits counts.
_STATUSES: Sequence[tuple[type[FairleadError], HTTPStatus]] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (Invalid, HTTPStatus.BAD_REQUEST),
    (Conflict, HTTPStatus.CONFLICT),
    (Lost, HTTPStatus.CONFLICT),
    (Corrupt, HTTPStatus.INTERNAL_SERVER_ERROR),
    (Transient, HTTPStatus.SERVICE_UNAVAILABLE),
    (FairleadError, HTTPStatus.UNPROCESSABLE_ENTITY),
)
_ROUTES: Mapping[str, tuple[str, str]] = {
    "runs": ("GET", "/api/v1/runs"),
    "studies": ("GET", "/api/v1/studies"),
    "trials": ("GET", "/api/v1/studies/{study}/trials"),
    "models": ("GET", "/api/v1/models"),
    "history": ("GET", "/api/v1/models/{model}/history"),
    "route": ("GET", "/api/v1/models/{model}/route"),
    "promote": ("POST", "/api/v1/models/{model}/promote"),
    "rollback": ("POST", "/api/v1/models/{model}/rollback"),
    "fleet": ("GET", "/api/v1/fleet"),
}


class Step(BaseModel):
    """A request that leads on from an error."""

    method: str
    href: str
    effect: str


class Problem(BaseModel):
    """What went wrong; `code` stays as it is when the words change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:fairlead:error:not_found",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "no study has the id or the name 'bostn'; did you mean 'boston'?",
                    "code": "not_found",
                    "next_steps": [],
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    code: str
    next_steps: list[Step]


def problem(
    status: HTTPStatus,
    code: str,
    detail: str,
    *,
    next_steps: Sequence[NextStep] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer that is a problem document."""
    body = Problem(
        type=f"urn:fairlead:error:{code}",
        title=status.phrase,
        status=status,
        detail=detail,
        code=code,
        next_steps=[link for step in next_steps if (link := _link(step))],
    )
    return Response(
        json.dumps(body.model_dump(), ensure_ascii=False),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def problem_of(error: FairleadError) -> Response:
    """The problem document of an error."""
    status, detail = told(error)
    steps = () if detail != str(error) else error.next_steps
    return problem(status, error.code, detail, next_steps=steps)


def told(error: FairleadError) -> tuple[HTTPStatus, str]:
    """The status of an error, and what is said of it.

    What is wrong inside, such as where a database is, stays in the log.
    """
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, Overloaded):
        named = _logged(error)
        said = "try again soon" if isinstance(error, Transient) else "stored data is damaged"
        return status, f"{said}; the server's log has more under {named}"
    return status, str(error)


def too_slow() -> Response:
    """The answer to a body that does not come in time."""
    return problem(HTTPStatus.REQUEST_TIMEOUT, "too_slow", "the body did not come in time")


def unexpected(error: Exception) -> Response:
    """The problem document of a fault of ours; the log has the rest, under an id."""
    detail = f"an error of this server; its log has more under {_logged(error)}"
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail)


def _logged(error: Exception) -> str:
    named = secrets.token_hex(6)
    log.error("%s: %s", named, type(error).__name__, exc_info=error)
    return named


def _link(step: NextStep) -> Step | None:
    """The route that the step is, where it is one and all of its path is known."""
    method, template = _ROUTES.get(step.action, ("", ""))
    if not template:
        return None
    try:
        href = template.format_map(_Quoted(step.arguments))
    except KeyError:
        return None
    return Step(method=method, href=href, effect=step.effect)


class _Quoted(dict[str, Any]):
    """Arguments as parts of a path; what the person has to choose is missing."""

    def __init__(self, arguments: Mapping[str, Value]) -> None:
        known = {name: value for name, value in arguments.items() if value is not None}
        super().__init__({name: quote(str(value), safe="") for name, value in known.items()})
