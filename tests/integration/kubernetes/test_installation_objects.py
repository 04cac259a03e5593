"""A real API server takes every object of an installation, and the operator's rights hold there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lightkube import ApiError
from lightkube.config.client_adapter import Client, ConnectionParams
from lightkube.models.core_v1 import ServicePort, ServiceSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler as Scaler
from lightkube.resources.core_v1 import ConfigMap, Namespace, Node, Pod, Secret, Service
from lightkube.resources.rbac_authorization_v1 import Role
from lightkube.types import PatchType
from tests.support import cluster as clusters
from tests.support.waiting import wait_until

from fairlead.artifacts import Artifacts
from fairlead.control import cluster_runs, cluster_uninstallation
from fairlead.control.rendering import ClusterRequest, study_object
from fairlead.errors import Conflict, Failed, Invalid
from fairlead.kube.client import Cluster
from fairlead.kube.install.definitions import definitions
from fairlead.kube.install.installation import (
    Installation,
    own_postgresql,
    own_rabbitmq,
)
from fairlead.kube.install.objects import everything
from fairlead.kube.install.rights import OPERATOR, operator_access
from fairlead.kube.install.stores import PLACEHOLDERS
from fairlead.kube.kinds import API_VERSION, ENDPOINTS, STUDIES
from fairlead.kube.place import PodPlace, PodSettings
from fairlead.ledger.store import open_ledger
from fairlead.operator.activity import ActivityWatch
from fairlead.operator.endpoint_object import EndpointObject
from fairlead.operator.endpoint_reconciler import EndpointReconciler
from fairlead.operator.release import is_being_deleted
from fairlead.operator.replicas import GATEWAY
from fairlead.spec.load import load
from fairlead.stores import Stores

EXAMPLES = sorted(Path("examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    with clusters.namespace() as name:
        yield name


@pytest.fixture(scope="module")
def cluster(namespace: str) -> Iterator[Cluster]:
    with Cluster(namespace=namespace) as connected:
        yield connected


@pytest.fixture(scope="module")
def installation(namespace: str) -> Installation:
    return Installation(
        namespace=namespace,
        image="localhost/fairlead:none",
        postgresql=own_postgresql(),
        rabbitmq=own_rabbitmq(),
    )


@pytest.fixture(scope="module")
def kinds(cluster: Cluster) -> None:
    """They stay: others of the cluster may use them."""
    for one in definitions():
        cluster.apply(one)
    for one in definitions():
        wait_until(lambda name=one.metadata.name: established(cluster, name), every=0.1)


def established(cluster: Cluster, name: str) -> bool:
    conditions = conditions_of(cluster, name)
    return conditions.get("Established") == "True"


def conditions_of(cluster: Cluster, name: str) -> dict[str, str]:
    found = cluster.get(CustomResourceDefinition, name)
    return {one.type: one.status for one in (found.status.conditions if found.status else ()) or ()}


def strictly(cluster: Cluster, document: dict[str, Any]) -> tuple[int, str]:
    """What the server answers where no unknown field is to be dropped; nothing is stored."""
    path = f"/apis/{document['apiVersion']}/namespaces/{cluster.namespace}/{STUDIES.plural}"
    asked = {"fieldValidation": "Strict", "dryRun": "All"}
    with Client(cluster._client.config, ConnectionParams()) as asking:
        answer = asking.post(path, params=asked, json=document)
    return answer.status_code, str(answer.json().get("message", ""))


# ---- every object ---------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [False, True])
def test_each_object_is_taken(
    cluster: Cluster, installation: Installation, *, elsewhere: bool
) -> None:
    if elsewhere:
        installation = replace(
            installation,
            postgresql=None,
            rabbitmq=None,
            ledger="postgresql://db/ledger",
            queue="amqps://mq/v",
            artifacts="s3://bucket/prefix",
        )
    for one in everything(installation, PLACEHOLDERS):
        cluster._client.apply(one, dry_run=True, force=True)


def test_no_pod_of_it_is_warned_of_by_pod_security(
    cluster: Cluster, installation: Installation
) -> None:
    """The namespace enforces `restricted`: what a Deployment makes is tried as a pod."""
    for one in everything(installation, PLACEHOLDERS):
        if one.kind in {"Deployment", "StatefulSet"}:
            template = one.spec.template
            template.spec.serviceAccountName = "default"  # there is no other one here
            pod = Pod(metadata=ObjectMeta(name="tried"), spec=template.spec)
            pod.spec.volumes = [
                *(pod.spec.volumes or ()),
                *({"name": "data", "emptyDir": {}} for _ in template_claims(one)),
            ]
            cluster._client.create(pod, dry_run=True)


def template_claims(one: Any) -> list[Any]:
    return list(getattr(one.spec, "volumeClaimTemplates", None) or ())


# ---- the kinds ------------------------------------------------------------------------------


@pytest.mark.usefixtures("kinds")
class TestKinds:
    def test_their_schemas_are_structural(self, cluster: Cluster) -> None:
        for one in definitions():
            conditions = conditions_of(cluster, str(one.metadata.name))  # type: ignore[union-attr]
            assert conditions.get("NonStructuralSchema", "False") == "False"
            assert conditions["NamesAccepted"] == "True"

    @pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
    def test_each_example_is_a_study(self, cluster: Cluster, example: Path) -> None:
        made = dict(study_object(load(example), ClusterRequest(workers=4, memory="1Gi")))
        assert strictly(cluster, made) == (201, "")

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            (("search", "time"), 1.5),
            (("search", "time"), "1h30m"),
            (("search", "task_memory"), "512MiB"),
            (("search", "task_memory"), 1 << 30),
            (("search", "prune"), None),
            (("search", "until"), 3),
            (("search", "options"), {"seed": None, "group": True}),
            (("data", "header"), True),
            (("data", "impute"), "mean"),
            (("data", "impute"), 0.5),
            (("resources",), {"cpu": 1, "memory": "1Gi"}),
            (("resources",), {"cpu": "500m"}),
            (("workers",), {"min": 0, "max": 4}),
            (("files",), {"mine.py": "class Mine: ...\n"}),
        ],
    )
    def test_what_a_spec_may_say_is_taken(
        self, cluster: Cluster, key: tuple[str, ...], value: Any
    ) -> None:
        assert strictly(cluster, changed(key, value)) == (201, "")

    @pytest.mark.parametrize(
        ("key", "value", "said"),
        [
            (("search", "folds"), 1, "spec.search.folds"),
            (("search", "method"), "gird", "Unsupported value"),
            (("search", "trails"), 5, "unknown field"),
            (("data", "holdout"), {"share": 1}, "spec.data.holdout.share"),
            (("data", "seed"), 1 << 32, "spec.data.seed"),
            (("workers",), {"min": 3, "max": 2}, "workers.min must be at most workers.max"),
            (("workers",), {"max": 0}, "spec.workers.max"),
            (("resources",), {"cpu": "much"}, "spec.resources.cpu"),
            (("data",), None, "data"),
        ],
    )
    def test_what_it_may_not_is_refused_with_its_place(
        self, cluster: Cluster, key: tuple[str, ...], value: Any, said: str
    ) -> None:
        status, message = strictly(cluster, changed(key, value))
        assert status in {400, 422}
        assert said in message

    @pytest.mark.parametrize(
        ("name", "model", "said"),
        [
            ("other", "prices", "an Endpoint has the name of its model"),
            ("1st", "1st", "spec.model in body should match"),
            ("m" * 55, "m" * 55, "spec.model: Too long"),
            ("m" * 54, "m" * 54, ""),
        ],
    )
    def test_an_endpoint_has_the_name_of_a_model_that_a_service_can_have(
        self, cluster: Cluster, kinds: None, name: str, model: str, said: str
    ) -> None:
        kind = {"apiVersion": API_VERSION, "kind": "Endpoint", "metadata": {"name": name}}
        given = ENDPOINTS.resource.from_dict({**kind, "spec": {"model": model}})
        if said:
            with pytest.raises(Invalid, match=said):
                cluster.create(given)
        else:
            cluster.create(given)

    def test_what_is_stored_is_what_was_given(self, cluster: Cluster) -> None:
        """No default is written into it, and no value that is left open is dropped."""
        given = dict(study_object(load(Path("examples/boston.yaml")), ClusterRequest()))
        study = STUDIES.resource(given)
        made = cluster.create(study)
        try:
            assert made["spec"] == given["spec"]
        finally:
            cluster.delete(STUDIES.resource, str(study.metadata.name))  # type: ignore[union-attr]

    def test_what_kubectl_wrote_and_a_spec_does_not_say_goes(self, cluster: Cluster) -> None:
        given = dict(study_object(load(Path("examples/boston.yaml")), ClusterRequest()))
        more: Any = changed(("search", "trials"), 7)
        more["spec"] |= {"deploy": True, "workers": {"min": 1, "max": 3}}
        kubectl = STUDIES.resource.from_dict(more)
        cluster._client.apply(kubectl, field_manager="kubectl", force=True)
        try:
            applied = cluster_runs.apply(cluster, given)
            found: Any = cluster.get(STUDIES.resource, applied.name)
            assert found["spec"] == given["spec"]
            assert applied.generation == 2  # nothing in between that could be submitted
            assert cluster_runs.apply(cluster, given).generation == 2
        finally:
            cluster.delete(STUDIES.resource, more["metadata"]["name"])

    def test_one_that_something_makes_again_is_not_deleted_for_ever(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cluster_uninstallation, "_GONE", 3.0)
        given = dict(study_object(load(Path("examples/boston.yaml")), ClusterRequest()))
        name = given["metadata"]["name"]

        def make_again(_progress: object = None) -> None:
            cluster.apply(STUDIES.resource.from_dict(given))

        make_again()
        try:
            with pytest.raises(Failed, match=f"Study {name} is there .* GitOps"):
                cluster_uninstallation.uninstall(cluster, purge=True, listen=make_again)
        finally:
            cluster.delete(STUDIES.resource, name)


def changed(key: tuple[str, ...], value: Any) -> dict[str, Any]:
    made = dict(study_object(load(Path("examples/boston.yaml")), ClusterRequest()))
    part: Any = made["spec"]
    *way, last = key
    for name in way:
        part = part[name]
    part[last] = value
    return made


# ---- rights ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def operator(
    cluster: Cluster, installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """One who asks with the token of the operator's service account."""
    for one in operator_access(installation):
        cluster.apply(one)
    path = clusters.as_account(cluster, OPERATOR, tmp_path_factory.mktemp("operator") / "config")
    before = os.environ["KUBECONFIG"]
    os.environ["KUBECONFIG"] = str(path)
    try:
        with Cluster(namespace=cluster.namespace) as connected:
            yield connected
    finally:
        os.environ["KUBECONFIG"] = before


