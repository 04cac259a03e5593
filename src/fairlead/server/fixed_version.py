"""One version of one model, served whatever the ledger routes.

For platforms that split traffic themselves, such as Knative: each of their revisions is to stay
what it is. The ledger is read when the server starts and then never again, and nothing is written
to it: such a server is none of those that deployments wait for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from fairlead.errors import described
from fairlead.records import Digest, Revision, Route
from fairlead.rollout.start import deployable_version, revision_of, serve_settings
from fairlead.rollout.verification import Verifications
from fairlead.server.desired_state import PlanPublisher
from fairlead.server.events import ServerEvent, ServerNotice, ServerWarning
from fairlead.server.process_pool import ProcessPool
from fairlead.server.snapshot import ModelSnapshot
from fairlead.stores import Stores

_PERIOD = 0.2
"""Seconds between two rounds, until all processes serve it."""
_FIRST_PLAN = 5.0
"""Seconds after which the processes answer that they are alive, whatever holds the version up."""


class FixedVersion:
    """Has the serving processes serve one version.

    Args:
        revision: The version with its settings.
        sticky: What a client is known by.
        pool: The processes.
        verifications: Of the revision.
        wake: Set when there is reason for another round at once.
        on_event: Called with what happens.
    """

    def __init__(  # noqa: PLR0913 - it joins the parts
        self,
        revision: Revision,
        *,
        sticky: str | None,
        pool: ProcessPool,
        verifications: Verifications,
        wake: threading.Event,
        on_event: Callable[[ServerEvent], None],
    ) -> None:
        self._revision, self._pool, self._verifications = revision, pool, verifications
        self._wake, self._on_event = wake, on_event
        self._route = _route(revision, sticky)
        self._publisher = PlanPublisher(verifications, pool.apply)
        self._warned = ""
        self._began = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="fairlead-fixed", daemon=True)

    def start(self) -> None:
        """Start the loop; it ends by itself once all processes serve the version."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the loop; waits so long at most."""
        self._ending.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _loop(self) -> None:
        while not (self._ending.is_set() or self._round()):
            self._wake.wait(_PERIOD)
            self._wake.clear()

    def _round(self) -> bool:
        """Verify the version and publish it; whether all processes have taken it up."""
        revision = self._revision
        if error := self._verifications.ensure(revision):
            self._warn(f"{revision.model} {revision.name} cannot be served: {described(error)}")
        reports = self._pool.reports()
        snapshot = ModelSnapshot(
            model=revision.model, route=self._route, revisions={revision.name: revision}
        )
        self._publisher.update([snapshot], reports)
        if time.monotonic() - self._began > _FIRST_PLAN:
            self._publisher.publish_first(self._warned)
        if not self._publisher.is_followed(self._route, reports):
            return False
        self._on_event(ServerNotice(text=f"{revision.model}: {revision.name} alone is served"))
        return True

    def _warn(self, text: str) -> None:
        if text != self._warned:
            self._warned = text
            self._on_event(ServerWarning(text=text))


def fixed_revision(stores: Stores, model: str, number: int) -> tuple[Revision, str | None]:
    """The revision that a version is served as, and what its clients are known by.

    Raises:
        FairleadError: There is no such version, or it cannot be served.
    """
    version = deployable_version(stores, model, number)
    serve = serve_settings(stores.ledger, version)
    return revision_of(version, serve, name=f"v{number}"), serve.sticky


def _route(revision: Revision, sticky: str | None) -> Route:
    """All traffic to it; the ledger knows nothing of this route."""
    return Route(
        model=revision.model,
        number=1,
        traffic={revision.name: 100},
        kind="deploy",
        why="served as a fixed version",
        details=Digest(""),
        sticky=sticky,
    )
