"""The serving program: its processes, and what it does for them.

Belongs here: putting the parts together, from binding the address to the last process's end. Does
not: the parts.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fairlead.artifacts import Artifacts
from fairlead.ledger.interface import Ledger
from fairlead.records import Server
from fairlead.rollout.smoke_test import Endpoint
from fairlead.rollout.verification import CheckCache, Verifications
from fairlead.server.auth import TokenAuthenticator
from fairlead.server.canary import CanaryMetrics
from fairlead.server.events import AddressBound, ServerEvent
from fairlead.server.executor import Executor
from fairlead.server.listening import BoundAddress, bind
from fairlead.server.process_pool import ProcessPool
from fairlead.server.reconciler import Reconciler
from fairlead.server.snapshot import SnapshotReader
from fairlead.server.startup import deploy_champions
from fairlead.serving.http.guard import hashed
from fairlead.serving.http.limits import Limits
from fairlead.serving.start import Logging, ProcessSettings
from fairlead.serving.telemetry.aggregate import Aggregate

_PERIOD = 0.1
"""Seconds between two looks at whether to stop, and at the processes."""
_LEAVING = 2.0
"""Seconds that saying goodbye to the ledger may take."""
_ALONE = 4.0
"""Seconds that a process may go on after its supervisor was killed."""


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
        tokens_file: The file of these tokens, which is followed; None where they stay as they are.
        limits: What is taken from clients.
        logging: What the processes write to standard error.
        lease: Seconds of silence after which another server takes over its deployments.
        check_cache: Folder that keeps what checks found out for the next server; None for none.
    """

    models: tuple[str, ...] | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    processes: int | None = None
    grace: float = 10.0
    tokens: tuple[str, ...] = ()
    tokens_file: Path | None = None
    limits: Limits = field(default_factory=Limits)
    logging: Logging = field(default_factory=Logging)
    lease: float = 5.0
    check_cache: Path | None = None


@dataclass
class ShutdownRequest:
    """How often the server was asked to stop: once drains, twice ends at once."""

    count: int = 0

    def request(self, *_: object) -> None:
        """Ask once more; fit to be a signal's handler."""
        self.count += 1


def serve(
    ledger: Ledger,
    artifacts: Artifacts,
    options: ServeOptions,
    *,
    shutdown: ShutdownRequest,
    on_event: Callable[[ServerEvent], None],
) -> None:
    """Serve until asked to stop.

    Args:
        ledger: Says what is to be served; used from several threads.
        artifacts: Holds the files that it names.
        options: How.
        shutdown: Looked at several times a second.
        on_event: Called with what happens, from one thread or another, never from two at once.

    Raises:
        Invalid: There is nothing to serve, or the address cannot be bound; nothing was begun.
    """
    with bind(options.host, options.port, tokens=bool(options.tokens)) as address:
        server = _Server(ledger, artifacts, options, address=address, on_event=_in_turn(on_event))
        try:
            server.serve(shutdown)
        finally:
            server.close()


class _Server:
    """The parts of a serving program, put together."""

    def __init__(
        self,
        ledger: Ledger,
        artifacts: Artifacts,
        options: ServeOptions,
        *,
        address: BoundAddress,
        on_event: Callable[[ServerEvent], None],
    ) -> None:
        self._ledger, self._artifacts, self._options = ledger, artifacts, options
        self._address, self._on_event = address, on_event
        self._token = secrets.token_urlsafe()  # with it, we ask ourselves
        self._porter = TokenAuthenticator(
            own=hashed(self._token),
            private=address.is_private,
            tokens=options.tokens,
            told=on_event,
        )
        self._count = options.processes or _processes()
        self._wake = threading.Event()
        self._sums = Aggregate()
        self._crew = ProcessPool(
            address,
            self._settings(),
            count=self._count,
            sums=self._sums,
            told=on_event,
            changed=self._wake.set,
        )
        self._steward = self._made()

    def serve(self, shutdown: ShutdownRequest) -> None:
        """Serve until asked to stop, and drain."""
        options = self._options
        self._crew.tend(0.0)  # the processes start while the ledger is looked at
        deploy_champions(self._ledger, self._artifacts, options.models, self._on_event)
        self._on_event(AddressBound(url=self._address.url, processes=self._count))
        self._steward.start()
        while not shutdown.count:
            self._admit()
            self._crew.tend(_PERIOD)
        self._steward.end(_LEAVING)
        self._crew.end(options.grace, hurry=lambda: shutdown.count > 1)

    def close(self) -> None:
        """End what is left."""
        self._steward.end(_LEAVING)
        self._crew.close()

    def _admit(self) -> None:
        if self._options.tokens_file is not None:
            self._porter.look(self._options.tokens_file)
            self._crew.admit(self._porter.tokens)

    def _settings(self) -> ProcessSettings:
        options = self._options
        return ProcessSettings(
            listen=(),
            channel=0,
            artifacts=self._artifacts.root,
            artifacts_cache=self._artifacts.cache,
            host=options.host,
            tokens=self._porter.tokens,
            limits=options.limits,
            logging=options.logging,
            grace=min(options.grace, _ALONE),
        )

    def _made(self) -> Reconciler:
        server = Server(
            id=_name(),
            url=self._address.url,
            processes=self._count,
            models=self._options.models,
        )
        checked = CheckCache(self._options.check_cache)
        proofs = Verifications(self._ledger, self._artifacts, checked, on_finished=self._wake.set)
        return Reconciler(
            ledger=self._ledger,
            looking=SnapshotReader(
                self._ledger,
                server=server.id,
                models=self._options.models,
                lease=self._options.lease,
            ),
            server=server,
            lease=self._options.lease,
            crew=self._crew,
            proofs=proofs,
            carrier=self._carrier(proofs),
            wake=self._wake,
            told=self._on_event,
        )

    def _carrier(self, proofs: Verifications) -> Executor:
        return Executor(
            self._ledger,
            self._artifacts,
            proofs=proofs,
            address=Endpoint(url=self._address.url, token=self._token),
            eyes=CanaryMetrics(self._sums.observations, self._sums.until),
            ended=self._wake.set,
            told=self._on_event,
        )


def _name() -> str:
    """A name that no other server has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def _processes() -> int:
    """One a core; at least two, so that one answers while another is replaced."""
    return max(2, min(len(os.sched_getaffinity(0)), 4))


def _in_turn(on_event: Callable[[ServerEvent], None]) -> Callable[[ServerEvent], None]:
    """The same, never called by two threads at once; where nobody reads it, serving goes on."""
    lock = threading.Lock()

    def tell(news: ServerEvent) -> None:
        with lock, contextlib.suppress(OSError):
            on_event(news)

    return tell
