"""What the routes work on, and who asks: what FastAPI gives to each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Request
from fastapi.security import HTTPBearer

from fairlead.api.access import Access, Caller
from fairlead.api.bodies import Arrivals
from fairlead.api.feed import Feed, Horizon
from fairlead.api.once import HEADER, Change, change, opened
from fairlead.api.submissions import Submissions
from fairlead.ledger.interface import OpenRequest
from fairlead.settings import Settings
from fairlead.stores import Stores

TEXT = r"^[^\u0000]+$"


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What the routes work on."""

    settings: Settings
    stores: Stores
    access: Access
    feed: Feed
    horizon: Horizon
    arrivals: Arrivals
    submissions: Submissions


def _installation(request: Request) -> Installation:
    found: Installation = request.app.state.installation
    return found


def _caller(request: Request) -> Caller:
    found: Caller = request.state.caller
    return found


On = Annotated[Installation, Depends(_installation)]
By = Annotated[Caller, Depends(_caller)]
Asked = Annotated[OpenRequest | None, Depends(opened)]
Changing = Annotated[Change, Depends(change)]
BEARER = [Depends(HTTPBearer(auto_error=False, description="A token with a role."))]
"""For the document; the gate has seen to it."""

_Key = Annotated[
    str | None,
    Header(
        alias=HEADER,
        max_length=257,
        description="Made up by the client; asked again under it, the request is done once.",
        examples=["5f0c9d6e-9d0e-4f0b-8a51-0d5a3f6f6c1e"],
    ),
]


def _under_key(_: _Key = None) -> None:
    """The document's; `Once` has seen to it."""


ONCE = [Depends(_under_key)]


def named(what: str) -> Any:
    """A part of a path that names something."""
    return Path(max_length=300, pattern=TEXT, description=what)


ModelName = Annotated[str, named("A model's name.")]
