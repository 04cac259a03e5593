"""Ranks as pods of a cluster do what those of every engine do, whatever makes the pods."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.core_v1 import ResourceQuotaSpec
from lightkube.models.meta_v1 import ObjectMeta, OwnerReference
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod, ResourceQuota, Secret, Service
from lightkube.resources.networking_v1 import NetworkPolicy

from fairlead.engines.cluster_engine import ClusterEngine, RankMaker
from fairlead.engines.elastic import ElasticSets
from fairlead.engines.engine import Engine, GangRequest, RankStatus
from fairlead.engines.gang import EngineGang
from fairlead.engines.kubernetes import IndexedJobs
from fairlead.engines.rank_pods import GANG_LABEL
from fairlead.engines.rank_status import newest_pods
from fairlead.engines.tfjob import TFJob, TFJobs
from fairlead.engines.trainjob import TrainJobs
from fairlead.errors import Forbidden, Invalid, NotFound
from fairlead.gang.hub import Hub
from fairlead.gang.network import StepResult
from fairlead.kube import pods
from fairlead.kube.client import Cluster
from fairlead.kube.install.installation import Installation
from fairlead.kube.install.rights import TRAINER, trainer_access
from fairlead.kube.place import PodPlace
from tests.contract.engine_contract import EngineContract
from tests.lacking import lacking
from tests.support import cluster as clusters
from tests.support.gangs import SECRET, SharedStudy, shared_study
from tests.support.waiting import wait_until

_NUMBERS = count()
OPERATOR = Path("tests/cluster/platforms/training")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with clusters.namespace() as name, Cluster(namespace=name) as connected:
        yield connected


@dataclass(frozen=True, kw_only=True)
class ServedStudy(SharedStudy):
    """A study whose artefacts pods have from a server."""

    stores: clusters.Stores

    def request(self, hub: Hub, *, ranks: int = 2, key: str = "shared", **more: Any) -> GangRequest:
        """Ranks of which many fit on a node, and each may take what is free."""
        asked = {"environ": self.stores.environ, "cores": 0.05, "memory": 400 << 20, **more}
        request = super().request(hub, ranks=ranks, key=key, **asked)
        return replace(request, artifacts=self.stores.url)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStudy]:
    folder = tmp_path_factory.mktemp("served")
    made = shared_study(folder)
    with clusters.server(folder / "server") as stores:
        kept = folder / "server" / "artifacts"
        shutil.copytree(folder / "home" / "artifacts", kept, dirs_exist_ok=True)
        yield ServedStudy(job=made.job, artifacts=made.artifacts, stores=stores)


def place(**changes: Any) -> PodPlace:
    return replace(clusters.place("", image=clusters.image()).pods, **changes)


def pods_of(cluster: Cluster, key: str) -> list[Pod]:
    return cluster.list(Pod, labels={GANG_LABEL: key})


class ClusterEngineContract(EngineContract):
    """What all engines of a cluster do."""

    maker: RankMaker

    def kill(self, engine: Engine, gang: GangRequest, rank: int) -> None:
        with Cluster(namespace=self.namespace) as cluster:
            pod = newest_pods(pods_of(cluster, gang.key), label=self.maker.label)[rank]
            assert pod.metadata is not None
            cluster.delete(Pod, str(pod.metadata.name), grace=1)

    def test_nobody_but_the_ranks_is_to_reach_them_until_they_are_stopped(
        self, engine: ClusterEngine, gang: GangRequest, cluster: Cluster
    ) -> None:
        """Whether the network keeps to it is the cluster's."""
        handle = engine.start(gang)
        spec = cluster.get(NetworkPolicy, handle).spec
        assert spec is not None
        wait_until(lambda: len(pods_of(cluster, handle)) == gang.ranks, every=0.2)
        for pod in pods_of(cluster, handle):
            assert pod.metadata is not None
            assert spec.podSelector is not None
            wanted = (spec.podSelector.matchLabels or {}).items()
            assert wanted <= (pod.metadata.labels or {}).items()
        (rule,) = spec.ingress or ()
        assert [peer.podSelector for peer in rule.from_ or ()] == [spec.podSelector]
        engine.stop(handle)
        with pytest.raises(NotFound):
            cluster.get(NetworkPolicy, handle)

    @pytest.fixture(autouse=True)
    def known(self, cluster: Cluster) -> None:
        self.namespace = cluster.namespace

    @pytest.fixture
    def engine(self, cluster: Cluster) -> ClusterEngine:
        return ClusterEngine(self.maker, cluster=cluster, place=place())

    @pytest.fixture
    def hub(self) -> Iterator[Hub]:
        with Hub(secret=SECRET, host=clusters.host_address()) as hub:
            yield hub

    @pytest.fixture
    def study(self, served: ServedStudy) -> ServedStudy:
        return served


Missing: type[Any] = create_namespaced_resource("none.fairlead.dev", "v1", "TFJob", "tfjobs")


