"""What is made for Katib, KServe, Knative and KEDA, before an API server that has their kinds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube import ApiError, codecs
from lightkube.config.client_adapter import Client, ConnectionParams
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod
from tests.lacking import lacking
from tests.support import cluster as clusters
from tests.support.waiting import wait_until

from fairlead.control.katib_experiment import experiment
from fairlead.control.rendering import ClusterRequest
from fairlead.control.serving_platforms import PlatformRequest, inference_service, knative_service
from fairlead.errors import NotFound
from fairlead.kube.client import Cluster
from fairlead.kube.install.installation import Installation, KedaWorkers, own_postgresql
from fairlead.kube.install.keda import keda
from fairlead.kube.install.objects import manifest
from fairlead.spec.load import load

DEFINITIONS = Path("tests/cluster/platforms/definitions")
PLURALS = {
    "Experiment": "experiments",
    "InferenceService": "inferenceservices",
    "Service": "services",
    "ScaledJob": "scaledjobs",
    "TriggerAuthentication": "triggerauthentications",
}
SPEC = load(Path("examples/boston.yaml"))
TRIAL = """
name: trial
data: {source: diabetes}
search:
  method: grid
  folds: 2
  metric: mse
  over:
    - {family: extra_trees, params: {n_estimators: [5, 50], max_depth: [null, 3]}}
"""
REQUEST = PlatformRequest(
    version=3, image="localhost/fairlead:none", percent=10, beside="boston-prices-v2", least=0
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with clusters.namespace() as name, Cluster(namespace=name) as connected:
        yield connected


@pytest.fixture(scope="module", autouse=True)
def kinds(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Those that the cluster does not have are there for these tests."""
    if shutil.which("go") is None:
        lacking("Go, by which the definitions of other platforms are fetched")
    folder = tmp_path_factory.mktemp("definitions")
    subprocess.run([str(DEFINITIONS), str(folder)], check=True)
    made = [name for path in folder.iterdir() if (name := added(cluster, path))]
    try:
        for name in made:
            wait_until(lambda name=name: established(cluster, name), every=0.1)
        yield
    finally:
        for name in made:
            cluster.delete(CustomResourceDefinition, name)


def added(cluster: Cluster, path: Path) -> str | None:
    """The name of the definition, if it was not there."""
    (document,) = filter(None, yaml.safe_load_all(path.read_text()))
    name = str(document["metadata"]["name"])
    try:
        cluster.get(CustomResourceDefinition, name)
    except NotFound:
        cluster._client.apply(codecs.from_dict(document), field_manager="fairlead-tests")
        return name
    return None


def established(cluster: Cluster, name: str) -> bool:
    found = cluster.get(CustomResourceDefinition, name)
    conditions = (found.status.conditions if found.status else ()) or ()
    return any(one.type == "Established" and one.status == "True" for one in conditions)


def strictly(cluster: Cluster, document: Any) -> tuple[int, str]:
    """What the server answers where no unknown field is to be dropped; nothing is stored."""
    plural = PLURALS[document["kind"]]
    path = f"/apis/{document['apiVersion']}/namespaces/{cluster.namespace}/{plural}"
    asked = {"fieldValidation": "Strict", "dryRun": "All"}
    with Client(cluster._client.config, ConnectionParams()) as asking:
        answer = asking.post(path, params=asked, json=document)
    return answer.status_code, str(answer.json().get("message", ""))


@pytest.mark.parametrize("make", [inference_service, knative_service])
def test_what_serves_a_version_is_taken(cluster: Cluster, make: Any) -> None:
    assert strictly(cluster, make(SPEC, REQUEST)) == (201, "")


@pytest.mark.parametrize("make", [inference_service, knative_service])
def test_what_the_kind_does_not_have_is_refused(cluster: Cluster, make: Any) -> None:
    document = {**make(SPEC, REQUEST)}
    document["spec"] = {**document["spec"], "replicas": 3}
    assert strictly(cluster, document)[0] == 400


