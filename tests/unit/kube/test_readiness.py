"""Why a part of an installation is not ready, from what the API server says of it."""

from __future__ import annotations

from typing import Any

import pytest
from lightkube.resources.apps_v1 import Deployment, ReplicaSet
from lightkube.resources.core_v1 import Event, Pod

from fairlead.kube.install.readiness import Surroundings, readiness

LABELS = {"app.kubernetes.io/component": "server"}


def deployment(**status: Any) -> Deployment:
    return Deployment.from_dict(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "fairlead-server",
                "generation": 2,
                "uid": "u",
                "annotations": {"deployment.kubernetes.io/revision": "2"},
            },
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": LABELS},
                "template": {"metadata": {"labels": LABELS}, "spec": {"containers": []}},
            },
            "status": status,
        }
    )


def pod(status: dict[str, Any], **metadata: Any) -> Pod:
    return Pod.from_dict(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "labels": LABELS, **metadata},
            "status": status,
        }
    )


def container(**state: Any) -> dict[str, Any]:
    status = {"name": "server", "ready": False, "image": "i:1", "imageID": "", "restartCount": 0}
    return {"phase": "Pending", "containerStatuses": [{**status, **state}]}


NOTHING = Surroundings()
WAITING = deployment(observedGeneration=2, replicas=1, updatedReplicas=1)


def why(
    *pods: Pod,
    events: tuple[Event, ...] = (),
    replica_sets: tuple[ReplicaSet, ...] = (),
    of: Deployment = WAITING,
) -> tuple[str, bool]:
    found = readiness(of, Surroundings(pods=pods, events=events, replica_sets=replica_sets))
    assert not found.ready
    assert "\n" not in found.why
    return found.why, found.hopeless


def test_it_is_ready_once_all_pods_are_of_what_was_applied_last() -> None:
    there = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    assert readiness(deployment(observedGeneration=2, **there), NOTHING).ready
    assert not readiness(deployment(observedGeneration=1, **there), NOTHING).ready
    assert not readiness(deployment(observedGeneration=2, **there | {"replicas": 2}), NOTHING).ready


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_an_image_that_cannot_be_pulled_is_said_at_once(reason: str) -> None:
    state = {"waiting": {"reason": reason, "message": "no such\nhost"}}
    assert why(pod(container(state=state))) == (
        "the image 'i:1' cannot be pulled: no such host",
        True,
    )


def test_a_container_that_may_not_start_says_why() -> None:
    state = {"waiting": {"reason": "CreateContainerConfigError", "message": "runs as root"}}
    assert why(pod(container(state=state))) == ("CreateContainerConfigError: runs as root", True)


def test_a_node_that_had_no_time_to_read_a_secret_is_waited_for() -> None:
    said = "failed to sync secret cache: timed out waiting for the condition"
    state = {"waiting": {"reason": "CreateContainerConfigError", "message": said}}
    found = why(pod(container(state=state)))
    assert found == (f"CreateContainerConfigError: {said}", False)


def test_a_program_that_ends_has_the_last_line_that_it_said() -> None:
    crashed = {
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        "lastState": {"terminated": {"exitCode": 2, "message": "starting\nledger: no such host\n"}},
    }
    text = "it ended with status 2: ledger: no such host"
    assert why(pod(container(restartCount=1, **crashed))) == (text, False)
    assert why(pod(container(restartCount=4, **crashed))) == (text, True)


def test_a_pod_without_a_node_says_what_the_scheduler_said() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "Insufficient cpu"}
    found = why(pod({"phase": "Pending", "conditions": [condition]}))
    assert found == ("no node for it: Insufficient cpu", False)


def test_the_newest_pod_counts() -> None:
    old = pod(
        container(state={"waiting": {"reason": "ErrImagePull"}}),
        creationTimestamp="2026-01-01T00:00:00Z",
    )
    new = pod({"phase": "Running"}, creationTimestamp="2026-01-02T00:00:00Z")
    assert why(new, old) == ("starting", False)


def test_pods_of_what_was_applied_earlier_do_not_count() -> None:
    def replica_set(number: str) -> ReplicaSet:
        return ReplicaSet.from_dict(
            {
                "spec": {"selector": {"matchLabels": LABELS}},
                "metadata": {
                    "name": f"r{number}",
                    "labels": {"pod-template-hash": f"h{number}"},
                    "annotations": {"deployment.kubernetes.io/revision": number},
                    "ownerReferences": [
                        {"apiVersion": "", "kind": "", "name": "", "uid": "u", "controller": True}
                    ],
                },
            }
        )

    state = {"waiting": {"reason": "ErrImagePull"}}
    old = pod(container(state=state), labels={**LABELS, "pod-template-hash": "h1"})
    sets = (replica_set("1"), replica_set("2"))
    assert why(old, replica_sets=sets) == ("no pod yet", False)
    new = pod({"phase": "Running"}, labels={**LABELS, "pod-template-hash": "h2"})
    assert why(old, new, replica_sets=sets) == ("starting", False)
    assert why(old, of=deployment(observedGeneration=1)) == (
        "its controller has not seen it yet",
        False,
    )


def test_pods_of_others_do_not_count() -> None:
    state = {"waiting": {"reason": "ErrImagePull"}}
    other = pod(container(state=state), labels={"app": "other"})
    assert why(other) == ("no pod yet", False)


def test_pods_that_are_not_made_are_said_by_the_controller() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q"}
    assert why(of=deployment(observedGeneration=2, conditions=[condition])) == (
        "exceeded quota: q",
        True,
    )
    event = Event.from_dict(
        {
            "metadata": {"name": "e"},
            "involvedObject": {"uid": "u"},
            "reason": "FailedCreate",
            "message": "exceeded quota: r",
        }
    )
    assert why(events=(event,)) == ("exceeded quota: r", True)