class Elsewhere(TFJobs):
    """Makes objects of a kind that no cluster has."""

    kind = Missing

    def objects(self, *asked: Any) -> Sequence[Any]:
        (made,) = super().objects(*asked)
        version = "none.fairlead.dev/v1"
        return (Missing(apiVersion=version, kind="TFJob", metadata=made.metadata, spec=made.spec),)


class TestIndexedJobs(ClusterEngineContract):
    maker = IndexedJobs()

    def test_a_job_that_was_deleted_by_hand_comes_back_once_it_is_started_again(
        self, engine: ClusterEngine, hub: Hub, gang: GangRequest, cluster: Cluster
    ) -> None:
        handle = engine.start(gang)
        self.running(engine, handle, hub, 2)
        cluster.delete(Job, gang.key)
        wait_until(lambda: not self.alive(engine, handle), every=0.2)
        assert {one.why for one in engine.poll(handle)} == {f"the Job {gang.key!r} was deleted"}
        engine.start(gang)
        self.running(engine, handle, hub, 2)

    def test_a_rank_out_of_memory_is_said_to_be_and_the_fit_keeps_its_bits(
        self, engine: ClusterEngine, hub: Hub, gang: GangRequest, study: SharedStudy
    ) -> None:
        job, ends = study.fit(hog=1, pause=0.05), set()

        def look(_: StepResult) -> None:
            ends.update((one.rank, one.why) for one in engine.poll(gang.key) if not one.alive)

        with EngineGang(engine, gang, hub) as made:
            made.open(job)
            trained = study.train(job, made, look)
        assert trained == study.train(study.fit(), None)
        assert ends == {(1, "OOMKilled: it took more memory than its limit of 419 MB")}

    def test_what_keeps_a_pod_from_being_made_is_said(
        self, engine: ClusterEngine, gang: GangRequest, cluster: Cluster
    ) -> None:
        quota = ResourceQuota(
            metadata=ObjectMeta(name="one"), spec=ResourceQuotaSpec(hard={"count/pods": "1"})
        )
        cluster.create(quota)
        try:
            engine.start(gang)
            why = waiting(engine, gang)
        finally:
            cluster.delete(ResourceQuota, "one")
        assert why.startswith("its Job makes no pod: ")
        assert "exceeded quota: one" in why

    def test_an_image_that_is_not_there_is_said(self, cluster: Cluster, gang: GangRequest) -> None:
        nowhere = place(image="localhost/none:1", pull_policy="Never")
        engine = ClusterEngine(self.maker, cluster=cluster, place=nowhere)
        engine.start(gang)
        assert "localhost/none:1" in waiting(engine, gang)

    def test_nothing_is_left_where_the_drivers_pod_goes(
        self, cluster: Cluster, hub: Hub, gang: GangRequest
    ) -> None:
        owner = driver(cluster)
        engine = ClusterEngine(self.maker, cluster=cluster, place=place(), owner=owner)
        handle = engine.start(gang)
        self.running(engine, handle, hub, 2)
        cluster.delete(Pod, owner.name, grace=1)
        kinds: tuple[type[Any], ...] = (Job, Service, NetworkPolicy, Secret, Pod)
        labels = {GANG_LABEL: gang.key}

        def left() -> list[Any]:
            return [one for kind in kinds for one in cluster.list(kind, labels=labels)]

        wait_until(lambda: not left(), every=0.2)

    def test_a_driver_removes_what_another_left_that_was_killed_in_its_pod(
        self, cluster: Cluster, hub: Hub, gang: GangRequest
    ) -> None:
        owner = driver(cluster)
        engine = ClusterEngine(self.maker, cluster=cluster, place=place(), owner=owner)
        left = engine.start(replace(gang, key="left", secret="of another gang"))
        wait_until(lambda: len(pods_of(cluster, left)) == 2, every=0.2)
        again = ClusterEngine(self.maker, cluster=cluster, place=place(), owner=owner)
        handle = again.start(gang)
        assert not pods_of(cluster, left)
        self.running(again, handle, hub, 2)
        cluster.delete(Pod, owner.name, grace=1)

    def test_the_rights_of_the_trainer_are_enough(
        self,
        cluster: Cluster,
        hub: Hub,
        gang: GangRequest,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with as_trainer(cluster, tmp_path, monkeypatch) as trainer:
            engine = ClusterEngine(self.maker, cluster=trainer, place=place())
            handle = engine.start(gang)
            self.running(engine, handle, hub, 2)
            engine.start(replace(gang, ranks=3))
            self.running(engine, handle, hub, 3)
            engine.logs(handle, 0)
            engine.stop(handle)
            with pytest.raises(Forbidden, match="secrets"):
                trainer.list(Secret)

    def test_a_kind_that_is_not_there_says_what_to_install(
        self, cluster: Cluster, gang: GangRequest
    ) -> None:
        engine = ClusterEngine(Elsewhere(), cluster=cluster, place=place())
        with pytest.raises(Invalid, match="no kind TFJob: install the Kubeflow training op") as no:
            engine.start(gang)
        assert no.value.code == "engine_not_installed"
        assert list(engine.poll(gang.key)) == []
        engine.stop(gang.key)
        assert not cluster.list(Secret, labels={GANG_LABEL: gang.key})


@pytest.mark.long
class TestElasticSets(ClusterEngineContract):
    maker = ElasticSets()

    def test_busy_ranks_become_more_and_the_fit_keeps_its_bits(
        self, engine: ClusterEngine, hub: Hub, study: SharedStudy
    ) -> None:
        """An autoscaler looks every 15 s, and a metrics server as often."""
        job, alive = study.fit(epochs=30, pause=0.02), list[int]()
        request = study.request(hub, key="elastic", ranks=1, most=3, cores=0.02)
        with EngineGang(engine, request, hub) as made:
            made.open(job)
            trained = study.train(job, made, lambda _: alive.append(made.alive()))
        assert (alive[0], max(alive)) == (1, 3)
        assert trained == study.train(study.fit(epochs=30), None)


@pytest.mark.long
class TestTrainJobs(ClusterEngineContract):
    """On a cluster that has the Kubeflow Trainer: it is not made here."""

    maker = TrainJobs()

    @pytest.fixture(autouse=True)
    def trainer(self, cluster: Cluster) -> None:
        try:
            cluster.get(CustomResourceDefinition, "trainjobs.trainer.kubeflow.org")
        except NotFound:
            pytest.skip("the cluster has no Kubeflow Trainer")

    def test_more_are_added_and_none_is_ended(
        self, engine: Engine, hub: Hub, gang: GangRequest, study: SharedStudy
    ) -> None:
        """It cannot be, and says so."""
        handle = engine.start(gang)
        self.running(engine, handle, hub, 2)
        with pytest.raises(Invalid, match="cannot grow to 3 ranks"):
            engine.start(study.request(hub, key=gang.key, ranks=3))
        assert len(self.alive(engine, handle)) == 2


@pytest.mark.long
class TestTFJobs(ClusterEngineContract):
    maker = TFJobs()

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def operator(cls) -> None:
        if subprocess.run([OPERATOR, "up"], check=False).returncode:
            lacking("the Kubeflow training operator: see tests/cluster/platforms/training")

    def test_one_that_was_deleted_by_hand_comes_back_once_it_is_started_again(
        self, engine: ClusterEngine, hub: Hub, gang: GangRequest, cluster: Cluster
    ) -> None:
        handle = engine.start(gang)
        self.running(engine, handle, hub, 2)
        cluster.delete(TFJob, gang.key)
        wait_until(lambda: not self.alive(engine, handle), every=0.2)
        assert {one.why for one in engine.poll(handle)} == {f"the TFJob {gang.key!r} was deleted"}
        engine.start(gang)
        self.running(engine, handle, hub, 2)

    def test_one_that_is_deleted_in_the_middle_of_a_fit_costs_none_of_its_bits(
        self,
        engine: ClusterEngine,
        hub: Hub,
        gang: GangRequest,
        study: SharedStudy,
        cluster: Cluster,
    ) -> None:
        job = study.fit(pause=0.05)

        def delete_once(result: StepResult) -> None:
            if result.step == 5:
                cluster.delete(TFJob, gang.key)

        with EngineGang(engine, gang, hub) as made:
            made.open(job)
            trained = study.train(job, made, delete_once)
        assert trained == study.train(study.fit(), None)


def waiting(engine: ClusterEngine, gang: GangRequest) -> str:
    """Why a rank does not start."""

    def told() -> list[RankStatus]:
        return [one for one in engine.poll(gang.key) if one.state == "starting" and one.why]

    return str(wait_until(told, every=0.2)[0].why)


def driver(cluster: Cluster) -> OwnerReference:
    """A pod that stands for a driver's."""
    made = pods.container(place(), name="driver", arguments=["1000"], requests={}, limits={})
    made.command = ["sleep"]
    spec, name = pods.pod(place(), made, grace=0, restarts="Never"), f"driver-{next(_NUMBERS)}"
    found = cluster.create(Pod(metadata=ObjectMeta(name=name), spec=spec))
    assert found.metadata is not None
    return OwnerReference(apiVersion="v1", kind="Pod", name=name, uid=str(found.metadata.uid))


def as_trainer(cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster, by what the account of workers that train may do."""
    installation = Installation(namespace=cluster.namespace, ledger="postgresql://db/x")
    for each in trainer_access(installation):
        cluster.apply(each)
    kubeconfig = clusters.as_account(cluster, TRAINER, folder / "trainer")
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    return Cluster(namespace=cluster.namespace)
