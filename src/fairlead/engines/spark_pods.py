"""The pods of Spark's executors on a cluster: ranks, but that Spark makes them.

Spark fills in a template: the image, the limits and the places of ranks, and what they must know as
variables of a Secret. It takes them away with the pod of the driver, which owns them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fairlead.engines.driver_pod import DriverPod, driver_pod, refuse_outside
from fairlead.engines.rank_pods import (
    MadePods,
    gang_policy,
    gang_secret,
    rank_template,
    refuse_gang,
)
from fairlead.kube.client import Cluster

if TYPE_CHECKING:
    from fairlead.engines.engine import GangRequest

CONTAINER = "executor"
_PROGRAM = ("python", "-m", "fairlead.engines.spark_executor")
_NUMBER = "metadata.labels['spark-exec-id']"
_NAMESPACE = "spark.kubernetes.namespace"


def prepare_executors(gang: GangRequest, folder: Path) -> Mapping[str, str]:
    """Have the cluster know what executors of this gang are to know.

    Args:
        gang: The executors.
        folder: Where the template is kept, for Spark to read.

    Returns:
        What Spark is configured by.

    Raises:
        Invalid: This process runs in no pod, or the gang cannot be on a cluster.
        Failed: It may not.
        Unreachable: The API server did not answer.
    """
    refuse_outside("spark")
    with Cluster() as cluster:
        here = driver_pod(cluster)
        refuse_gang(gang, here.place)
        cluster.apply(gang_secret(gang, here.owner))
        cluster.apply(gang_policy(gang, here.owner, callers=here.labels))
        namespace = cluster.namespace
    template = folder / f"executor-{gang.key}.yaml"
    template.write_text(yaml.safe_dump(executor_pod(gang, here)), encoding="utf-8")
    return {_NAMESPACE: namespace, **executor_conf(here, template)}


def executor_pod(gang: GangRequest, here: DriverPod) -> Mapping[str, Any]:
    """The template of an executor's pod."""
    by_spark = MadePods(container=CONTAINER, number=_NUMBER)
    made = rank_template(gang, here.place, here.owner, maker=by_spark).to_dict()
    (container,) = made["spec"]["containers"]
    container["command"] = [*_PROGRAM]
    del container["args"], container["resources"]  # are Spark's to say
    return {"apiVersion": "v1", "kind": "Pod", **made}


def executor_conf(here: DriverPod, template: Path) -> Mapping[str, str]:
    """What Spark is configured by.

    Args:
        here: The driver's pod.
        template: The file of the executors' pods.
    """
    # Executors get the address that the driver binds to (Spark 4.3): it must be that of its pod.
    listening = ("spark.driver.host", "spark.driver.bindAddress")
    return {
        **dict.fromkeys(listening, here.host),
        "spark.kubernetes.driver.pod.name": here.owner.name,
        "spark.kubernetes.container.image": here.place.image,
        "spark.kubernetes.container.image.pullPolicy": here.place.pull_policy,
        "spark.kubernetes.executor.podTemplateFile": str(template),
        "spark.kubernetes.executor.podTemplateContainerName": CONTAINER,
    }
