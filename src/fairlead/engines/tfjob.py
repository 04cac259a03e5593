"""A gang as a TFJob of the Kubeflow training operator.

The operator numbers the pods, gives each a Service and TF_CONFIG, and makes another pod for one
that was deleted; a process that fails is started again by its node, later each time. Where ranks
need each other, the TFJob fails with the first of them, and the operator ends the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.meta_v1 import OwnerReference

from fairlead.engines.engine import GangRequest
from fairlead.engines.rank_pods import MadePods, gang_metadata, rank_template
from fairlead.engines.rank_status import Making, conditions_of, why_over
from fairlead.kube.place import PodPlace

TFJob: type[Any] = create_namespaced_resource("kubeflow.org", "v1", "TFJob", "tfjobs")
INDEX = "training.kubeflow.org/replica-index"
"""The label of a pod that has its number."""

_CONTAINER = "tensorflow"
"""The name of the container that the operator insists on."""
_KEPT = 600
"""Seconds for which a TFJob that is over is kept with its logs."""
_OVER = ("Failed", "Succeeded")


class TFJobs:
    """Makes ranks by TFJobs."""

    kind: type[Any] = TFJob
    name = "TFJob"
    label = INDEX
    besides: Sequence[type[Any]] = ()
    install = "the Kubeflow training operator (1.9)"
    settles = 0.0

    def objects(
        self, gang: GangRequest, place: PodPlace, owner: OwnerReference | None
    ) -> Sequence[Any]:
        """The TFJob."""
        restarts = "Never" if gang.collective else "OnFailure"  # with Never, all end with one
        number = f"metadata.labels['{INDEX}']"
        made = MadePods(container=_CONTAINER, number=number, restarts=restarts)
        template = rank_template(gang, place, owner, maker=made).to_dict()
        worker = {"replicas": gang.ranks, "restartPolicy": restarts, "template": template}
        spec = {
            # Ranks that find each other are as many as TF_CONFIG says; others may become more.
            "enableDynamicWorker": not gang.collective,
            "runPolicy": {"cleanPodPolicy": "Running", "ttlSecondsAfterFinished": _KEPT},
            "successPolicy": "AllWorkers",
            "tfReplicaSpecs": {"Worker": worker},
        }
        metadata = gang_metadata(gang, owner)
        return (TFJob(apiVersion="kubeflow.org/v1", kind="TFJob", metadata=metadata, spec=spec),)

    def grown(self, ranks: int) -> Mapping[str, Any]:
        """More replicas."""
        return {"spec": {"tfReplicaSpecs": {"Worker": {"replicas": ranks}}}}

    def making(self, found: Any) -> Making:
        """As its spec and its conditions say."""
        ranks = int(found.spec["tfReplicaSpecs"]["Worker"].get("replicas", 1))
        return Making(ranks=ranks, over=why_over(self.name, conditions_of(found), _OVER))
