"""What befalls a cluster while a Study runs: each trial counts once, with the score of one machine.

One installation serves all of it, with both servers. What is wrong stands in the Study's status and
in what `fairlead run --on kubernetes` prints, and the Study goes on by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lightkube.models.core_v1 import ResourceQuotaSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment, StatefulSet
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import ConfigMap, Node, Pod, PodEviction, ResourceQuota
from lightkube.resources.rbac_authorization_v1 import Role
from tests.support import cluster as clusters
from tests.support import own_cluster
from tests.support.cluster_objects import in_namespace, naming
from tests.support.installation import (
    LONG,
    Installed,
    installation,
    on_this_machine,
    slow,
    written,
)
from tests.support.waiting import wait_until

from fairlead.kube.client import Cluster
from fairlead.kube.install.rights import OPERATOR
from fairlead.kube.kinds import STUDIES
from fairlead.operator.study_object import StudyObject
from fairlead.operator.submission import submission_name

pytestmark = pytest.mark.disrupts

SUBMISSION = {"app.kubernetes.io/component": "submission"}
WORKER = {"app.kubernetes.io/component": "worker"}


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with installation("postgresql", "rabbitmq") as made:
        yield made


@dataclass(frozen=True, kw_only=True)
class Run:
    """A Study that `fairlead run --on kubernetes` has applied and follows."""

    name: str
    spec: dict[str, Any]
    folder: Path
    installed: Installed
    process: subprocess.Popen[bytes]
    here: Future[list[list[Any]]]

    @property
    def said(self) -> str:
        """What the command has printed for people so far."""
        return (self.folder / "said").read_text()

    def has_done(self, trials: int) -> None:
        wait_until(lambda: self.installed.done(self.name) >= trials, seconds=LONG, every=0.2)

    def tells(self, *texts: str) -> None:
        """Wait until both the status and the command say it, each in a line."""

        def told() -> bool:
            message = self.installed.message(self.name)
            return all(text in message for text in texts) and any(
                all(text in line for text in texts) for line in self.said.splitlines()
            )

        wait_until(told, seconds=60.0, every=0.1)
        assert "\n" not in self.installed.message(self.name)

    def ends_as_on_one_machine(self) -> None:
        status = self.installed.ended(self.name)
        assert self.process.wait(60) == 0, self.said
        size = self.spec["search"]["trials"]
        assert (status["phase"], status["trials"]) == ("Finished", f"{size}/{size}")
        assert self.installed.trials(status["study"]) == self.here.result()


@contextmanager
def running(installed: Installed, folder: Path, name: str, spec: dict[str, Any]) -> Iterator[Run]:
    path = written(folder, name, spec)
    words = ["run", str(path), "--on", "kubernetes", "--namespace", installed.namespace]
    words += ["--workers", str(spec["workers"]["max"])]
    words += [word for key, value in spec["resources"].items() for word in (f"--{key}", value)]
    with following(installed, folder, name, spec, words) as run:
        wait_until(lambda: "is applied" in run.said or run.process.poll() is not None)
        assert "is applied" in run.said
        yield run


@contextmanager
def following(
    installed: Installed, folder: Path, name: str, spec: dict[str, Any], words: Sequence[str]
) -> Iterator[Run]:
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "fairlead", *words],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    elsewhere = folder / "here"
    elsewhere.mkdir()
    with ThreadPoolExecutor(1) as pool:
        here = pool.submit(on_this_machine, elsewhere, name, spec)
        try:
            yield Run(
                name=name,
                spec=spec,
                folder=folder,
                installed=installed,
                process=process,
                here=here,
            )
        finally:
            process.kill()
            process.wait()
            installed.remove(name)


# ---- the cluster ------------------------------------------------------------------------------


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


# ---- the stores -------------------------------------------------------------------------------


@pytest.mark.parametrize(("server", "seed"), [("rabbitmq", 13), ("postgresql", 14)])
def test_a_server_whose_pod_is_deleted_has_lost_nothing(
    installed: Installed, tmp_path: Path, server: str, seed: int
) -> None:
    with running(installed, tmp_path, server, slow(30, seed=seed)) as run:
        run.has_done(4)
        installed.cluster.delete(Pod, f"{server}-0", grace=0)
        wait_until(lambda: not has_server(installed, server), seconds=LONG, every=0.05)
        wait_until(lambda: has_server(installed, server), seconds=LONG, every=0.2)
        run.ends_as_on_one_machine()


def has_server(installed: Installed, name: str) -> bool:
    status = installed.cluster.get(StatefulSet, name).status
    return bool(status and status.readyReplicas)


# ---- what is there twice, or not --------------------------------------------------------------


def test_of_two_operators_each_thing_is_done_once(installed: Installed, tmp_path: Path) -> None:
    """Also where one of them ends, which may be the one that has decided so far."""
    installed.cluster.merge(Deployment, OPERATOR, {"spec": {"replicas": 2}})
    try:
        wait_until(lambda: operators(installed) == 2, seconds=LONG, every=0.2)
        with running(installed, tmp_path, "two", slow(24, seed=15)) as run:
            submitted = set()

            def has_begun() -> bool:
                jobs = installed.cluster.list(Job, labels=SUBMISSION)
                submitted.update(str(one.metadata.uid) for one in jobs if one.metadata)
                return installed.done("two") >= 4

            wait_until(has_begun, seconds=LONG, every=0.1)
            assert len(submitted) == 1
            installed.cluster.merge(Deployment, OPERATOR, {"spec": {"replicas": 1}})
            assert {job.rpartition("-")[2] for job in jobs_of_workers(installed)} == {"1", "2"}
            run.ends_as_on_one_machine()
        runs = [one["run"]["id"] for one in installed.fairlead("runs") if one["study"] == "two"]
        assert len(runs) == 1
        decided = installed.fairlead("fleet", "--decisions")
        started = [one["start"] for one in decided if one["autoscaler"].startswith("two-")]
        assert sum(started) == 2
    finally:
        installed.cluster.merge(Deployment, OPERATOR, {"spec": {"replicas": 1}})
        wait_until(lambda: operators(installed) == 1, seconds=LONG, every=0.2)


def operators(installed: Installed) -> int:
    status = installed.cluster.get(Deployment, OPERATOR).status
    return (status and status.readyReplicas) or 0


def jobs_of_workers(installed: Installed) -> list[str]:
    return [name_of(one) for one in installed.cluster.list(Job, labels=WORKER)]


def test_a_job_that_is_there_and_is_somebody_elses_is_said_and_waited_for(
    installed: Installed, tmp_path: Path
) -> None:
    spec = slow(4, seed=16)
    name = submitted_by("taken", spec)
    container = {"name": "other", "image": "localhost/other:1"}
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    other = {"metadata": {"name": name}, "spec": {"suspend": True, "template": template}}
    installed.cluster.create(Job.from_dict(other))
    installed.apply("taken", spec)
    words = ("watch", "taken", "--on", "kubernetes", "--namespace", installed.namespace)
    with following(installed, tmp_path, "taken", spec, words) as run:
        run.tells(f"the Job {name!r}", "is there and not of Fairlead")
        installed.cluster.delete(Job, name)
        run.ends_as_on_one_machine()


def submitted_by(name: str, spec: dict[str, Any]) -> str:
    """The name of the Job that submits this Study."""
    own = {"name": name, "namespace": "any", "uid": "any"}
    return submission_name(StudyObject.read({"metadata": own, "spec": spec}))


def test_a_right_that_is_taken_away_is_said_and_waited_for(
    installed: Installed, tmp_path: Path
) -> None:
    role = installed.cluster.get(Role, OPERATOR)
    rules = [one.to_dict() for one in role.rules or ()]

    def without(resource: str) -> None:
        kept = [one for one in rules if resource not in one["resources"]]
        installed.cluster.merge(Role, OPERATOR, {"rules": kept})

    with running(installed, tmp_path, "forbidden", slow(30, seed=17)) as run:
        try:
            run.has_done(2)
            without("jobs")
            run.tells("Kubernetes: list jobs", "forbidden", "trying again")
            before = {name_of(one) for one in installed.workers()}
            run.has_done(installed.done("forbidden") + 4)
            assert {name_of(one) for one in installed.workers()} == before
            without("studies/status")
            wait_until(lambda: "list jobs" in installed.message("forbidden"), every=0.1)
        finally:
            installed.cluster.merge(Role, OPERATOR, {"rules": rules})
        run.ends_as_on_one_machine()


# ---- pods -------------------------------------------------------------------------------------


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


def test_a_pod_that_never_fits_is_said_and_goes_on_once_less_is_asked_for(
    installed: Installed, tmp_path: Path
) -> None:
    spec = {**slow(4, seed=19), "resources": {"cpu": "500", "memory": "400Mi"}}
    with running(installed, tmp_path, "huge", spec) as run:
        run.tells("no node takes a pod with 500 CPUs", "Insufficient cpu")
        less = {"spec": {"resources": {"cpu": "50m"}}}
        installed.cluster.merge(STUDIES.resource, "huge", less)
        run.ends_as_on_one_machine()


def test_a_quota_that_is_used_up_is_said_and_waited_for(
    installed: Installed, tmp_path: Path
) -> None:
    quota = ResourceQuota(metadata=ObjectMeta(name="few"), spec=ResourceQuotaSpec(hard=pods(0)))
    installed.cluster.create(quota)
    try:
        wait_until(lambda: used(installed) > 0, every=0.1)
        own = used(installed)
        with running(installed, tmp_path, "few", slow(12, seed=20)) as run:
            run.tells("its Job makes no pod", "exceeded quota: few")
            installed.cluster.merge(ResourceQuota, "few", {"spec": {"hard": pods(own + 1)}})
            wait_until(lambda: installed.phase("few") == "Searching", seconds=LONG, every=0.2)
            run.tells("1 worker waits to start", "exceeded quota: few")
            run.ends_as_on_one_machine()
    finally:
        installed.cluster.delete(ResourceQuota, "few")


def pods(count: int) -> dict[str, str]:
    return {"pods": str(count)}


def used(installed: Installed) -> int:
    status = installed.cluster.get(ResourceQuota, "few").status
    return int(((status and status.used) or {}).get("pods", 0))


def test_an_image_that_is_missing_is_said(installed: Installed, tmp_path: Path) -> None:
    good = image(installed)
    give_image(installed, "localhost/no-such-image:1")
    try:
        with running(installed, tmp_path, "no-image", slow(4, seed=21)) as run:
            run.tells("the image 'localhost/no-such-image:1' cannot be pulled: ")
            give_image(installed, good)
            run.ends_as_on_one_machine()
    finally:
        give_image(installed, good)


def name_of(one: Any) -> str:
    return str(one.metadata.name)


def image(installed: Installed) -> str:
    """That of which the operator makes pods."""
    found = installed.cluster.get(Deployment, OPERATOR)
    container = found.spec.template.spec.containers[0]  # type: ignore[union-attr]
    (value,) = [one.value for one in container.env or () if one.name == "FAIRLEAD_IMAGE"]
    return str(value)


def give_image(installed: Installed, name: str) -> None:
    """Have the operator make pods of this image."""
    variable = f"FAIRLEAD_IMAGE={name}"
    installed.kubectl("set", "env", f"deployment/{OPERATOR}", variable)
    installed.kubectl("rollout", "status", f"deployment/{OPERATOR}", "--timeout=110s")


# ---- the end ----------------------------------------------------------------------------------


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
