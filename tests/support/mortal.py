"""A worker that ends itself as kill -9 does, before or after a call of the ledger.

    python -m tests.support.mortal HOME WHEN METHOD

It works on whatever there is, with a lease of a second.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.settings import Settings
from fairlead.worker.loop import Worker

LEASE = 1.0


class Mortal:
    """The tasks of a ledger, whose process dies at a moment.

    Args:
        ledger: Whose tasks they are.
        when: "before" or "after".
        method: The call that it dies at; a claim that gives nothing is none.
    """

    def __init__(self, ledger: Ledger, when: str, method: str) -> None:
        self._tasks = ledger.tasks
        self._when = when
        self._method = method

    def __getattr__(self, name: str) -> Callable[..., Any]:
        work: Callable[..., Any] = getattr(self._tasks, name)
        return self._dying(work) if name == self._method else work

    def _dying(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def done(*given: Any, **how: Any) -> Any:
            if self._when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            value = work(*given, **how)
            if self._method != "claim" or value is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            return value

        return done


def main(home: Path, when: str, method: str) -> None:
    settings = Settings(home=home)
    with open_ledger(settings.ledger_url) as ledger:
        ledger.tasks = Mortal(ledger, when, method)  # type: ignore[assignment,misc] # has what it has
        Worker(
            name="mortal",
            ledger=ledger,
            artifacts=settings.artifacts_url,
            cache=settings.artifacts_cache,
            lease=LEASE,
        ).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
