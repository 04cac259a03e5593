"""Where kopf calls: a timer for each Endpoint and each Study that goes on, and for deletions.

kopf watches the objects, sets and removes the finalizer, and writes what a handler leaves in
`patch`. All that is decided is decided elsewhere; nothing that must be remembered is kept here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, repeat
from types import MappingProxyType
from typing import Any

import kopf

from fairlead.errors import FairleadError
from fairlead.kube.kinds import ENDPOINTS, GROUP, STUDIES, VERSION
from fairlead.operator.conditions import Report, conditions
from fairlead.operator.decide import Noted
from fairlead.operator.endpoint_object import EndpointObject
from fairlead.operator.endpoint_reconciler import EndpointReconciler
from fairlead.operator.gateway_watch import GatewayWatch
from fairlead.operator.reconciler import StudyReconciler
from fairlead.operator.release import FINALIZER
from fairlead.operator.study_object import StudyObject

EVERY = 1.0
"""Seconds between two looks at a Study that goes on, and at an Endpoint."""
_AT_ONCE = 0.02
"""Seconds from a look at an Endpoint until the wait for the next one begins."""
_THREADS = 32
"""Objects that are looked at at once."""
_AGAIN = 1.0
"""Seconds until a deletion that waits for what is ending is looked at again."""
_RETRY = 3.0
"""Seconds between two tries of a request, at most."""
_LOG = logging.getLogger(__name__)


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no copy of an object in its annotations: they hold 256 KiB, and files may be larger."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _Patience(Iterable[float]):
    """Seconds before each other try of a request, without an end.

    A timer whose request fails for good is never called again, so that a Study would be left where
    it is once the API server has been away, or a right was missing, for longer than the tries last.
    """

    def __iter__(self) -> Iterator[float]:
        return chain((0.5, 1.0, 2.0), repeat(_RETRY))


@dataclass(frozen=True, kw_only=True)
class Operator:
    """The handlers of one operator.

    Args:
        studies: Takes Studies to where they are asked to be.
        endpoints: Likewise Endpoints.
        gateway: Tells for which of them requests wait.
        namespace: That it works in.
    """

    studies: StudyReconciler
    endpoints: EndpointReconciler
    gateway: GatewayWatch
    namespace: str

    def registry(self) -> kopf.OperatorRegistry:
        """What kopf is to call."""
        registry = kopf.OperatorRegistry()
        selected: Mapping[str, Any] = {"registry": registry}
        study = (GROUP, VERSION, STUDIES.plural)
        endpoint = (GROUP, VERSION, ENDPOINTS.plural)
        kopf.on.startup(**selected)(_configure)
        kopf.on.login(**selected)(_login)
        kopf.timer(*study, interval=EVERY, when=goes_on, id="study", **selected)(self.study)
        kopf.on.delete(*study, id="deleted", **selected)(self.remove)
        kopf.timer(*endpoint, interval=_AT_ONCE, id="endpoint", **selected)(self.endpoint)
        kopf.on.cleanup(**selected)(self.end)
        return registry

    async def endpoint(self, *, body: kopf.Body, patch: kopf.Patch, **_: Any) -> None:
        """Look at an Endpoint after a while, or once a request waits for it to wake up."""
        spec = body["spec"]
        if spec.get("min", EndpointObject.least) == 0:
            await self.gateway.wait(spec["model"], EVERY)
        else:
            await asyncio.sleep(EVERY)
        await asyncio.to_thread(self._endpoint, body, patch)

    async def end(self, **_: Any) -> None:
        """Follow nothing any more."""
        await self.gateway.stop()

    def _endpoint(self, body: kopf.Body, patch: kopf.Patch) -> None:
        """Take an Endpoint one step on, and say how it is. Its objects are deleted with it."""
        before: Mapping[str, Any] = body.get("status") or {}
        with _again(body, patch):
            report = self.endpoints.reconcile(EndpointObject.read(body), before)
        changed = changes(before, report, body["metadata"]["generation"], datetime.now(UTC))
        if changed:
            patch.status.update(changed)

    def study(self, *, body: kopf.Body, patch: kopf.Patch, **_: Any) -> None:
        """Take a Study one step on, and say how it is."""
        before: Mapping[str, Any] = body.get("status") or {}
        with _again(body, patch, _unseen(body)):
            report = self.studies.reconcile(StudyObject.read(body), noted_of(before))
        changed = changes(before, report, body["metadata"]["generation"], datetime.now(UTC))
        if changed:
            patch.status.update(changed)
        _tell(body, before, {**before, **changed})

    def remove(self, *, body: kopf.Body, patch: kopf.Patch, **_: Any) -> None:
        """End what goes on of a Study that is deleted."""
        with _again(body, patch):
            noted = noted_of(body.get("status") or {})
            gone = self.studies.remove(StudyObject.read(body), noted)
        if not gone:
            raise kopf.TemporaryError("what goes on of it is ending", delay=_AGAIN)


@contextmanager
def _again(
    body: Mapping[str, Any], patch: kopf.Patch, besides: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[None]:
    """Have kopf try again what could not be done now, and the status say so.

    Args:
        body: The object.
        patch: Of its status.
        besides: Other fields of the status.
    """
    try:
        yield
    except FairleadError as error:
        text = f"{error}; trying again"
        if besides or (body.get("status") or {}).get("message") != text:
            patch.status.update({"message": text, **besides})
            _LOG.warning("%s: %s", body["metadata"]["name"], text)
        raise kopf.TemporaryError(str(error), delay=EVERY) from error


def _unseen(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a status has to say, for people to know that it is of what is asked for now."""
    generation = body["metadata"]["generation"]
    if (body.get("status") or {}).get("observedGeneration") == generation:
        return {}
    return {"phase": "Submitting", "observedGeneration": generation}