def created(cluster: Cluster, name: str, **spec: Any) -> EndpointObject:
    """An Endpoint."""
    kind = {"apiVersion": API_VERSION, "kind": "Endpoint", "metadata": {"name": name}}
    body = {**kind, "spec": {"model": name, **spec}}
    return EndpointObject.read(cluster.create(ENDPOINTS.resource.from_dict(body)).to_dict())


def deployments(cluster: Cluster) -> set[str | None]:
    """Their names."""
    return {one.metadata.name for one in cluster.list(Deployment) if one.metadata}


@contextmanager
def reconciling(operator: Cluster, folder: Path) -> Iterator[EndpointReconciler]:
    """What an operator does with Endpoints, by its rights."""
    with open_ledger(folder / "ledger.db") as ledger:
        yield EndpointReconciler(
            cluster=operator,
            stores=Stores(ledger=ledger, artifacts=Artifacts(folder)),
            place=PodPlace(image="localhost/fairlead:none"),
            settings=PodSettings(name="fairlead", fingerprint="f"),
            watch=ActivityWatch(gateway="http://127.0.0.1:1", token=""),
            clock=lambda: 0.0,
        )


class TestRights:
    def test_it_does_what_it_has_to(self, operator: Cluster, cluster: Cluster, kinds: None) -> None:
        given = dict(study_object(load(Path("examples/boston.yaml")), ClusterRequest()))
        cluster.create(STUDIES.resource(given))
        name, kind = given["metadata"]["name"], STUDIES.resource
        finalizers = {"metadata": {"finalizers": ["fairlead.dev/cancel"]}}
        operator.merge(kind, name, finalizers)
        operator.merge(kind.Status, name, {"status": {"phase": "Running", "trials": "1/2"}})
        found = cluster.get(kind, name)
        assert found["status"] == {"phase": "Running", "trials": "1/2"}
        operator.apply(ConfigMap(metadata=ObjectMeta(name="study"), data={"spec.yaml": ""}))
        operator.apply(Secret(metadata=ObjectMeta(name="group"), stringData={"A": "b"}))
        assert operator.list(Pod) == []
        assert not is_being_deleted(operator)
        operator.delete(Secret, "group")
        operator.delete(ConfigMap, "study")
        operator.merge(kind, name, {"metadata": {"finalizers": None}})
        cluster.delete(kind, name)

    def test_it_keeps_an_endpoint_and_takes_no_object_of_others(
        self, operator: Cluster, cluster: Cluster, kinds: None, tmp_path: Path
    ) -> None:
        endpoint = created(cluster, "taken", min=0, max=3)
        theirs = ServiceSpec(selector={"app": "theirs"}, ports=[ServicePort(port=80)])
        cluster.create(Service(metadata=ObjectMeta(name="taken"), spec=theirs))
        with reconciling(operator, tmp_path) as reconciler:
            with pytest.raises(Conflict, match="the Service 'taken' is there and not of this"):
                reconciler.reconcile(endpoint, {})
            assert "taken" not in deployments(cluster)
            cluster.delete(Service, "taken")
            report = reconciler.reconcile(endpoint, {})
            operator.merge(ENDPOINTS.resource.Status, "taken", {"status": report.fields})
            kept = cluster.get(ENDPOINTS.resource, "taken").status
            again = reconciler.reconcile(endpoint, kept).fields
            assert [again[key] for key in ("applied", "scale")] == [kept["applied"], kept["scale"]]
        service = cluster.get(Service, "taken").spec
        assert service is not None
        assert service.selector == {"fairlead.dev/gateway": "true"}  # nobody asks for it yet
        assert {"taken", GATEWAY} <= deployments(cluster)

    def test_replicas_stay_as_an_autoscaler_comes_and_it_goes_with_the_range(
        self, operator: Cluster, cluster: Cluster, kinds: None, tmp_path: Path
    ) -> None:
        fixed = created(cluster, "ranged", min=3)
        told = []
        with reconciling(operator, tmp_path) as reconciler:
            for endpoint in (fixed, replace(fixed, most=5), replace(fixed, least=1, most=1)):
                reconciler.reconcile(endpoint, {})
                deployment = cluster.get(Deployment, "ranged").spec
                assert deployment is not None
                named = {"metadata.name": "ranged"}
                told.append((deployment.replicas, len(cluster.list(Scaler, fields=named))))
        assert told == [(3, 0), (3, 1), (1, 0)]

    def test_it_neither_gets_nor_lists_secrets(self, operator: Cluster, cluster: Cluster) -> None:
        cluster.apply(Secret(metadata=ObjectMeta(name="password"), stringData={"A": "b"}))
        with pytest.raises(Failed, match="forbidden") as refused:
            operator.get(Secret, "password")
        assert refused.value.code == "kubernetes_forbidden"
        with pytest.raises(Failed, match="forbidden"):
            operator.list(Secret)

    def test_what_a_secret_has_is_in_the_answer_to_a_patch(
        self, operator: Cluster, cluster: Cluster
    ) -> None:
        """As docs/kubernetes.md says: its token is worth all Secrets of the namespace."""
        cluster.apply(Secret(metadata=ObjectMeta(name="seen"), stringData={"A": "b"}))
        patched = operator._client.patch(Secret, "seen", {}, patch_type=PatchType.MERGE)
        assert patched.data == {"A": "Yg=="}

    def test_it_has_no_rights_elsewhere(self, operator: Cluster) -> None:
        with pytest.raises(Failed, match="forbidden"):
            operator.list(Pod, everywhere=True)
        with pytest.raises(Failed, match="forbidden"):
            operator.list(Node)
        with pytest.raises(Failed, match="forbidden"):
            operator.get(Namespace, "default")
        with pytest.raises(ApiError, match="forbidden"):
            list(operator._client.list(Pod, namespace="kube-system"))

    def test_it_gives_itself_no_rights(self, operator: Cluster) -> None:
        with pytest.raises(Failed, match="forbidden"):
            operator.merge(Role, OPERATOR, {"rules": []})

    def test_it_makes_no_pod_but_by_a_job(self, operator: Cluster) -> None:
        pod = Pod.from_dict(
            {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
        )
        with pytest.raises(Failed, match="forbidden"):
            operator.create(pod)
