"""What a serving program tells whoever started it.

Belongs here: the records. Does not: how they are shown (cli).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from fairlead.records import Deployment, Route


@dataclass(frozen=True, kw_only=True)
class AddressBound:
    """The address is bound; requests that come from now on are answered as soon as can be."""

    url: str
    processes: int


@dataclass(frozen=True, kw_only=True)
class RouteFollowed:
    """Every serving process follows this route."""

    route: Route


@dataclass(frozen=True, kw_only=True)
class DeploymentChanged:
    """A deployment that this server carries out went on, waits for something else, or ended."""

    deployment: Deployment


@dataclass(frozen=True, kw_only=True)
class ServerNotice:
    """Something to know, in a line."""

    text: str


@dataclass(frozen=True, kw_only=True)
class ServerWarning:
    """Something is wrong that the server goes on without, in a line."""

    text: str


ServerEvent: TypeAlias = (
    AddressBound | RouteFollowed | DeploymentChanged | ServerNotice | ServerWarning
)
