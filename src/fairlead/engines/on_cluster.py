"""The engines that run ranks as pods, from within the pod of a driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlead.errors import Invalid

if TYPE_CHECKING:
    from fairlead.engines.cluster_engine import ClusterEngine

NAMES = ("kubernetes", "tfjob", "trainjob")
"""What `train.engine` calls them."""


@dataclass(frozen=True, kw_only=True)
class OnCluster:
    """An engine, and where its ranks reach this process.

    Args:
        engine: A context manager that ends its connection.
        host: The address on which the driver listens.
    """

    engine: ClusterEngine
    host: str


def require_pod(name: str) -> None:
    """Refuse a process that cannot start pods for an engine.

    Args:
        name: The `train.engine`.

    Raises:
        Invalid: This process runs in no pod, or lacks what speaks to a cluster.
    """
    try:
        from fairlead.engines.driver_pod import refuse_outside
    except ImportError:
        raise Invalid(
            f"train.engine: {name} needs a package: pip install 'fairlead[kubernetes]'",
            code="engine_not_installed",
        ) from None

    refuse_outside(name)


def engine_on_cluster(name: str, *, elastic: bool = False) -> OnCluster:
    """The engine of this name, for the driver that runs in this pod.

    Args:
        name: Of `NAMES`.
        elastic: Whether its gangs grow while they are busy.

    Raises:
        Invalid: This process runs in no pod, or lacks what speaks to a cluster.
        Unreachable: The API server did not answer.
    """
    require_pod(name)
    from fairlead.engines.cluster_engine import ClusterEngine, RankMaker
    from fairlead.engines.driver_pod import driver_pod
    from fairlead.engines.elastic import ElasticSets
    from fairlead.engines.kubernetes import IndexedJobs
    from fairlead.engines.tfjob import TFJobs
    from fairlead.engines.trainjob import TrainJobs
    from fairlead.kube.client import Cluster

    makers: Mapping[str, RankMaker] = {
        "kubernetes": ElasticSets() if elastic else IndexedJobs(),
        "tfjob": TFJobs(),
        "trainjob": TrainJobs(),
    }
    cluster = Cluster()
    here = driver_pod(cluster)
    engine = ClusterEngine(makers[name], cluster=cluster, place=here.place, owner=here.owner)
    return OnCluster(engine=engine, host=here.host)
