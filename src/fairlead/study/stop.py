"""A request to stop, as somebody makes it while a run or a deployment is on its way.

Who handles signals asks; who does the work looks. Where something is in hand that is worth
finishing, it is finished first; within `at_once` everything is broken off in the moment in which
it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

AGAIN = "run the same command to go on"
_NOTHING_BEGUN = "nothing was begun"


class Stopped(KeyboardInterrupt):
    """The run was asked to stop, and has stopped; the same request goes on where it is.

    Args:
        kept: What the ledger keeps, in words.
        again: What goes on from there, in words.
    """

    def __init__(self, kept: str, again: str = AGAIN) -> None:
        super().__init__(f"stopped: {kept}; {again}")


@dataclass
class StopRequest:
    """How often the run was asked to stop: once finishes running tasks, twice stops at once.

    While no task is running there is nothing to finish, and nobody looks at it: see `at_once`.
    """

    asked: int = 0
    again: str = AGAIN  # what goes on once something was begun, in words
    _kept: str | None = None  # what is kept, where it is to be heeded at once

    def ask(self) -> None:
        """Ask once more; called by a signal's handler, between any two steps of the main thread."""
        self.asked += 1
        self.heed()

    @contextmanager
    def at_once(self, kept: str = _NOTHING_BEGUN) -> Iterator[None]:
        """Within, whatever is being done is broken off when it is asked.

        Args:
            kept: What the ledger keeps then, in words.

        Raises:
            Stopped: It was.
        """
        self._kept = kept
        try:
            self.heed()
            yield
            self.heed()  # something on the way here may have taken the exception for its own
        finally:
            self._kept = None

    def heed(self) -> None:
        """Break off what is being done, where it was asked and that is to be heeded at once.

        Raises:
            Stopped: Both are so.
        """
        if self.asked and self._kept is not None:
            begun = self._kept != _NOTHING_BEGUN
            raise Stopped(self._kept, self.again if begun else AGAIN)
