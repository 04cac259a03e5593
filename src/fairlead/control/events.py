"""What a request that takes a while reports as it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fairlead.errors import Invalid, NextStep
from fairlead.records import Route, Server


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something to know, in a line, and the requests that lead on from it."""

    text: str
    next_steps: Sequence[NextStep] = ()


@dataclass(frozen=True, kw_only=True)
class DeployWarning:
    """What to know before a version gets traffic, in a line; reported before it is deployed."""

    text: str


@dataclass(frozen=True, kw_only=True)
class RouteChanged:
    """A route was put in force."""

    route: Route
    before: Route | None


@dataclass(frozen=True, kw_only=True)
class RouteFollowed:
    """Every process of these servers follows the route; no server where none runs."""

    route: Route
    servers: Sequence[Server]


@dataclass(frozen=True, kw_only=True)
class SmokeTestPassed:
    """An endpoint returned the stored predictions for the golden rows."""

    url: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class NotTested:
    """An endpoint refused the smoke test, such as for its token."""

    error: Invalid


Event: TypeAlias = (
    Notice | DeployWarning | RouteChanged | RouteFollowed | SmokeTestPassed | NotTested
)
OnEvent: TypeAlias = Callable[[Event], None]
