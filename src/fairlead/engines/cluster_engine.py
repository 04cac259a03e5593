"""Ranks as pods of a Kubernetes cluster: one object for a gang, whose controller makes the pods.

Which object that is, a `RankMaker` says: an Indexed Job, a TFJob, a TrainJob. Its controller makes
another pod where one fails or is deleted, so a rank that was lost comes back without being asked
for; what was deleted as a whole comes back when the gang is started again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from lightkube.models.meta_v1 import OwnerReference
from lightkube.resources.core_v1 import Pod, Secret
from lightkube.resources.networking_v1 import NetworkPolicy

from fairlead.backoff import Backoff, doubled
from fairlead.engines.engine import GangRequest, RankStatus
from fairlead.engines.rank_pods import (
    DIGEST_ANNOTATION,
    DRIVER_LABEL,
    GANG_LABEL,
    gang_digest,
    gang_policy,
    gang_secret,
    refuse_gang,
)
from fairlead.engines.rank_status import Making, newest_pods, rank_statuses, with_vanished
from fairlead.errors import Conflict, Failed, Forbidden, Invalid, NextStep, NotFound
from fairlead.kube.client import Cluster
from fairlead.kube.place import PodPlace
from fairlead.kube.pod_status import metadata_of, refusal_of

_TRIES = 5
"""So often a gang of before may be in the way."""
_LINES = 1000
"""Lines of a log that are shown."""
_AT_ONCE = 1
"""Seconds that a pod has that is removed: with none, its processes may outlive it."""
_GONE = 60.0
"""Seconds in which all is gone once it is removed."""
_OFTEN = 0.2
"""Seconds between two looks at it."""


class RankMaker(Protocol):
    """A kind of object whose controller makes the pods of a gang. Says what to apply; asks nobody.

    Attributes:
        kind: Of the object.
        name: What people call it.
        label: That its pods have the number of their rank in.
        besides: Kinds of the other objects of a gang, but for its Secret and its NetworkPolicy.
        install: What a cluster that has no such kind lacks.
        settles: Seconds in which its admission may not know yet of what was created before.
    """

    kind: type[Any]
    name: str
    label: str
    besides: Sequence[type[Any]]
    install: str
    settles: float

    def objects(
        self, gang: GangRequest, place: PodPlace, owner: OwnerReference | None
    ) -> Sequence[Any]:
        """What is created for a gang, in this order."""
        ...

    def grown(self, ranks: int) -> Mapping[str, Any]:
        """The merge patch that makes the object have so many ranks.

        Raises:
            Invalid: Such an object does not grow.
        """
        ...

    def making(self, found: Any) -> Making:
        """How many pods the object makes, and why it makes none."""
        ...


class ClusterEngine:
    """Gangs in a namespace of a cluster. A context manager that ends the connection, and no rank.

    Args:
        maker: What makes the pods.
        cluster: Connected, with the namespace.
        place: As what the ranks run.
        owner: With which all of a gang goes; None for nothing.
    """

    def __init__(
        self,
        maker: RankMaker,
        *,
        cluster: Cluster,
        place: PodPlace,
        owner: OwnerReference | None = None,
    ) -> None:
        self._maker = maker
        self._cluster = cluster
        self._place = place
        self._owner = owner
        self._started: dict[str, int] = {}  # ranks by the keys of gangs
        self._alive: dict[str, Mapping[int, RankStatus]] = {}  # at the last look

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.__exit__()

    def start(self, gang: GangRequest) -> str:
        """Create the gang; of one that is there, have the ranks be as many as asked for.

        A driver has one: what others left that ran in its pod before it is removed.
        """
        refuse_gang(gang, self._place)
        for older in self._gangs_of_driver() - {gang.key}:
            self._remove(older)
        for _ in range(_TRIES):
            if self._is_started(gang):
                self._started[gang.key] = gang.ranks
                return gang.key
        raise Conflict(
            f"{self._maker.name} {gang.key!r}: other programs make one of this name and delete it"
        )

    def poll(self, handle: str) -> Sequence[RankStatus]:
        """The ranks, by their numbers."""
        found = self._object(handle)
        pods = self._pods(handle)
        if found is None and handle not in self._started:
            return ()
        making = self._making(handle, found, pods)
        told = rank_statuses(pods, making, label=self._maker.label, now=datetime.now(UTC))
        ranks = with_vanished(told, self._alive.get(handle, {}))
        self._alive[handle] = {one.rank: one for one in ranks if one.log}
        return ranks

    def stop(self, handle: str) -> None:
        """Delete all of the gang, and wait until its pods are gone."""
        self._remove(handle)
        self._started.pop(handle, None)
        self._alive.pop(handle, None)

    def logs(self, handle: str, rank: int) -> str:
        """What the rank's newest pod printed last."""
        pod = newest_pods(self._pods(handle), label=self._maker.label).get(rank)
        return "" if pod is None else self._cluster.log(metadata_of(pod).name or "", lines=_LINES)

    # ---- starting -----------------------------------------------------------------------------

    def _is_started(self, gang: GangRequest) -> bool:
        """Whether the gang is there now; False where another was in its place, or came first."""
        found = self._object(gang.key)
        if found is None:
            return self._is_created(gang)
        if self._is_useless(found, gang):
            self._remove(gang.key)
            return False
        if self._maker.making(found).ranks < gang.ranks:
            self._cluster.merge(self._maker.kind, gang.key, self._maker.grown(gang.ranks))
        return True

    def _is_created(self, gang: GangRequest) -> bool:
        made = self._maker.objects(gang, self._place, self._owner)
        wanted = (gang_secret(gang, self._owner), gang_policy(gang, self._owner), *made)
        try:
            for each in wanted[:-1]:
                self._cluster.apply(each)
            self._create_last(wanted[-1])
        except Conflict:
            return False
        except NotFound as error:
            self._delete_rest(gang.key)
            raise self._missing(error) from error
        except Forbidden as error:
            raise _forbidden(error) from error
        return True

    def _create_last(self, one: Any) -> None:
        """Create what the pods are made by, once its controllers know of what is there before."""
        backoff = Backoff(self._maker.settles, doubled(0.2, 1.0))
        while True:
            try:
                self._cluster.create(one)
            except Forbidden:
                if not backoff.wait():
                    raise
            else:
                return

    def _missing(self, error: NotFound) -> Invalid:
        return Invalid(
            f"the cluster has no kind {self._maker.name}: install {self._maker.install}, or take "
            f"train.engine: kubernetes ({error})",
            code="engine_not_installed",
        )

    def _is_useless(self, found: Any, gang: GangRequest) -> bool:
        """Whether it is another gang's, or makes no pods any more."""
        metadata = metadata_of(found)
        is_other = (metadata.annotations or {}).get(DIGEST_ANNOTATION) != gang_digest(gang)
        return is_other or bool(metadata.deletionTimestamp or self._maker.making(found).over)

    def _gangs_of_driver(self) -> set[str]:
        """Gangs that drivers in this pod have begun: one that was killed has ended none."""
        if self._owner is None:
            return set()
        pods = self._cluster.list(Pod, labels={DRIVER_LABEL: self._owner.uid})
        return {str((metadata_of(pod).labels or {}).get(GANG_LABEL)) for pod in pods}

    # ---- looking ------------------------------------------------------------------------------

    def _object(self, key: str) -> Any | None:
        try:
            return self._cluster.get(self._maker.kind, key)
        except NotFound:
            return None

    def _pods(self, key: str) -> list[Pod]:
        return self._cluster.list(Pod, labels={GANG_LABEL: key})

    def _making(self, key: str, found: Any | None, pods: Sequence[Pod]) -> Making:
        if found is None or metadata_of(found).deletionTimestamp is not None:
            gone = f"the {self._maker.name} {key!r} was deleted"
            return Making(ranks=self._started.get(key, 0), over=gone)
        making = self._maker.making(found)
        if making.over or making.waits or len(pods) >= making.ranks:
            return making
        refusal = refusal_of(self._cluster, str(metadata_of(found).uid))
        waits = f"its {self._maker.name} makes no pod: {refusal}" if refusal else ""
        return Making(ranks=making.ranks, waits=waits)

    # ---- stopping -----------------------------------------------------------------------------

    def _remove(self, key: str) -> None:
        deadline = time.monotonic() + _GONE
        while self._delete(key):
            if time.monotonic() > deadline:
                raise Failed(
                    f"Kubernetes: pods of the gang {key!r} in namespace "
                    f"{self._cluster.namespace!r} are still there after {_GONE:.0f} s"
                )
            time.sleep(_OFTEN)
        self._delete_rest(key)

    def _delete_rest(self, key: str) -> None:
        kinds: Sequence[type[Any]] = (*self._maker.besides, NetworkPolicy, Secret)
        for kind in kinds:
            self._cluster.delete(kind, key)

    def _delete(self, key: str) -> bool:
        """Have object and pods be deleted; whether any is still there."""
        found = self._object(key)
        if found is not None and metadata_of(found).deletionTimestamp is None:
            self._cluster.delete(self._maker.kind, key)
        pods = self._pods(key)
        for metadata in map(metadata_of, pods):
            if metadata.name and metadata.deletionGracePeriodSeconds != _AT_ONCE:
                self._cluster.delete(Pod, metadata.name, grace=_AT_ONCE)
        return found is not None or bool(pods)


def _forbidden(error: Forbidden) -> Forbidden:
    step = NextStep("install", {"parts": "training"}, "gives workers that train the right")
    return Forbidden(
        f"{error}: the driver of the fit may not start ranks", code=error.code, next_steps=(step,)
    )
