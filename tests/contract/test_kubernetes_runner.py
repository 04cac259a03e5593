"""Workers as pods of a Kubernetes cluster do what every runner's do, and outlive who asked."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube.models.core_v1 import ResourceQuotaSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.models.rbac_v1 import RoleRef, Subject
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import (
    Event,
    Pod,
    PodEviction,
    ResourceQuota,
    Secret,
    ServiceAccount,
)
from lightkube.resources.rbac_authorization_v1 import Role, RoleBinding

from fairlead.errors import Failed, Invalid, Unreachable
from fairlead.kube.client import Cluster
from fairlead.kube.place import KubernetesPlace
from fairlead.ledger.store import open_ledger
from fairlead.runners.kubernetes import KubernetesRunner
from fairlead.runners.runner import Runner, WorkerGroup, WorkerStatus
from tests.contract.runner_contract import DetachedRunnerContract
from tests.support import cluster as clusters
from tests.support.waiting import wait_until

_NUMBERS = count()


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with clusters.namespace() as name:
        yield name


@pytest.fixture(scope="module")
def place(namespace: str) -> KubernetesPlace:
    return clusters.place(namespace, image=clusters.image())


@pytest.fixture(scope="module")
def cluster(namespace: str) -> Iterator[Cluster]:
    with Cluster(namespace=namespace) as connected:
        yield connected


@pytest.fixture(scope="module")
def stores(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[clusters.Stores]:
    with clusters.server(tmp_path_factory.mktemp("stores")) as started:
        yield started


@pytest.fixture
def group(stores: clusters.Stores) -> WorkerGroup:
    return WorkerGroup(
        key=f"test-{next(_NUMBERS)}",
        study=None,
        ledger=stores.url,
        artifacts=stores.url,
        environ=stores.environ,
        cores=0.05,  # many fit, and each may take what is free
    )


@pytest.fixture
def runner(place: KubernetesPlace) -> Iterator[KubernetesRunner]:
    with KubernetesRunner(place) as made:
        yield made


@pytest.fixture
def other(place: KubernetesPlace) -> Iterator[KubernetesRunner]:
    """That of another process."""
    with KubernetesRunner(place) as made:
        yield made


@pytest.fixture
def removed(runner: KubernetesRunner, group: WorkerGroup) -> Iterator[None]:
    yield
    runner.remove(group.key)


def alive(runner: Runner, group: WorkerGroup) -> list[WorkerStatus]:
    return [one for one in runner.look(group.key) if one.alive]


def running(runner: Runner, group: WorkerGroup) -> str:
    """The one worker of the group, once it runs."""
    return str(
        wait_until(
            lambda: [one.name for one in runner.look(group.key) if one.state == "running"],
            every=0.2,
        )[0]
    )


def waiting(runner: Runner, group: WorkerGroup, *, seconds: float = 60.0) -> str:
    """Why the one worker of the group does not start."""
    why = wait_until(
        lambda: [one.why for one in alive(runner, group) if one.state == "starting" and one.why],
        seconds=seconds,
        every=0.2,
    )[0]
    assert "\n" not in why
    return str(why)


def ended(runner: Runner, group: WorkerGroup, name: str) -> WorkerStatus:
    found = wait_until(
        lambda: [
            one for one in runner.look(group.key) if one.name == name and one.state == "ended"
        ],
        every=0.2,
    )
    assert isinstance(found[0], WorkerStatus)
    return found[0]


def evict(cluster: Cluster, name: str) -> None:
    cluster._client.create(PodEviction(metadata=ObjectMeta(name=name)), name)


class TestKubernetesRunner(DetachedRunnerContract):
    def kill(self, runner: Runner, group: WorkerGroup, worker: str) -> None:
        """Its pod is deleted, at once."""
        assert isinstance(runner, KubernetesRunner)
        runner._cluster.delete(Pod, worker, grace=0)

    def test_nothing_is_left_of_a_group_that_was_removed(
        self, runner: KubernetesRunner, cluster: Cluster, group: WorkerGroup
    ) -> None:
        runner.ensure(group, 2)
        self.running(runner, group, 2)
        runner.remove(group.key)
        labels = {"fairlead.dev/group": group.key}
        for kind in (Job, Pod, Secret):
            assert cluster.list(kind, labels=labels) == []

    def test_no_secret_is_in_a_pod_a_job_or_an_event(
        self, runner: KubernetesRunner, cluster: Cluster, group: WorkerGroup
    ) -> None:
        runner.ensure(group, 1)
        name = running(runner, group)
        token = group.environ["FAIRLEAD_SERVER_TOKEN"]
        labels = {"fairlead.dev/group": group.key}
        seen = [*cluster.list(Job, labels=labels), *cluster.list(Pod, labels=labels)]
        assert len(seen) == 2
        written = json.dumps([one.to_dict() for one in (*seen, *cluster.list(Event))])
        assert token not in written
        assert token not in runner.logs(group.key, name)

    def test_two_that_add_at_once_start_no_more_than_are_asked_for(
        self, runner: KubernetesRunner, other: KubernetesRunner, group: WorkerGroup
    ) -> None:
        large = self.too_large(group)
        threads = [
            threading.Thread(target=one.ensure, args=(large, 8)) for one in (runner, other) * 2
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(alive(runner, large)) == len(alive(other, large)) == 8

    def test_a_worker_that_runs_is_stopped_gracefully_by_its_node(
        self, runner: KubernetesRunner, cluster: Cluster, group: WorkerGroup
    ) -> None:
        runner.ensure(group, 1)
        name = running(runner, group)
        wait_until(lambda: "waiting for tasks" in runner.logs(group.key, name))
        cluster.delete(Pod, name)
        before = time.monotonic()
        assert ended(runner, group, name).killed
        assert time.monotonic() - before < 8.0  # idle: it does not wait for its end


@pytest.mark.usefixtures("removed")
class TestWhatBefallsPods:
    def test_an_evicted_one_that_could_not_finish_is_replaced_by_its_job(
        self, runner: KubernetesRunner, cluster: Cluster, group: WorkerGroup
    ) -> None:
        """It waits for a ledger that takes the connection and says nothing."""
        with clusters.listening() as url:
            runner.ensure(replace(group, ledger=url), 1)
            name = running(runner, group)
            evict(cluster, name)
            assert ended(runner, group, name).killed
            assert running(runner, group) != name
            assert len(alive(runner, group)) == 1
            assert len(cluster.list(Job, labels={"fairlead.dev/group": group.key})) == 1

    def test_an_evicted_one_that_finished_is_asked_for_again(
        self, runner: KubernetesRunner, cluster: Cluster, group: WorkerGroup
    ) -> None:
        runner.ensure(group, 1)
        name = running(runner, group)
        wait_until(lambda: "waiting for tasks" in runner.logs(group.key, name), every=0.2)
        evict(cluster, name)
        dead = ended(runner, group, name)
        assert dead.killed
        assert "evict" in dead.why.lower()
        runner.ensure(group, 1)
        assert running(runner, group) != name
        assert len(alive(runner, group)) == 1

    def test_one_that_takes_more_memory_than_its_limit_says_so(
        self, runner: KubernetesRunner, group: WorkerGroup
    ) -> None:
        runner.ensure(replace(group, memory=30_000_000), 1)
        (dead,) = wait_until(
            lambda: [one for one in runner.look(group.key) if one.state == "ended"], every=0.2
        )
        assert dead.why == "OOMKilled: it took more memory than its limit of 30 MB"
        assert alive(runner, group) == []

    def test_one_offers_the_memory_of_its_limit(
        self, runner: KubernetesRunner, stores: clusters.Stores, group: WorkerGroup
    ) -> None:
        runner.ensure(replace(group, memory=600_000_000), 1)
        name = running(runner, group)
        with open_ledger(stores.home / "ledger.db") as ledger:
            offers = wait_until(
                lambda: [one.offer for one in ledger.workers.alive() if one.name == name]
            )
        assert 599_000_000 < offers[0].memory <= 600_000_000

    def test_a_claim_that_is_not_there_is_said(
        self, place: KubernetesPlace, group: WorkerGroup
    ) -> None:
        pods = replace(place.pods, claim="none")
        with KubernetesRunner(replace(place, pods=pods)) as runner:
            runner.ensure(group, 1)
            assert 'persistentvolumeclaim "none" not found' in waiting(runner, group)

    def test_a_missing_image_is_said_within_ten_seconds(
        self, place: KubernetesPlace, group: WorkerGroup
    ) -> None:
        pods = replace(place.pods, image="localhost/no-such-image:1")
        with KubernetesRunner(replace(place, pods=pods)) as runner:
            runner.ensure(group, 1)
            why = waiting(runner, group, seconds=10.0)
        assert "the image 'localhost/no-such-image:1' cannot be pulled: " in why

    def test_one_that_never_fits_says_what_it_asks_for(
        self, runner: KubernetesRunner, group: WorkerGroup
    ) -> None:
        runner.ensure(replace(group, cores=500.0, memory=2_000_000_000), 1)
        why = waiting(runner, group)
        assert "no node takes a pod with 500 CPUs and 2 GB of memory: " in why
        assert "Insufficient cpu" in why

    def test_a_node_selector_that_no_node_has_is_said(
        self, place: KubernetesPlace, group: WorkerGroup
    ) -> None:
        pods = replace(place.pods, node_selector={"pool": "none"})
        with KubernetesRunner(replace(place, pods=pods)) as runner:
            runner.ensure(group, 1)
            assert "node affinity/selector" in waiting(runner, group)


def test_a_quota_that_is_used_up_is_said(group: WorkerGroup) -> None:
    """The Job is there and makes no pod: only an Event of it tells why."""
    with clusters.namespace() as name, Cluster(namespace=name) as cluster:
        quota = ResourceQuotaSpec(hard={"pods": "0"})
        cluster.create(ResourceQuota(metadata=ObjectMeta(name="none"), spec=quota))
        wait_until(lambda: counted(cluster))
        with KubernetesRunner(clusters.place(name, image="fairlead:none")) as runner:
            runner.ensure(group, 2)
            assert "exceeded quota: none" in waiting(runner, group)
            assert len(alive(runner, group)) == 2
            runner.ensure(group, 2)
            (first, second) = [one.name for one in runner.look(group.key)]
            runner.leave(group.key, [first])
            assert [one.name for one in alive(runner, group)] == [second]
            runner.remove(group.key)
            assert list(runner.look(group.key)) == []


def counted(cluster: Cluster) -> bool:
    status = cluster.get(ResourceQuota, "none").status
    return bool(status and status.hard)


class TestRights:
    def test_those_that_the_docs_name_suffice(
        self,
        cluster: Cluster,
        place: KubernetesPlace,
        group: WorkerGroup,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        metadata = ObjectMeta(name="autoscaler")
        cluster.create(ServiceAccount(metadata=metadata))
        cluster.create(Role.from_dict({"metadata": {"name": "autoscaler"}, **documented()}))
        role = RoleRef(apiGroup="rbac.authorization.k8s.io", kind="Role", name="autoscaler")
        account = Subject(kind="ServiceAccount", name="autoscaler", namespace=cluster.namespace)
        cluster.create(RoleBinding(metadata=metadata, roleRef=role, subjects=[account]))
        config = clusters.as_account(cluster, "autoscaler", tmp_path / "config")
        monkeypatch.setenv("KUBECONFIG", str(config))
        with KubernetesRunner(place) as runner:
            runner.ensure(group, 1)
            name = running(runner, group)
            wait_until(lambda: runner.logs(group.key, name))
            runner.ensure(replace(group, cores=1000.0), 2)
            waiting(runner, group)
            (pending,) = [one.name for one in alive(runner, group) if one.state == "starting"]
            runner.leave(group.key, [pending])
            runner.remove(group.key)


def documented() -> Any:
    """The rules that the page names."""
    page = (Path(__file__).parents[2] / "docs/autoscaling.md").read_text()
    (rules,) = re.findall(r"```yaml\n(rules:.*?)```", page, re.DOTALL)
    return yaml.safe_load(rules)


class TestRefusals:
    def test_a_missing_right_is_one_line(
        self,
        cluster: Cluster,
        place: KubernetesPlace,
        group: WorkerGroup,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        cluster.create(ServiceAccount(metadata=ObjectMeta(name="nobody")))
        monkeypatch.setenv(
            "KUBECONFIG", str(clusters.as_account(cluster, "nobody", tmp_path / "config"))
        )
        with KubernetesRunner(place) as runner, pytest.raises(Failed) as refused:
            runner.ensure(group, 0)
        assert refused.value.code == "kubernetes_forbidden"
        line = str(refused.value)
        assert line.startswith(f"Kubernetes: list jobs in namespace {place.namespace!r}: ")
        assert "\n" not in line

    def test_a_namespace_that_is_not_there_is_one_line(
        self, place: KubernetesPlace, group: WorkerGroup
    ) -> None:
        elsewhere = replace(place, namespace="fairlead-no-such")
        with KubernetesRunner(elsewhere) as runner, pytest.raises(Invalid, match="not found"):
            runner.ensure(group, 1)

    def test_a_server_that_is_away_is_said_in_bounded_time(
        self,
        place: KubernetesPlace,
        group: WorkerGroup,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """One that takes connections and says nothing, as a machine that hangs."""
        with clusters.silent_server(tmp_path) as config:
            monkeypatch.setenv("KUBECONFIG", str(config))
            with KubernetesRunner(place) as runner:
                before = time.monotonic()
                with pytest.raises(Unreachable, match="is away"):
                    runner.look(group.key)
                assert time.monotonic() - before < 15.0