def test_the_workers_of_keda_are_taken(cluster: Cluster) -> None:
    installation = Installation(
        namespace=cluster.namespace, image="localhost/fairlead:1", postgresql=own_postgresql()
    )
    _, login, scaled = map(manifest, keda(installation, KedaWorkers()))
    assert strictly(cluster, login) == (201, "")
    assert strictly(cluster, scaled) == (201, "")
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "worker"}}
    cluster._client.create(
        codecs.from_dict({**job, "spec": scaled["spec"]["jobTargetRef"]}), dry_run=True
    )


def test_an_experiment_and_its_spec_are_taken(cluster: Cluster) -> None:
    """Katib's definition takes any field, so the Job of a trial is sent as what it is."""
    config_map, document = experiment(SPEC, ClusterRequest(), "localhost/fairlead:none")
    cluster._client.apply(codecs.from_dict(config_map), dry_run=True, field_manager="tests")
    assert strictly(cluster, document) == (201, "")
    job = document["spec"]["trialTemplate"]["trialSpec"]
    job = codecs.from_dict({**job, "metadata": {"name": "trial"}})
    cluster._client.create(job, dry_run=True)


def test_a_trial_runs_as_katib_runs_it(cluster: Cluster, tmp_path: Path) -> None:
    """By a shell, the words as they are, with what it prints in a file for the collector."""
    path = tmp_path / "spec.yaml"
    path.write_text(TRIAL)
    asked = ClusterRequest(cpu="50m")
    config_map, document = experiment(load(path), asked, clusters.image())
    cluster._client.create(codecs.from_dict(config_map), cluster.namespace)
    template = document["spec"]["trialTemplate"]
    (container,) = template["trialSpec"]["spec"]["template"]["spec"]["containers"]
    firsts = {
        one["name"]: one["feasibleSpace"]["list"][0] for one in document["spec"]["parameters"]
    }
    words = [*container["command"], *container["args"]]
    for name, value in firsts.items():
        words = [word.replace(f"${{trialParameters.{name}}}", value) for word in words]
    container["command"] = ["sh", "-c"]
    container["args"] = [f"{' '.join(words)} 1>/tmp/metrics.log 2>&1; cat /tmp/metrics.log"]
    job = codecs.from_dict({**template["trialSpec"], "metadata": {"name": "trial"}})
    cluster._client.create(job, cluster.namespace)
    wait_until(lambda: ended(cluster, "trial"), seconds=300, every=0.5)
    (pod,) = cluster.list(Pod, labels={"job-name": "trial"})
    here = [sys.executable, "-m", "fairlead", "--home", str(tmp_path), "score", str(path)]
    given = [word for name, value in firsts.items() for word in ("--param", f"{name}={value}")]
    printed = subprocess.run([*here, *given], capture_output=True, text=True, check=True)
    assert printed.stdout.startswith("mse=")
    assert printed.stdout in cluster.log(str(pod.metadata.name), lines=20)  # type: ignore[union-attr]


def ended(cluster: Cluster, job: str) -> bool:
    found = cluster.get(Job, job)
    return bool(found.status and (found.status.succeeded or found.status.failed))


def test_no_pod_of_these_is_warned_of_by_pod_security(cluster: Cluster) -> None:
    """The namespace enforces `restricted`."""
    service, inference = knative_service(SPEC, REQUEST), inference_service(SPEC, REQUEST)
    _, katib = experiment(SPEC, ClusterRequest(), "localhost/fairlead:none")
    predictor = inference["spec"]["predictor"]
    for spec in (
        service["spec"]["template"]["spec"],
        {key: predictor[key] for key in ("containers", "volumes")},
        katib["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"],
    ):
        pod = Pod.from_dict({"metadata": {"name": "tried"}, "spec": spec})
        cluster._client.create(pod, dry_run=True)


def test_a_pod_that_is_root_would_have_been_refused(cluster: Cluster) -> None:
    spec = {"containers": [{"name": "one", "image": "localhost/none:1"}]}
    pod = Pod.from_dict({"metadata": {"name": "tried"}, "spec": spec})
    with pytest.raises(ApiError, match="restricted"):
        cluster._client.create(pod, dry_run=True)
