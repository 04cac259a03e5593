"""What a serving program tells whoever started it.

Belongs here: the records. Does not: how they are shown (cli).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from fairlead.records import Deployment, Route


@dataclass(frozen=True, kw_only=True)
class Listening:
    """The address is bound; requests that come from now on are answered as soon as can be."""

    url: str
    processes: int


@dataclass(frozen=True, kw_only=True)
class Live:
    """Every serving process follows this route."""

    route: Route


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A deployment that this server carries out went on, waits for something else, or ended."""

    deployment: Deployment


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something to know, in a line."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Warned:
    """Something is wrong that the server goes on without, in a line."""

    text: str


News: TypeAlias = Listening | Live | Moved | Note | Warned
