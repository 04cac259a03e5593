"""How workers are, told from objects of an API server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod

from fairlead.runners.kubernetes_status import statuses

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


def job(name: str = "w-1", *, over: str = "", deleted: bool = False, suspend: bool = False) -> Job:
    metadata = {"name": name, "uid": f"uid_of_{name}"}
    if deleted:
        metadata["deletionTimestamp"] = STARTED
    conditions = [{"type": over, "status": "True"}] if over else []
    template = {"spec": {"containers": [{"name": "worker"}]}}
    return Job.from_dict(
        {
            "metadata": metadata,
            "spec": {"template": template, "suspend": suspend},
            "status": {"conditions": conditions},
        }
    )


def told(jobs: list[Job], pods: list[Pod], **refusals: str) -> list[tuple[str, str, str]]:
    found = statuses(jobs, pods, refusals=refusals, now=NOW)
    return [(one.name, one.state, one.why) for one in found]


DISRUPTED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}


class TestAJobWithoutAPod:
    def test_is_a_worker_that_starts(self) -> None:
        assert told([job()], []) == [("w-1", "starting", "")]

    def test_tells_what_its_controller_is_refused(self) -> None:
        refused = told([job("w")], [], uid_of_w="exceeded quota")
        assert refused == [("w", "starting", "its Job makes no pod: exceeded quota")]

    def test_is_none_once_it_is_over_or_deleted(self) -> None:
        assert told([job(over="Failed"), job("w-2", deleted=True)], []) == []

    def test_is_none_while_its_pod_is_there(self) -> None:
        assert told([job()], [pod("Running")]) == [("w-1-abcde", "running", "")]
        assert [one for _, one, _ in told([job()], [pod("Failed")])] == ["ended"]

    def test_is_one_again_where_its_pod_was_evicted(self) -> None:
        evicted = pod("Failed", conditions=(DISRUPTED,))
        assert [one for _, one, _ in told([job()], [evicted])] == ["ended", "starting"]
        ran = pod("Running", name="w-1-fghij")
        assert [one for _, one, _ in told([job()], [evicted, ran])] == ["ended", "running"]

    def test_waits_for_whoever_suspended_it(self) -> None:
        assert told([job(suspend=True)], []) == [("w-1", "starting", "it is suspended")]
