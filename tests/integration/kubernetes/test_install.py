"""Fairlead is installed in a real cluster, again, and taken away, by its commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from lightkube.models.core_v1 import ResourceQuotaSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment, StatefulSet
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import (
    ConfigMap,
    Namespace,
    PersistentVolumeClaim,
    Pod,
    ResourceQuota,
    Secret,
)
from tests.lacking import lacking
from tests.support import cluster as clusters
from tests.support.cluster_objects import counted, in_namespace
from tests.support.waiting import wait_until

from fairlead.errors import NotFound, Unreachable
from fairlead.kube.client import Cluster
from fairlead.kube.install.definitions import definitions
from fairlead.kube.install.stores import content_of
from fairlead.kube.kinds import API_VERSION, STUDIES
from fairlead.operator.release import FINALIZER

POSTGRESQL = "FAIRLEAD_TEST_POSTGRESQL_IMAGE"
NAMESPACE = f"fairlead-install-{os.getpid()}"


def fairlead(
    *words: str, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fairlead", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "FAIRLEAD_MLFLOW_URI": "none", **(environ or {})},
    )


def done(*words: str) -> str:
    found = fairlead(*words)
    assert found.returncode == 0, found.stderr
    return found.stdout


def line_of(found: subprocess.CompletedProcess[str]) -> str:
    """The last line of what a command that failed said."""
    assert found.returncode != 0
    return found.stderr.strip().splitlines()[-1]


def install(*more: str) -> tuple[str, ...]:
    return (
        *("install", "--namespace", NAMESPACE, "--image", clusters.image()),
        *("--with", "postgresql", "--postgresql-image", postgresql(), *more),
    )


def postgresql() -> str:
    found = os.environ.get(POSTGRESQL)
    return found or lacking(f"an image of PostgreSQL on the cluster: set ${POSTGRESQL}")


@pytest.fixture(scope="module", autouse=True)
def kinds_in_use() -> Iterator[None]:
    """Beside other tests, a Study keeps the kinds from going with an installation."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    with clusters.namespace() as name, Cluster(namespace=name) as there:
        for one in definitions():
            there.apply(one)
        spec = {"data": {"source": "boston"}, "search": {"over": [{"family": "linear"}]}}
        study = {"apiVersion": API_VERSION, "kind": "Study", "metadata": {"name": "kept"}}
        made = STUDIES.resource({**study, "spec": spec})
        wait_until(lambda: taken(there, made), every=0.5)
        yield


def taken(cluster: Cluster, one: Any) -> bool:
    """Whether a kind is there that was just defined."""
    try:
        cluster.apply(one)
    except (NotFound, Unreachable):
        return False
    return True


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if "KUBECONFIG" not in os.environ:
        lacking("a Kubernetes cluster: set $KUBECONFIG")
    with Cluster(namespace=NAMESPACE) as connected:
        yield connected


@pytest.fixture(scope="module")
def before(cluster: Cluster) -> Any:
    return counted(cluster)


@pytest.fixture(scope="module")
def installed(cluster: Cluster, before: Any) -> Iterator[dict[str, Any]]:
    try:
        yield json.loads(done(*install("--json")))
    finally:
        fairlead("uninstall", "--namespace", NAMESPACE, "--purge")


