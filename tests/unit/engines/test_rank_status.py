"""How ranks are, told from pods and from what makes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod

from fairlead.engines.kubernetes import INDEX, IndexedJobs
from fairlead.engines.rank_status import Making, rank_statuses, with_vanished
from fairlead.engines.tfjob import TFJob, TFJobs
from fairlead.engines.trainjob import TrainJob, TrainJobs

NOW = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC)
FIRST, LATER = "2026-11-30T12:00:00Z", "2026-11-30T12:00:10Z"
MAKING = Making(ranks=2)


def pod(rank: int, phase: str, *, at: str = FIRST, **container: Any) -> Pod:
    status = {"name": "rank", "image": "i", "imageID": "", "ready": True, "restartCount": 0}
    resources = {"limits": {"memory": "2G"}}
    return Pod.from_dict(
        {
            "metadata": {
                "name": f"g-{rank}-{at[-3:-1]}",
                "namespace": "here",
                "labels": {INDEX: str(rank)},
                "creationTimestamp": at,
            },
            "spec": {"containers": [{"name": "rank", "image": "i", "resources": resources}]},
            "status": {"phase": phase, "containerStatuses": [{**status, **container}]},
        }
    )


def told(pods: list[Pod], making: Making = MAKING) -> list[tuple[int, str, str]]:
    found = rank_statuses(pods, making, label=INDEX, now=NOW)
    return [(one.rank, one.state, one.why) for one in found]


def ended(code: int, reason: str = "Error") -> dict[str, Any]:
    times = {"startedAt": FIRST, "finishedAt": LATER}
    return {"terminated": {"exitCode": code, "reason": reason, **times}}


def test_a_rank_is_its_newest_pod() -> None:
    lost = pod(0, "Failed", state=ended(137, "OOMKilled"))
    running = pod(0, "Running", at=LATER, state={"running": {"startedAt": LATER}})
    other = pod(1, "Running", state={"running": {"startedAt": FIRST}})
    assert told([running, lost, other]) == [(0, "running", ""), (1, "running", "")]
    assert told([lost, other])[0] == (
        0,
        "ended",
        "OOMKilled: it took more memory than its limit of 2 GB",
    )


def test_a_rank_whose_process_its_node_starts_again_has_ended_meanwhile() -> None:
    waits = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    crashed = pod(0, "Running", state=waits, lastState=ended(137, "OOMKilled"))
    (first, _) = rank_statuses([crashed], MAKING, label=INDEX, now=NOW)
    assert (first.state, first.seconds) == ("ended", 10.0)
    assert first.why == "OOMKilled: it took more memory than its limit of 2 GB"


def test_a_rank_without_a_pod_starts_as_long_as_something_makes_one() -> None:
    one = pod(0, "Pending")
    assert told([one]) == [(0, "starting", ""), (1, "starting", "")]
    waiting = Making(ranks=2, waits="its Job makes no pod: exceeded quota")
    assert told([one], waiting)[1] == (1, "starting", "its Job makes no pod: exceeded quota")
    deleted = Making(ranks=3, over="the TFJob 'g' was deleted")
    killed, failed = pod(1, "Failed", state=ended(143)), pod(2, "Failed", state=ended(1))
    assert told([killed, failed], deleted) == [
        (0, "ended", "the TFJob 'g' was deleted"),
        (1, "ended", "the TFJob 'g' was deleted"),
        (2, "ended", "status 1"),
    ]


def test_a_rank_whose_pod_has_vanished_has_ended_until_it_has_another() -> None:
    ran = rank_statuses([pod(0, "Running")], Making(ranks=1), label=INDEX, now=NOW)
    none = rank_statuses([], Making(ranks=1), label=INDEX, now=NOW)
    (gone,) = with_vanished(none, {0: ran[0]})
    assert (gone.state, gone.why, gone.killed) == ("ended", "its pod was deleted", True)
    assert with_vanished(none, {0: gone}) == [gone]
    assert with_vanished(none, {}) == none
    another = rank_statuses([pod(0, "Pending")], Making(ranks=1), label=INDEX, now=NOW)
    assert with_vanished(another, {0: gone}) == another


def test_a_pod_of_somebody_else_is_no_rank() -> None:
    other = pod(0, "Running")
    assert other.metadata is not None
    other.metadata.labels = {}
    assert told([other], Making(ranks=0)) == []


@pytest.mark.parametrize(
    ("condition", "over"),
    [
        ({}, ""),
        ({"type": "Failed", "status": "False"}, ""),
        ({"type": "Failed", "status": "True", "reason": "Late"}, "its Job is over: Late"),
        ({"type": "Complete", "status": "True"}, "its Job is over: Complete"),
    ],
)
def test_a_job_that_is_over_makes_no_pods(condition: dict[str, str], over: str) -> None:
    found = Job.from_dict(
        {
            "metadata": {"name": "g"},
            "spec": {"completions": 3, "template": {"spec": {"containers": []}}},
            "status": {"conditions": [condition] if condition else []},
        }
    )
    assert IndexedJobs().making(found) == Making(ranks=3, over=over)


def test_a_job_that_is_suspended_makes_none_yet() -> None:
    spec = {"completions": 1, "suspend": True, "template": {"spec": {"containers": []}}}
    found = Job.from_dict({"metadata": {"name": "g"}, "spec": spec})
    assert IndexedJobs().making(found).waits == "its Job is suspended"


def test_a_tfjob_that_failed_says_why() -> None:
    spec = {"tfReplicaSpecs": {"Worker": {"replicas": 2}}}
    found = TFJob.from_dict({"metadata": {"name": "g"}, "spec": spec})
    assert TFJobs().making(found) == Making(ranks=2)
    failed = {"type": "Failed", "status": "True", "message": "it has reached the backoff limit"}
    found = TFJob.from_dict(
        {"metadata": {"name": "g"}, "spec": spec, "status": {"conditions": [failed]}}
    )
    assert TFJobs().making(found).over == "its TFJob is over: it has reached the backoff limit"


def test_a_trainjob_that_is_over_or_suspended_says_so() -> None:
    def making(kind: str) -> Making:
        condition = {"type": kind, "status": "True", "message": "said"}
        spec = {"trainer": {"numNodes": 2}}
        status = {"conditions": [condition] if kind else []}
        found = TrainJob.from_dict({"metadata": {"name": "g"}, "spec": spec, "status": status})
        return TrainJobs().making(found)

    assert making("") == Making(ranks=2)
    assert making("Complete").over == making("Failed").over == "its TrainJob is over: said"
    assert making("Suspended").waits == "its TrainJob is suspended"
