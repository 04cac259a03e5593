"""A gang as a TrainJob of Kubeflow's Trainer, which makes a JobSet of one Indexed Job of it.

A TrainJob names what it runs as: a TrainingRuntime, which each gang has one of its own of, since it
holds the whole pod. A JobSet does not grow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.meta_v1 import OwnerReference

from fairlead.engines.engine import GangRequest
from fairlead.engines.kubernetes import INDEX, RESTARTS
from fairlead.engines.rank_pods import MadePods, gang_metadata, rank_template
from fairlead.engines.rank_status import Making, conditions_of, why_over
from fairlead.errors import Invalid
from fairlead.kube.place import PodPlace

GROUP, VERSION = "trainer.kubeflow.org", "v1alpha1"
TrainJob: type[Any] = create_namespaced_resource(GROUP, VERSION, "TrainJob", "trainjobs")
TrainingRuntime: type[Any] = create_namespaced_resource(
    GROUP, VERSION, "TrainingRuntime", "trainingruntimes"
)

_NODE = "node"
"""The name of the container, and of the part of the JobSet, that the Trainer looks for."""
_STEP = {f"{GROUP}/trainjob-ancestor-step": "trainer"}
_OVER = ("Failed", "Complete")


class TrainJobs:
    """Makes ranks by TrainJobs."""

    kind: type[Any] = TrainJob
    name = "TrainJob"
    label = INDEX
    besides: Sequence[type[Any]] = (TrainingRuntime,)
    install = "the Kubeflow Trainer (2.0) with JobSet"
    settles = 10.0

    def objects(
        self, gang: GangRequest, place: PodPlace, owner: OwnerReference | None
    ) -> Sequence[Any]:
        """What the TrainJob runs as, and the TrainJob."""
        version, metadata = f"{GROUP}/{VERSION}", gang_metadata(gang, owner)
        runs_as = {"apiGroup": GROUP, "kind": "TrainingRuntime", "name": gang.key}
        return (
            TrainingRuntime(
                apiVersion=version,
                kind="TrainingRuntime",
                metadata=metadata,
                spec={
                    "mlPolicy": {"numNodes": gang.ranks},
                    "template": {"spec": {"replicatedJobs": [_replicated(gang, place, owner)]}},
                },
            ),
            TrainJob(
                apiVersion=version,
                kind="TrainJob",
                metadata=metadata,
                spec={"runtimeRef": runs_as, "trainer": {"numNodes": gang.ranks}},
            ),
        )

    def grown(self, ranks: int) -> Mapping[str, Any]:
        """Nothing: it cannot be.

        Raises:
            Invalid: Always.
        """
        raise Invalid(
            f"train.engine: trainjob cannot grow to {ranks} ranks: the processes of a TrainJob are "
            "as many as it began with; take engine: kubernetes"
        )

    def making(self, found: Any) -> Making:
        """As its spec and its conditions say."""
        held = conditions_of(found)
        return Making(
            ranks=int(found.spec["trainer"]["numNodes"]),
            over=why_over(self.name, held, _OVER),
            waits="its TrainJob is suspended" if "Suspended" in held else "",
        )


def _replicated(
    gang: GangRequest, place: PodPlace, owner: OwnerReference | None
) -> Mapping[str, Any]:
    made = MadePods(container=_NODE, number=f"metadata.annotations['{INDEX}']")
    template = rank_template(gang, place, owner, maker=made)
    limit = {"backoffLimit": 0} if gang.collective else {"backoffLimitPerIndex": RESTARTS}
    job = {**limit, "template": template.to_dict()}
    return {"name": _NODE, "template": {"metadata": {"labels": _STEP}, "spec": job}}
