"""Runs on a Kubernetes cluster: a Study that is applied and followed until it has ended.

There is one way: what `kubectl apply` does with a Study is done here, and all that is shown comes
from its status. Who follows needs neither the ledger nor the artefact store.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from fairlead.errors import Failed, NotFound, Transient
from fairlead.kube.client import Cluster
from fairlead.kube.kinds import STUDIES
from fairlead.kube.merge_patch import merge_patch
from fairlead.records import Counts, FitReport, Study, Trial
from fairlead.study.progress import FitsSeen, ProgressListener, SearchProgress
from fairlead.study.stop import StopRequest

_EVERY = 0.5
"""Seconds between two looks at a Study."""
_SILENT = 10.0
"""Seconds after which it is said that no operator has taken a Study up."""
_PATIENCE = 60.0
"""Seconds for which an API server may be away."""
_OVER = {"Finished", "Failed", "Cancelled", "Refused"}
_BEST = Trial(number=0, family="", params={})


@dataclass(frozen=True, kw_only=True)
class StudyOnCluster:
    """A Study as the cluster has it.

    Args:
        name: Of the object.
        namespace: Where it is.
        generation: What is asked for, counted.
        status: What the operator says of it.
    """

    name: str
    namespace: str
    generation: int
    status: Mapping[str, Any]

    @property
    def is_over(self) -> bool:
        """Whether what is asked for now has ended."""
        return self.is_taken_up and self.status.get("phase") in _OVER

    @property
    def is_taken_up(self) -> bool:
        """Whether the operator has seen what is asked for now."""
        return bool(self.status.get("observedGeneration") == self.generation)


def apply(cluster: Cluster, study: Mapping[str, Any]) -> StudyOnCluster:
    """Have the Study ask for what is given, and for nothing that somebody wrote beside it.

    Raises:
        Invalid: The API server refuses it.
        NotFound: The cluster does not know the kind: nothing is installed there.
    """
    name, wanted = study["metadata"]["name"], study["spec"]
    with suppress(NotFound):
        kept: Any = cluster.get(STUDIES.resource, name)
        if change := merge_patch(kept["spec"], wanted):
            cluster.merge(STUDIES.resource, name, {"spec": change})
    return _read(cluster.apply(STUDIES.resource.from_dict(dict(study))))


def find(cluster: Cluster, name: str) -> StudyOnCluster:
    """The Study of this name.

    Raises:
        NotFound: There is none.
    """
    return _read(cluster.get(STUDIES.resource, name))


def follow(
    cluster: Cluster, applied: StudyOnCluster, listener: ProgressListener, stop: StopRequest
) -> StudyOnCluster:
    """Report how the Study is until it has ended.

    Args:
        cluster: Where it is.
        applied: Which, and what is asked for.
        listener: Called as by a run on this machine.
        stop: Heeded at once; the Study goes on.

    Raises:
        Failed: It failed, was refused or was cancelled.
        NotFound: It was deleted.
        Stopped: It was asked to stop.
    """
    view = _View(cluster, applied, listener)
    with stop.at_once("the Study goes on"):
        while not (found := view.look()).is_over:
            time.sleep(_EVERY)
    if found.status["phase"] != "Finished":
        why = found.status.get("message") or "no reason is given"
        raise Failed(f"Study {found.name!r}: {str(found.status['phase']).lower()}: {why}")
    return found


class _View:
    """A Study as it is seen from afar."""

    def __init__(
        self, cluster: Cluster, applied: StudyOnCluster, listener: ProgressListener
    ) -> None:
        self._cluster = cluster
        self._found = applied
        self._listener = listener
        self._phase = ""
        self._said = ""
        self._began = time.monotonic()
        self._seen = self._began
        self._before: int | None = None
        self._fits = FitsSeen(listener)

    def look(self) -> StudyOnCluster:
        """How it is now; reports what is new. An API server that is away is waited for."""
        now = time.monotonic()
        try:
            self._found = _read(self._cluster.get(STUDIES.resource, self._found.name))
        except Transient as error:
            if now - self._seen > _PATIENCE:
                raise
            self._say(f"{error}; trying again")
            return self._found
        self._seen = now
        if self._found.is_taken_up:
            self._report(self._found.status)
        elif now - self._began > _SILENT:
            self._say("no operator has taken it up: see that the Deployment fairlead-operator runs")
        return self._found

    def _report(self, status: Mapping[str, Any]) -> None:
        phase = str(status.get("phase", ""))
        if phase != self._phase:
            self._phase = phase
            self._listener.stage(phase.lower())
        if phase == "Searching":
            self._listener.searching(self._progress(status))
        fits = msgspec.convert(status.get("fits") or (), list[FitReport])
        self._fits.tell(fits, time.monotonic())
        if phase not in _OVER:
            self._say(str(status.get("message") or ""))

    def _say(self, line: str) -> None:
        if line and line != self._said:
            self._listener.note(line)
        self._said = line

    def _progress(self, status: Mapping[str, Any]) -> SearchProgress:
        ended, size = map(int, str(status.get("trials", "0/0")).split("/"))
        self._before = ended if self._before is None else self._before
        best, failed = status.get("best"), int(status.get("failedTrials") or 0)
        workers = int(status.get("workers") or 0)
        return SearchProgress(
            study=Study(id=status["study"], name=self._found.name, spec="", table="", size=size),
            metric=str(status.get("metric", "score")),
            # What a cluster says of tasks is how many workers there are.
            counts=Counts(ready=size - ended, running=workers, done=ended - failed, failed=failed),
            best=None if best is None else (_BEST, float(best)),
            workers=workers,
            elapsed=self._elapsed(status),
            before=self._before,
            seen=time.monotonic() - self._began,
        )

    def _elapsed(self, status: Mapping[str, Any]) -> float:
        """Seconds since the run began; since this began to look, where that is not told."""
        if "began" not in status:
            return time.monotonic() - self._began
        began = datetime.fromisoformat(status["began"])
        return max(0.0, (datetime.now(UTC) - began).total_seconds())


def _read(found: Any) -> StudyOnCluster:
    return StudyOnCluster(
        name=found.metadata.name,
        namespace=found.metadata.namespace,
        generation=found.metadata.generation,
        status=found.status or {},
    )
