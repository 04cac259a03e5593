"""A lease that is extended while something is done that takes longer than the lease.

A thread of its own: who does the work looks at nothing meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from fairlead.errors import FairleadError


class Lease(threading.Thread):
    """Extends a lease until the end; then another process may have it at once.

    Args:
        extend: Extends it; what it raises is tried again.
        release: Gives it up.
        seconds: How long it is.
    """

    def __init__(
        self, extend: Callable[[], object], release: Callable[[], object], *, seconds: float
    ) -> None:
        super().__init__(name="lease", daemon=True)
        self._extend, self._release = extend, release
        self._seconds = seconds
        self._done = threading.Event()

    def run(self) -> None:
        """Extend it in time."""
        while not self._done.wait(self._seconds / 3):
            with suppress(FairleadError):  # the ledger is busy, or its disk full: tried again
                self._extend()

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()
        with suppress(FairleadError):  # the lease ends by itself
            self._release()
