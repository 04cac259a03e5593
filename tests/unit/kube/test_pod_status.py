"""How pods are, told from objects of an API server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from lightkube.resources.core_v1 import Event, Pod

from fairlead.kube.pod_status import PodStatus, pod_status, refusals, waiting_reason

NOW = datetime(2026, 11, 29, 12, 0, 30, tzinfo=UTC)
STARTED, ENDED = "2026-11-29T12:00:00Z", "2026-11-29T12:00:10Z"


def pod(
    phase: str,
    *,
    name: str = "w-1-abcde",
    state: dict[str, Any] | None = None,
    conditions: tuple[dict[str, str], ...] = (),
    deleted: bool = False,
    memory: str = "2G",
    **status: str,
) -> Pod:
    metadata = {
        "name": name,
        "namespace": "here",
        "labels": {"batch.kubernetes.io/job-name": name.rpartition("-")[0]},
        **({"deletionTimestamp": STARTED} if deleted else {}),
    }
    resources = {"requests": {"cpu": "1k", "memory": memory}, "limits": {"memory": memory}}
    container = {"name": "worker", "image": "i", "imageID": "", "ready": True, "restartCount": 0}
    return Pod.from_dict(
        {
            "metadata": metadata,
            "spec": {"containers": [{"name": "worker", "image": "i:1", "resources": resources}]},
            "status": {
                "phase": phase,
                "conditions": [*conditions],
                "containerStatuses": [{**container, "state": state}] if state else None,
                **status,
            },
        }
    )


def terminated(code: int, **more: str) -> dict[str, Any]:
    ended = {"exitCode": code, "startedAt": STARTED, "finishedAt": ENDED, **more}
    return {"terminated": ended}


def status(one: Pod) -> PodStatus:
    return pod_status(one, now=NOW)


DISRUPTED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}


class TestAPod:
    def test_that_runs_has_run_since_its_container_started(self) -> None:
        one = status(pod("Running", state={"running": {"startedAt": STARTED}}))
        assert (one.name, one.state, one.seconds) == ("w-1-abcde", "running", 30.0)
        assert one.log == "pod here/w-1-abcde"

    def test_that_is_asked_to_end_still_runs(self) -> None:
        one = status(pod("Running", state={"running": {"startedAt": STARTED}}, deleted=True))
        assert one.state == "running"

    def test_whose_node_is_silent_is_stuck(self) -> None:
        assert status(pod("Unknown")).state == "stuck"

    def test_that_pends_starts_and_has_held_no_machine(self) -> None:
        one = status(pod("Pending"))
        assert (one.state, one.why, one.seconds) == ("starting", "", 0.0)

    def test_that_was_deleted_before_it_ran_has_ended(self) -> None:
        one = status(pod("Pending", deleted=True))
        assert (one.state, one.killed, one.seconds) == ("ended", True, 0.0)

    @pytest.mark.parametrize(
        ("ended", "why", "killed"),
        [
            (pod("Succeeded", state=terminated(0)), "status 0", False),
            (
                pod("Failed", state=terminated(2, message="one\n\nfairlead: nosuch://\n")),
                "status 2: fairlead: nosuch://",
                False,
            ),
            (pod("Failed", state=terminated(137, reason="Error")), "signal 9", True),
            (
                pod("Failed", state=terminated(137, reason="OOMKilled")),
                "OOMKilled: it took more memory than its limit of 2 GB",
                False,
            ),
            (
                pod("Failed", state=terminated(143), conditions=(DISRUPTED,)),
                "EvictionByEvictionAPI: Eviction API: evicting",
                True,
            ),
            (
                pod("Failed", reason="Evicted", message="The node was low on\nmemory."),
                "Evicted: The node was low on memory.",
                True,
            ),
            (pod("Failed", state=terminated(1), deleted=True), "its pod was deleted", True),
            (pod("Failed"), "it never ran", True),
        ],
        ids=["done", "failed", "killed", "memory", "evicted", "by node", "deleted", "never"],
    )
    def test_that_ended_says_why(self, ended: Pod, why: str, *, killed: bool) -> None:
        one = status(ended)
        assert (one.state, one.why, one.killed) == ("ended", why, killed)
        assert one.seconds in {0.0, 10.0}


class TestWaiting:
    def test_no_room_names_what_is_asked_for(self) -> None:
        message = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are ..."
        unscheduled = {"type": "PodScheduled", "status": "False", "message": message}
        said = "0/1 nodes are available: 1 Insufficient cpu."
        assert (
            waiting_reason(pod("Pending", conditions=(unscheduled,)))
            == f"no node takes a pod with 1000 CPUs and 2 GB of memory: {said}"
        )

    @pytest.mark.parametrize(
        ("reason", "message"),
        [
            ("ErrImagePull", "no such\nhost"),
            ("ImagePullBackOff", 'Back-off pulling image "i:1": ErrImagePull: no such host'),
        ],
    )
    def test_an_image_that_is_missing_is_said_alike_each_time(
        self, reason: str, message: str
    ) -> None:
        waiting = pod("Pending", state={"waiting": {"reason": reason, "message": message}})
        assert waiting_reason(waiting) == "the image 'i:1' cannot be pulled: no such host"

    def test_what_every_container_waits_for_is_no_reason(self) -> None:
        creating = {"waiting": {"reason": "ContainerCreating"}}
        assert waiting_reason(pod("Pending", state=creating)) == ""

    def test_a_container_that_cannot_be_made_says_why(self) -> None:
        waiting = {"reason": "CreateContainerConfigError", "message": 'secret "k" not found'}
        said = 'CreateContainerConfigError: secret "k" not found'
        assert waiting_reason(pod("Pending", state={"waiting": waiting})) == said


def test_the_newest_refusal_of_a_job_counts_and_none_of_another_that_had_its_name() -> None:
    def event(at: str, message: str, uid: str = "now") -> Event:
        return Event.from_dict(
            {
                "metadata": {"name": at},
                "involvedObject": {"kind": "Job", "name": "w-1", "uid": uid},
                "lastTimestamp": at,
                "message": message,
            }
        )

    later, first = event(ENDED, "exceeded\nquota"), event(STARTED, "no account")
    before = event(ENDED, "no memory", uid="before")
    assert refusals([later, first, before])["now"] == "exceeded quota"
