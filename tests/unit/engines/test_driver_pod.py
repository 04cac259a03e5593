"""Ranks are as the driver's pod is, and go with it."""

from __future__ import annotations

import pytest
from lightkube.resources.core_v1 import Pod

from fairlead.engines.driver_pod import as_driver
from fairlead.engines.on_cluster import NAMES, engine_on_cluster
from fairlead.errors import Invalid
from fairlead.kube.place import PodPlace, Taint

POD = {
    "metadata": {"name": "w-1-abcde", "namespace": "here", "uid": "1234"},
    "spec": {
        "containers": [{"name": "worker", "image": "fairlead:1", "imagePullPolicy": "Never"}],
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"disk": "fast"},
        "priorityClassName": "low",
        "serviceAccountName": "fairlead-trainer",
        "tolerations": [
            {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300},
        ],
        "volumes": [
            {"name": "home", "emptyDir": {}},
            {"name": "artifacts", "persistentVolumeClaim": {"claimName": "fairlead-artifacts"}},
        ],
    },
    "status": {"podIP": "10.42.0.7"},
}


def test_ranks_have_the_image_the_nodes_and_the_volume_of_their_driver() -> None:
    found = as_driver(Pod.from_dict(POD))
    assert found.host == "10.42.0.7"
    assert found.place == PodPlace(
        image="fairlead:1",
        pull_policy="Never",
        pull_secrets=["registry"],
        service_account="fairlead-trainer",
        node_selector={"disk": "fast"},
        tolerations=[Taint(key="gpu", value="yes", effect="NoSchedule")],
        priority_class="low",
        claim="fairlead-artifacts",
    )


def test_what_is_owned_goes_with_the_pod() -> None:
    owner = as_driver(Pod.from_dict(POD)).owner
    assert (owner.kind, owner.name, owner.uid) == ("Pod", "w-1-abcde", "1234")
    assert not owner.blockOwnerDeletion


@pytest.mark.parametrize("name", NAMES)
def test_a_driver_that_is_in_no_pod_is_told_to_go_into_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("POD_NAME", "mine")
    with pytest.raises(Invalid, match="--on kubernetes") as refused:
        engine_on_cluster(name)
    assert refused.value.code == "driver_not_reachable"
