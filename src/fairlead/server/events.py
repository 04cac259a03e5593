"""What a serving program reports to whoever started it: records, which the CLI shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from fairlead.errors import NextStep
from fairlead.records import Deployment, Route


@dataclass(frozen=True, kw_only=True)
class AddressBound:
    """The address is bound; requests that come from now on are answered as soon as possible."""

    url: str
    processes: int


@dataclass(frozen=True, kw_only=True)
class RouteFollowed:
    """Every serving process follows this route."""

    route: Route


@dataclass(frozen=True, kw_only=True)
class DeploymentChanged:
    """A deployment that this server carries out took a step, waits for something else, or ended."""

    deployment: Deployment


@dataclass(frozen=True, kw_only=True)
class ServerNotice:
    """Something to know, in a line."""

    text: str
    next_steps: tuple[NextStep, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ServerWarning:
    """Something is wrong, but the server continues; in a line."""

    text: str
    next_steps: tuple[NextStep, ...] = ()


ServerEvent: TypeAlias = (
    AddressBound | RouteFollowed | DeploymentChanged | ServerNotice | ServerWarning
)
