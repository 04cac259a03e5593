"""The serving program: its processes, and what it does for them.

Belongs here: putting the parts together, from binding the address to the last process's end. Does
not: the parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fairlead.artifacts import Artifacts
from fairlead.deployment.news import News
from fairlead.ledger.ledger import Ledger
from fairlead.serving.limits import Limits
from fairlead.serving.process import Logging


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """How to serve.

    Args:
        models: Those to serve; None for all, those that are deployed later included.
        host: Name or address to bind.
        port: To bind; 0 for one that is free.
        processes: How many serve; None for one a core, at least two and at most four.
        grace: Seconds to finish what is in hand once it is to stop.
        tokens: SHA-256 of the tokens that are let in; empty: everybody on this machine is.
        limits: What is taken from clients.
        logging: What the processes write to standard error.
        lease: Seconds of silence after which another server takes over its deployments.
    """

    models: tuple[str, ...] | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    processes: int | None = None
    grace: float = 10.0
    tokens: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    logging: Logging = field(default_factory=Logging)
    lease: float = 5.0


@dataclass
class Stop:
    """How often the server was asked to stop: once drains, twice ends at once."""

    asked: int = 0

    def ask(self, *_: object) -> None:
        """Ask once more; fit to be a signal's handler."""
        self.asked += 1


def serve(
    ledger: Ledger,
    artifacts: Artifacts,
    options: ServeOptions,
    *,
    stop: Stop,
    told: Callable[[News], None],
) -> None:
    """Serve until asked to stop.

    Args:
        ledger: Says what is to be served; used from several threads.
        artifacts: Holds the files that it names.
        options: How.
        stop: Looked at several times a second.
        told: Told what happens, from one thread or another, never from two at once.

    Raises:
        Invalid: There is nothing to serve, or the address cannot be bound; nothing was begun.
    """
    raise NotImplementedError