class TestInstalled:
    def test_all_is_ready(self, installed: dict[str, Any], cluster: Cluster) -> None:
        assert installed["namespace"] == NAMESPACE
        assert sorted(installed["ready"]) == ["fairlead-operator", "fairlead-server", "postgresql"]
        for kind in (Deployment, StatefulSet):
            for one in cluster.list(kind):
                assert one.status.readyReplicas == 1

    def test_installed_again_it_is_the_same(
        self, installed: dict[str, Any], cluster: Cluster
    ) -> None:
        """No object is written again, no password is another one, and no pod starts anew."""

        def state() -> dict[str, str]:
            kinds = (ConfigMap, Secret, PersistentVolumeClaim, Deployment, StatefulSet, Pod)
            found = [one for kind in kinds for one in cluster.list(kind)]
            return {one.metadata.uid: one.metadata.resourceVersion for one in found}

        earlier = state()
        done(*install())
        assert state() == earlier

    def test_the_server_wants_the_token_of_the_secret(
        self, installed: dict[str, Any], cluster: Cluster
    ) -> None:
        token = content_of(cluster.get(Secret, "fairlead-tokens"))["token"]
        url = f"http://{address(cluster)}:8000/api/v1"
        assert httpx2.get(f"{url}/health").status_code == 200
        assert httpx2.get(f"{url}/runs").status_code == 401
        answer = httpx2.get(f"{url}/runs", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["items"]) == (200, [])

    def test_no_secret_is_in_an_object_but_a_secret(
        self, installed: dict[str, Any], cluster: Cluster
    ) -> None:
        secrets = [content_of(one) for one in cluster.list(Secret)]
        values = {value for one in secrets for value in one.values() if len(value) >= 16}
        assert values
        written = json.dumps(
            [
                one.to_dict()
                for kind in (ConfigMap, Deployment, StatefulSet, Pod)
                for one in cluster.list(kind)
            ]
        )
        assert not [value for value in values if value in written]
        assert not [value for value in values if value in json.dumps(installed)]

    def test_a_part_that_is_not_wanted_any_more_goes(
        self, installed: dict[str, Any], cluster: Cluster
    ) -> None:
        old = Deployment.from_dict(cluster.get(Deployment, "fairlead-server").to_dict())
        made = Deployment(
            metadata=ObjectMeta(name="of-an-older-one", labels=old.metadata.labels),
            spec=old.spec,
        )
        made.spec.replicas = 0
        cluster.create(made)
        assert json.loads(done(*install("--json")))["removed"] == ["Deployment of-an-older-one"]

    def test_data_outlives_an_uninstallation(
        self, installed: dict[str, Any], cluster: Cluster
    ) -> None:
        token = content_of(cluster.get(Secret, "fairlead-tokens"))["token"]
        submitted = submit(cluster, token)
        gone = done("uninstall", "--namespace", NAMESPACE)
        assert "Deployment" in gone
        assert cluster.list(Pod) == []
        kept = {one.metadata.name for one in cluster.list(PersistentVolumeClaim)}
        assert kept == {"fairlead-artifacts", "data-postgresql-0"}
        done(*install())
        assert content_of(cluster.get(Secret, "fairlead-tokens"))["token"] == token
        assert runs(cluster, token) == [submitted]

    def test_what_the_operator_made_goes_and_is_made_again(
        self, installed: dict[str, Any], cluster: Cluster
    ) -> None:
        over = [{"family": "random_forest", "params": {"n_estimators": [500]}}]
        search = {"method": "random", "trials": 500, "over": over}
        spec = {"data": {"source": "boston"}, "search": search}
        asked = {"workers": {"max": 1}, "resources": {"cpu": "50m", "memory": "512Mi"}}
        head = {"apiVersion": API_VERSION, "kind": "Study", "metadata": {"name": "long"}}
        cluster.apply(STUDIES.resource({**head, "spec": {**spec, **asked}}))
        worker = {"app.kubernetes.io/component": "worker"}
        wait_until(lambda: cluster.list(Pod, labels=worker), every=0.5)
        done("uninstall", "--namespace", NAMESPACE)
        assert cluster.list(Job) == []
        assert cluster.list(Pod) == []
        done(*install())
        wait_until(lambda: cluster.list(Pod, labels=worker), every=0.5)
        cluster.delete(STUDIES.resource, "long")
        wait_until(lambda: cluster.list(Job) == [], every=0.5)

    def test_purged_nothing_is_left_of_it(
        self, installed: dict[str, Any], cluster: Cluster, before: Any
    ) -> None:
        found = json.loads(done("uninstall", "--namespace", NAMESPACE, "--purge", "--json"))
        assert found["deleted"]["Namespace"] == 1
        assert in_namespace(cluster, NAMESPACE) == []
        if not found["kept"]:  # no other namespace uses the kinds
            wait_until(lambda: counted(cluster) == before, seconds=60, every=1.0)
        assert "nothing to delete" in fairlead("uninstall", "--namespace", NAMESPACE).stderr


