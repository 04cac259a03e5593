"""What befalls a cluster while a Study runs: each trial counts once, with the score of one machine.

Parts of the cluster stop meanwhile: nothing else may run on it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Node, Pod, PodEviction
from tests.support import cluster as clusters
from tests.support import own_cluster
from tests.support.cluster_objects import in_namespace, naming
from tests.support.followed import running
from tests.support.installation import LONG, Installed, installation, slow
from tests.support.waiting import wait_until

from fairlead.kube.client import Cluster

pytestmark = pytest.mark.disrupts


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with installation("postgresql", "rabbitmq") as made:
        yield made


def test_a_node_that_is_silent_for_a_minute_costs_no_trial(
    installed: Installed, tmp_path: Path
) -> None:
    """Its kubelet stops, and a worker on it dies, which nobody can see but by its lease."""
    own_cluster.owned()
    spec = slow(50, seed=11, seconds=1.0)
    with running(installed, tmp_path, "node-lost", spec) as run:
        run.has_done(2)
        wait_until(lambda: installed.status("node-lost")["workers"] == 2, seconds=LONG, every=0.2)
        victim = name_of(installed.workers()[0])
        with own_cluster.stopped("kubelet"):
            own_cluster.kill_in_containers(victim)
            run.has_done(installed.done("node-lost") + 10)  # more than the two had in hand
            assert victim in {name_of(one) for one in installed.workers()}
            wait_until(lambda: not is_ready(installed), seconds=LONG, every=0.5)
        run.ends_as_on_one_machine()


def is_ready(installed: Installed) -> bool:
    (node,) = installed.cluster.list(Node)
    assert node.status is not None
    return any(one.type == "Ready" and one.status == "True" for one in node.status.conditions or ())


def test_an_api_server_that_is_started_again_ends_nothing(
    installed: Installed, tmp_path: Path
) -> None:
    own_cluster.owned()
    spec = slow(30, seed=12)
    with running(installed, tmp_path, "api-away", spec) as run:
        run.has_done(2)
        with own_cluster.stopped("kube-apiserver"):
            wait_until(lambda: "the API server" in run.said, seconds=LONG, every=0.1)
            assert "is away" in run.said
        run.ends_as_on_one_machine()
    assert restarts(installed) == {"operator": 0, "server": 0}


def restarts(installed: Installed) -> dict[str, int]:
    """Of the containers of Fairlead's own programs."""
    found = {}
    for component in ("operator", "server"):
        (pod,) = installed.cluster.list(Pod, labels={"app.kubernetes.io/component": component})
        assert pod.status is not None
        (container,) = pod.status.containerStatuses or ()
        found[component] = container.restartCount
    return found


def test_a_drain_of_the_node_costs_no_trial(installed: Installed, tmp_path: Path) -> None:
    with running(installed, tmp_path, "drained", slow(24, seed=18)) as run:
        run.has_done(2)
        (node,) = [name_of(one) for one in installed.cluster.list(Node)]
        drained = {name_of(one) for one in installed.workers()}
        installed.kubectl("cordon", node)
        try:
            for pod in drained:
                evict(installed, pod)
            run.tells("no node takes a pod", "unschedulable")
        finally:
            installed.kubectl("uncordon", node)
        run.ends_as_on_one_machine()


def evict(installed: Installed, name: str) -> None:
    installed.cluster._client.create(PodEviction(metadata=ObjectMeta(name=name)), name)


def test_after_all_of_it_nothing_is_left(installed: Installed) -> None:
    """Of a cluster that others use, whose objects stay as they are."""
    with clusters.namespace() as other, Cluster(namespace=other) as neighbours:
        neighbours.create(ConfigMap(metadata=ObjectMeta(name="theirs"), data={"a": "b"}))
        installed.apply("left", slow(500, seed=22))
        wait_until(lambda: installed.done("left") >= 1, seconds=LONG, every=0.2)
        theirs = in_namespace(neighbours, other)
        words = ("uninstall", "--namespace", installed.namespace, "--purge")
        done = subprocess.run(
            [sys.executable, "-m", "fairlead", *words],
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert in_namespace(neighbours, other) == theirs
        every = ["configmaps./api/v1/kube-root-ca.crt", "serviceaccounts./api/v1/default"]
        before = sorted(
            [*every, f"namespaces./api/v1/{installed.namespace}"]
        )  # it was there before
        wait_until(lambda: naming(neighbours, installed.namespace) == before, every=1.0)


def name_of(one: Any) -> str:
    return str(one.metadata.name)
