"""The connections of one process.

Belongs here: how many there may be, and which goes when one more comes. Does not: what is said on
them (http.py).
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar


class Closes(Protocol):
    """A connection, as far as the crowd knows it."""

    def give_up(self) -> None:
        """Close at once: somebody else needs the place."""


C = TypeVar("C", bound=Closes)


class Crowd(Generic[C]):
    """Bounds connections. One that is silent makes room for a new one, the longest silent first.

    So those who connect and say nothing keep nobody out, however many they are.

    Args:
        most: Connections at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._busy: set[C] = set()
        self._silent: dict[C, None] = {}  # in the order in which they fell silent

    def __len__(self) -> int:
        return len(self._busy) + len(self._silent)

    def enter(self, connection: C) -> bool:
        """Take a new connection in; False if all that there is room for are being answered."""
        if len(self) >= self._most:
            if not self._silent:
                return False
            oldest = next(iter(self._silent))
            del self._silent[oldest]
            oldest.give_up()
        self._silent[connection] = None
        return True

    def busy(self, connection: C) -> None:
        """It has a request in hand."""
        self._silent.pop(connection, None)
        self._busy.add(connection)

    def silent(self, connection: C) -> None:
        """It has none any more."""
        self._busy.discard(connection)
        self._silent[connection] = None

    def leave(self, connection: C) -> None:
        """It is closed."""
        self._busy.discard(connection)
        self._silent.pop(connection, None)