def run(operator: Operator, *, health: int | None) -> None:
    """Keep Studies until SIGTERM or SIGINT.

    Args:
        operator: What is called.
        health: The port that answers whether it is alive; None for none.
    """
    url = None if health is None else f"http://0.0.0.0:{health}/healthz"
    asyncio.run(_run(operator, url))


async def _run(operator: Operator, health: str | None) -> None:
    with ThreadPoolExecutor(_THREADS, "fairlead-endpoint") as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        await kopf.operator(
            registry=operator.registry(),
            namespaces=[operator.namespace],
            standalone=True,  # each step may be done twice: operators need not know each other
            liveness_endpoint=health,
        )


def goes_on(*, body: Mapping[str, Any], **_: Any) -> bool:
    """Whether there is anything to do for a Study."""
    status = body.get("status") or {}
    return bool(status.get("settledGeneration") != body["metadata"]["generation"])


def noted_of(status: Mapping[str, Any]) -> Noted | None:
    """What a status says of the last submission."""
    if "submission" not in status:
        return None
    return Noted(digest=status["submission"], run=status.get("run"))


def changes(
    before: Mapping[str, Any], report: Report, generation: int, now: datetime
) -> dict[str, Any]:
    """The fields of a status that are to be written.

    Args:
        before: As it is.
        report: What it is to say.
        generation: Of the object that this is about.
        now: The time.
    """
    fields = {**report.fields, "observedGeneration": generation}
    if report.conditions:
        known = before.get("conditions") or []
        fields["conditions"] = conditions(report.conditions, known, generation, now)
    if report.noted is not None:
        fields |= {"submission": report.noted.digest, "run": report.noted.run}
    if report.over:
        fields["settledGeneration"] = generation
    return {key: value for key, value in fields.items() if before.get(key) != value}


_TOLD: Mapping[str, str] = {
    "Refused": "Warning",
    "Failed": "Warning",
    "Cancelled": "Warning",
}
"""The type of the event that tells of a phase; Normal where it is not here."""
_QUIET: Collection[str] = ("Registering",)
"""Phases of a moment."""


def _tell(body: kopf.Body, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """An event, where the Study is in another phase."""
    phase = after.get("phase")
    if not phase or phase == before.get("phase") or phase in _QUIET:
        return
    kopf.event(body, type=_TOLD.get(phase, "Normal"), reason=phase, message=_in_words(after))


def _in_words(status: Mapping[str, Any]) -> str:
    run, trials, best = (status.get(key) for key in ("run", "trials", "best"))
    known = (run and f"run {run}", trials and f"{trials} trials", best and f"best {best}")
    return "; ".join([*filter(None, known), *filter(None, [status.get("message")])]) or "begun"


def _configure(*, settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.scanning.disabled = True  # it may list neither namespaces nor kinds
    settings.networking.error_backoffs = _Patience()
    settings.posting.enabled = True
    settings.posting.loggers = False  # events tell of Studies, not of this program
    settings.execution.max_workers = _THREADS


def _login(**given: Any) -> kopf.ConnectionInfo | None:
    """As in a pod, else by the kubeconfig."""
    return kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)
