"""Fits of Studies that pods share have the bits of one process, whatever ends on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod, Secret, Service
from lightkube.resources.networking_v1 import NetworkPolicy
from tests.support import softmax
from tests.support.followed import following
from tests.support.installation import LONG, SMALL, Installed, installation, on_this_machine
from tests.support.waiting import wait_until

from fairlead.kube.client import Cluster

RANKS = {"app.kubernetes.io/component": "rank"}


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with installation("postgresql", "training") as made:
        yield made


def study(engine: str, *, seed: int, workers: int = 1, **params: Any) -> dict[str, Any]:
    """Two trials of a softmax regression; of another seed it is another study."""
    space = {
        "family": "./softmax.py:Softmax",
        "params": {"learning_rate": [0.001, 0.002], **params},
    }
    resources = {"cpu": 0.05, "memory": "400MiB"}
    return {
        "data": {"source": "digits", "seed": seed},
        "search": {"method": "grid", "folds": 2, "over": [space]},
        "train": {"workers": 2, "engine": engine, "microbatches": 6, "resources": resources},
        "promote": {"when": "never"},
        "files": {"softmax.py": Path(softmax.__file__).read_text()},
        **SMALL,
        "workers": {"max": workers},
    }


def ranks(cluster: Cluster, phase: str = "Running") -> list[str]:
    """The pods of ranks that run."""
    pods = cluster.list(Pod, labels=RANKS)
    return [
        str(one.metadata.name)
        for one in pods
        if one.metadata and one.status and one.status.phase == phase
    ]


def test_a_study_whose_fits_pods_share_is_that_of_one_machine_and_leaves_nothing(
    installed: Installed, tmp_path: Path
) -> None:
    installed.apply("shared", study("kubernetes", seed=1))
    wait_until(lambda: len(ranks(installed.cluster)) == 2, seconds=LONG, every=0.2)
    assert_ended(installed, "shared")
    here = on_this_machine(tmp_path, "shared", study("local", seed=1))
    assert installed.trials("shared") == here
    wait_until(lambda: not left(installed.cluster), seconds=LONG, every=0.5)


def test_a_rank_and_the_job_that_are_deleted_meanwhile_cost_no_bits_and_who_watches_sees_the_fits(
    installed: Installed, tmp_path: Path
) -> None:
    slow = {"pause": 0.05}
    installed.apply("deleted", study("kubernetes", seed=2, **slow))
    cluster = installed.cluster
    words = ("watch", "deleted", "--json", "--on", "kubernetes", "--namespace", installed.namespace)
    here = study("local", seed=2, **slow)
    with following(installed, tmp_path, "deleted", here, words) as run:
        wait_until(lambda: len(ranks(cluster)) == 2, seconds=LONG, every=0.2)
        cluster.delete(Pod, ranks(cluster)[0], grace=1)
        wait_until(lambda: len(ranks(cluster)) == 1, seconds=LONG, every=0.1)
        wait_until(lambda: len(ranks(cluster)) == 2, seconds=LONG, every=0.2)
        (job,) = cluster.list(Job, labels=RANKS)
        assert job.metadata is not None
        cluster.delete(Job, str(job.metadata.name))
        assert_ended(installed, "deleted")
        assert installed.trials("deleted") == run.here.result()
        events = [json.loads(line) for line in run.said.splitlines() if line.startswith('{"event"')]
        fits = [event for event in events if event["event"] == "fitting"]
        assert {fit["ranks"] for fit in fits} >= {1, 2}, run.said
        assert all(0 < fit["step"] <= fit["steps"] and fit["loss"] > 0 for fit in fits), run.said


@pytest.mark.long
def test_the_ranks_of_a_worker_that_is_deleted_go_and_another_worker_begins_others(
    installed: Installed, tmp_path: Path
) -> None:
    slow = {"pause": 0.05}
    installed.apply("moved", study("kubernetes", seed=3, **slow))
    cluster = installed.cluster
    wait_until(lambda: len(ranks(cluster)) == 2, seconds=LONG, every=0.2)
    before = {*ranks(cluster)}
    (worker,) = installed.workers()
    assert worker.metadata is not None
    cluster.delete(Pod, str(worker.metadata.name), grace=1)
    wait_until(lambda: not before.intersection(ranks(cluster)), seconds=LONG, every=0.2)
    assert_ended(installed, "moved")
    assert installed.trials("moved") == on_this_machine(
        tmp_path, "moved", study("local", seed=3, **slow)
    )
    wait_until(lambda: not left(cluster), seconds=LONG, every=0.5)


@pytest.mark.long
def test_a_worker_that_leaves_ends_its_ranks_while_the_study_goes_on(installed: Installed) -> None:
    """Of two workers, one has the trial whose parts take longer."""
    one = {"learning_rate": 0.001, "pause": [0.2, 0.7]}
    installed.apply("left", study("kubernetes", seed=4, workers=2, **one))
    cluster = installed.cluster
    wait_until(lambda: len(ranks(cluster)) == 4, seconds=LONG, every=0.2)
    wait_until(lambda: installed.done("left") == 1, seconds=LONG, every=0.2)
    wait_until(lambda: len(ranks(cluster)) == 2, seconds=LONG, every=0.2)
    assert installed.phase("left") == "Searching"
    installed.remove("left")
    wait_until(lambda: not left(cluster), seconds=LONG, every=0.5)


def assert_ended(installed: Installed, name: str) -> None:
    status: Mapping[str, Any] = installed.ended(name)
    assert (status["phase"], status["trials"]) == ("Finished", "2/2"), status


def left(cluster: Cluster) -> list[Any]:
    """What there is of gangs."""
    kinds: tuple[type[Any], ...] = (Job, Service, NetworkPolicy, Secret, Pod)
    return [one for kind in kinds for one in cluster.list(kind, labels=RANKS)]