def address(cluster: Cluster) -> str:
    """The server's pod, which this machine reaches where the node is on it."""
    labels = {"app.kubernetes.io/component": "server"}
    (pod,) = cluster.list(Pod, labels=labels)
    return str(pod.status.podIP)  # type: ignore[union-attr]


def submit(cluster: Cluster, token: str) -> str:
    spec = {
        "name": "kept",
        "data": {"source": "boston"},
        "search": {"method": "random", "trials": 2, "over": [{"family": "linear"}]},
    }
    answer = httpx2.post(
        f"http://{address(cluster)}:8000/api/v1/runs",
        json={"spec": spec},
        headers={"Authorization": f"Bearer {token}"},
        timeout=120,
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def runs(cluster: Cluster, token: str) -> list[str]:
    answer = httpx2.get(
        f"http://{address(cluster)}:8000/api/v1/runs",
        headers={"Authorization": f"Bearer {token}"},
    )
    return [one["run"]["id"] for one in answer.json()["items"]]


class TestWhatDoesNotGetReady:
    @pytest.fixture
    def other(self) -> Iterator[str]:
        name = f"{NAMESPACE}-other"
        try:
            yield name
        finally:
            fairlead("uninstall", "--namespace", name, "--purge")

    def test_an_image_that_cannot_be_pulled_is_said_at_once(
        self, cluster: Cluster, other: str
    ) -> None:
        began = time.monotonic()
        image = "localhost/no-such-image:1"
        found = fairlead(
            *("install", "--namespace", other, "--image", image),
            environ={"FAIRLEAD_LEDGER": "postgresql://me@db/x", "FAIRLEAD_ARTIFACTS": "s3://b"},
        )
        assert time.monotonic() - began < 60.0  # of a full machine; 4 were measured
        assert found.returncode == 1
        assert f"the image {image!r} cannot be pulled: " in line_of(found)

    def test_installed_again_with_what_there_is_it_gets_ready(
        self, cluster: Cluster, other: str
    ) -> None:
        """A pod that was never ready is replaced, of a StatefulSet as well."""
        words = ("install", "--namespace", other, "--image", clusters.image(), "--with")
        missing = "localhost/no-such-image:2"
        found = fairlead(*words, "postgresql", "--postgresql-image", missing)
        assert f"postgresql: the image {missing!r} cannot be pulled" in line_of(found)
        done(*words, "postgresql", "--postgresql-image", postgresql())

    def test_a_quota_that_is_used_up_is_said(self, cluster: Cluster, other: str) -> None:
        with Cluster(namespace=other) as there:
            there.create(Namespace(metadata=ObjectMeta(name=other)))
            quota = ResourceQuotaSpec(hard={"pods": "0"})
            there.create(ResourceQuota(metadata=ObjectMeta(name="none"), spec=quota))
            wait_until(lambda: there.get(ResourceQuota, "none").status.hard)
            found = fairlead(
                *("install", "--namespace", other, "--image", "localhost/f:1"),
                environ={"FAIRLEAD_LEDGER": "postgresql://me@db/x", "FAIRLEAD_ARTIFACTS": "s3://b"},
            )
            assert "exceeded quota: none" in line_of(found)
            gone = json.loads(done("uninstall", "--namespace", other, "--purge", "--json"))
            assert gone["kept"][0] == f"namespace {other} (it was there before Fairlead)"
            assert not [one for one in in_namespace(there, other) if "fairlead" in one]
            there.delete(Namespace, other)


class TestNamespaceThatIsDeleted:
    """A Study is held by a finalizer, and the namespace by the Study."""

    def test_the_operator_lets_go_of_its_studies(self, cluster: Cluster) -> None:
        name = f"{NAMESPACE}-deleted"
        images = ("--image", clusters.image(), "--postgresql-image", postgresql())
        done("install", "--namespace", name, "--with", "postgresql", *images)
        with Cluster(namespace=name) as there:
            there.apply(held("held", finalizers=[]))
            wait_until(lambda: there.get(STUDIES.resource, "held").metadata.finalizers, every=0.2)  # type: ignore[union-attr]
            cluster.delete(Namespace, name)
            wait_until(lambda: not is_there(there, name), every=0.5)

    def test_without_an_operator_a_purge_lets_go_of_them(self) -> None:
        with clusters.namespace() as name, Cluster(namespace=name) as there:
            for one in definitions():
                there.apply(one)
            wait_until(lambda: taken(there, held("held", finalizers=[FINALIZER])), every=0.5)
            there.delete(Namespace, name)
            deleted = {"status.phase": "Terminating"}
            wait_until(lambda: there.list(Namespace, fields=deleted), every=0.2)
            done("uninstall", "--namespace", name, "--purge")
            wait_until(lambda: not is_there(there, name), every=0.5)


def held(name: str, *, finalizers: list[str]) -> Any:
    """A Study that its operator looks after."""
    spec = {"data": {"source": "boston"}, "search": {"over": [{"family": "linear"}]}}
    metadata = {"name": name, "finalizers": finalizers}
    study = {"apiVersion": API_VERSION, "kind": "Study", "metadata": metadata, "spec": spec}
    return STUDIES.resource.from_dict(study)


def is_there(cluster: Cluster, namespace: str) -> bool:
    try:
        cluster.get(Namespace, namespace)
    except NotFound:
        return False
    return True


class TestDoctor:
    def test_it_says_that_it_can_be_installed(self, cluster: Cluster) -> None:
        found = json.loads(done("doctor", "--on", "kubernetes", "--namespace", NAMESPACE, "--json"))
        states = {one["name"]: one["state"] for one in found["checks"]}
        assert found["ok"]
        assert states == {
            "api server": "ok",
            "clock": "ok",
            "permissions": "ok",
            "namespace": "ok",
            "storage class": "ok",
            "image": "warn",
        }

    def test_it_tries_the_image_and_leaves_nothing(self) -> None:
        with clusters.namespace() as name, Cluster(namespace=name) as there:
            words = ("doctor", "--on", "kubernetes", "--namespace", name)
            found = json.loads(done(*words, "--image", clusters.image(), "--json"))
            assert f"{clusters.image()} starts" in json.dumps(found)
            missing = fairlead(*words, "--image", "localhost/no-such-image:1", "--json")
            assert "cannot be pulled" in missing.stdout
            assert missing.returncode == 1
            wait_until(lambda: there.list(Pod) == [], seconds=30)

    def test_it_says_which_rights_are_missing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with clusters.namespace() as name, Cluster(namespace=name) as there:
            config = clusters.as_account(there, "default", tmp_path / "config")
            monkeypatch.setenv("KUBECONFIG", str(config))
            found = fairlead("doctor", "--on", "kubernetes", "--namespace", name, "--json")
        checks = {one["name"]: one for one in json.loads(found.stdout)["checks"]}
        assert checks["permissions"]["state"] == "fail"
        assert "get, create, patch customresourcedefinitions" in checks["permissions"]["text"]

    def test_a_cluster_that_is_away_is_one_check(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with clusters.silent_server(tmp_path) as config:
            monkeypatch.setenv("KUBECONFIG", str(config))
            found = fairlead("doctor", "--on", "kubernetes", "--json")
        (check,) = json.loads(found.stdout)["checks"]
        assert check["state"] == "fail"
        assert "is away" in check["text"]
