"""The serving program: its parts put together, from binding the address to the last process's end.

The main thread polls the process pool and watches for the request to stop; the reconciler has a
thread of its own.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from fairlead.machine import unique_name, usable_cores
from fairlead.records import Server
from fairlead.rollout.smoke_test import Endpoint
from fairlead.rollout.verification import CheckCache, Verifications
from fairlead.server.auth import TokenAuthenticator
from fairlead.server.canary import CanaryMetrics
from fairlead.server.events import AddressBound, ServerEvent
from fairlead.server.executor import Executor
from fairlead.server.fixed_version import FixedVersion, fixed_revision
from fairlead.server.listening import BoundAddress, bind
from fairlead.server.process_pool import ProcessPool
from fairlead.server.reconciler import Reconciler
from fairlead.server.startup import deploy_champions
from fairlead.server.step_observer import StepObserver
from fairlead.serving.http.guard import hashed
from fairlead.serving.settings import Limits, Logging, ProcessSettings
from fairlead.serving.telemetry.counters import Aggregate
from fairlead.serving.telemetry.logs import is_for_people
from fairlead.stores import Stores

_PERIOD = 0.1
"""Seconds between two looks at the request to stop, and at the processes."""
_SIGN_OFF = 2.0
"""Seconds that reporting the end to the ledger may take."""
_ORPHAN_GRACE = 4.0
"""Seconds that a process may continue after its supervisor was killed."""


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """How to serve.

    Args:
        models: Those to serve; None for all, those that are deployed later included.
        version: Of the one model, served whatever the ledger routes; None to follow the ledger.
        host: Name or address to bind.
        port: To bind; 0 for a free one.
        advertised: Name or address by which other machines reach it; empty for what is bound.
        processes: How many serve; None for one a core, at least two and at most four.
        grace: Seconds to finish requests in hand once it is to stop.
        tokens: SHA-256 of the accepted tokens; empty: every request from this machine is accepted.
        tokens_file: The file of these tokens, which is followed; None where they stay as they are.
        limits: What is accepted from clients.
        logging: What the processes write to standard error.
        lease: Seconds of silence after which another server takes over its deployments.
        check_cache: Folder of what checks found, for the next server; None for none.
    """

    models: tuple[str, ...] | None = None
    version: int | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    advertised: str = ""
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
        """Ask once more; a signal's handler, too."""
        self.count += 1


def serve(
    stores: Stores,
    options: ServeOptions,
    *,
    shutdown: ShutdownRequest,
    on_event: Callable[[ServerEvent], None],
) -> None:
    """Serve until asked to stop.

    Args:
        stores: Of what is to be served; used from several threads.
        options: How.
        shutdown: Looked at several times a second.
        on_event: Called with what happens, from one thread or another, never from two at once.

    Raises:
        Invalid: There is nothing to serve, or the address cannot be bound; nothing was begun.
    """
    tokens, advertised = bool(options.tokens), options.advertised
    with bind(options.host, options.port, tokens=tokens, advertised=advertised) as address:
        supervisor = _Supervisor(stores, options, address=address, on_event=_serialized(on_event))
        try:
            supervisor.serve(shutdown)
        finally:
            supervisor.close()


class _Supervisor:
    """The parts of a serving program, put together."""

    def __init__(
        self,
        stores: Stores,
        options: ServeOptions,
        *,
        address: BoundAddress,
        on_event: Callable[[ServerEvent], None],
    ) -> None:
        self._stores, self._options = stores, options
        self._address, self._on_event = address, on_event
        self._token = secrets.token_urlsafe()  # for its own smoke tests
        self._authenticator = TokenAuthenticator(
            own=hashed(self._token),
            private=address.is_private,
            tokens=options.tokens,
            on_event=on_event,
        )
        self._count = options.processes or _default_processes()
        self._wake = threading.Event()
        self._sums = Aggregate()
        self._id = unique_name()
        self._observer = StepObserver(
            stores.ledger,
            server=self._id,
            metrics=CanaryMetrics(self._sums.observations, self._sums.until),
        )
        self._pool = ProcessPool(
            address,
            self._process_settings(),
            count=self._count,
            sums=self._sums,
            on_event=on_event,
            on_report=self._wake.set,
        )
        self._reconciler = self._make_reconciler()

    def serve(self, shutdown: ShutdownRequest) -> None:
        """Serve until asked to stop, and drain."""
        options = self._options
        self._pool.poll(0.0)  # the processes start while the ledger is read
        if options.version is None:
            deploy_champions(self._stores, options.models, self._on_event)
        self._on_event(AddressBound(url=self._address.url, processes=self._count))
        self._reconciler.start()
        while not shutdown.count:
            self._follow_tokens()
            self._pool.poll(_PERIOD)
        self._reconciler.stop(_SIGN_OFF)
        self._pool.drain(options.grace, hurry=lambda: shutdown.count > 1)

    def close(self) -> None:
        """End what is left."""
        self._reconciler.stop(_SIGN_OFF)
        self._pool.close()

    def _follow_tokens(self) -> None:
        if self._options.tokens_file is not None:
            self._authenticator.reload(self._options.tokens_file)
            self._pool.set_tokens(self._authenticator.tokens)

    def _process_settings(self) -> ProcessSettings:
        options = self._options
        return ProcessSettings(
            listen=(),
            channel=0,
            artifacts=self._stores.artifacts.root,
            artifacts_cache=self._stores.artifacts.cache,
            host=options.host,
            tokens=self._authenticator.tokens,
            limits=options.limits,
            logging=_resolved(options.logging),
            grace=min(options.grace, _ORPHAN_GRACE),
        )

    def _make_reconciler(self) -> Reconciler | FixedVersion:
        options = self._options
        verifications = Verifications(
            self._stores,
            CheckCache(options.check_cache),
            on_finished=self._wake.set,
        )
        if options.version is not None:
            return self._make_fixed(options.version, verifications)
        return Reconciler(
            ledger=self._stores.ledger,
            server=Server(
                id=self._id,
                url=self._address.url,
                processes=self._count,
                models=options.models,
            ),
            models=options.models,
            lease=options.lease,
            pool=self._pool,
            verifications=verifications,
            executor=self._make_executor(verifications),
            observer=self._observer,
            wake=self._wake,
            on_event=self._on_event,
        )

    def _make_fixed(self, version: int, verifications: Verifications) -> FixedVersion:
        (model,) = self._options.models or ()
        revision, sticky = fixed_revision(self._stores, model, version)
        return FixedVersion(
            revision,
            sticky=sticky,
            pool=self._pool,
            verifications=verifications,
            wake=self._wake,
            on_event=self._on_event,
        )

    def _make_executor(self, verifications: Verifications) -> Executor:
        return Executor(
            self._stores,
            verifications=verifications,
            endpoint=Endpoint(url=self._address.url, token=self._token),
            observer=self._observer,
            on_finished=self._wake.set,
            on_event=self._on_event,
        )


def _resolved(logging: Logging) -> Logging:
    """With the form that it has on this program's standard error; the processes may get another."""
    return replace(logging, form="lines" if is_for_people(logging, sys.stderr) else "json")


def _default_processes() -> int:
    """One a core; at least two, so that one answers while another is replaced."""
    return max(2, min(usable_cores(), 4))


def _serialized(on_event: Callable[[ServerEvent], None]) -> Callable[[ServerEvent], None]:
    """The same, never called by two threads at once; serving survives output that is closed."""
    lock = threading.Lock()

    def call(event: ServerEvent) -> None:
        with lock, contextlib.suppress(OSError):
            on_event(event)

    return call
