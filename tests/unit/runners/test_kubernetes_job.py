"""What a worker is on a cluster: its Job, its pod, and the Secret of its group."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from lightkube.models.core_v1 import PodSpec
from lightkube.resources.batch_v1 import Job

from fairlead.errors import Invalid
from fairlead.kube.place import KubernetesPlace, PodPlace, Taint
from fairlead.runners.kubernetes_job import (
    group_secret,
    number_of,
    refuse_group,
    worker_job,
)
from fairlead.runners.runner import WorkerGroup

GROUP = WorkerGroup(
    key="autoscaler-0a1b",
    study="boston-prices-3f2a",
    ledger="postgresql://fairlead:hunter2@db/fairlead",
    artifacts="s3://bucket/prefix",
    environ={"FAIRLEAD_SERVER_TOKEN": "hunter3"},
    cores=0.5,
    memory=2_000_000_000,
)
PLACE = KubernetesPlace(pods=PodPlace(image="fairlead:1"))


def spec_of(job: Job) -> PodSpec:
    assert job.spec is not None
    assert job.spec.template.spec is not None
    return job.spec.template.spec


def test_a_job_is_one_worker_that_is_named_as_its_pod() -> None:
    job = worker_job(GROUP, PLACE, 7)
    assert job.metadata is not None
    assert job.metadata.name == "autoscaler-0a1b-7"
    assert job.spec is not None
    assert (job.spec.completions, job.spec.parallelism, job.spec.backoffLimit) == (1, 1, 0)
    (worker,) = spec_of(job).containers
    assert worker.command == ["fairlead"]
    named = ["--study", "boston-prices-3f2a", "--name", "$(POD_NAME)", "--drain-seconds", "55"]
    assert worker.args == ["worker", *named]


def test_a_worker_has_no_token_unless_its_fits_start_pods() -> None:
    pods = PodPlace(image="fairlead:1", service_account="fairlead")
    place = KubernetesPlace(pods=pods, trainer="fairlead-trainer")
    plain = spec_of(worker_job(GROUP, place, 1))
    assert (plain.serviceAccountName, plain.automountServiceAccountToken) == ("fairlead", False)
    trains = spec_of(worker_job(replace(GROUP, starts_pods=True), place, 1))
    assert trains.serviceAccountName == "fairlead-trainer"
    assert trains.automountServiceAccountToken is True


def test_workers_whose_fits_start_pods_are_refused_where_none_may() -> None:
    with pytest.raises(Invalid, match="no account of workers that may do so") as refused:
        refuse_group(replace(GROUP, starts_pods=True), PLACE)
    assert refused.value.code == "training_not_installed"


def test_all_is_found_by_the_label_of_the_group() -> None:
    job = worker_job(GROUP, PLACE, 1)
    for metadata in (job.metadata, job.spec and job.spec.template.metadata):
        assert metadata
        assert metadata.labels
        assert metadata.labels["fairlead.dev/group"] == GROUP.key
        assert metadata.labels["fairlead.dev/study"] == "boston-prices-3f2a"
        assert metadata.labels["app.kubernetes.io/component"] == "worker"


def test_a_node_is_not_emptied_of_workers() -> None:
    job = worker_job(GROUP, PLACE, 1)
    assert job.spec
    assert job.spec.template.metadata
    annotations = job.spec.template.metadata.annotations or {}
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert annotations["karpenter.sh/do-not-disrupt"] == "true"


def test_no_secret_is_in_a_job() -> None:
    written = json.dumps(worker_job(GROUP, PLACE, 1).to_dict())
    assert "hunter" not in written
    assert "hunter2" in json.dumps(group_secret(GROUP).to_dict())
    (worker,) = spec_of(worker_job(GROUP, PLACE, 1)).containers
    assert worker.envFrom
    assert [one.secretRef and one.secretRef.name for one in worker.envFrom] == [GROUP.key]


def test_cores_are_requested_and_memory_is_bounded_too() -> None:
    (worker,) = spec_of(worker_job(GROUP, PLACE, 1)).containers
    assert worker.resources is not None
    assert worker.resources.requests == {"cpu": "0.5", "memory": "2000000000"}
    assert worker.resources.limits == {"memory": "2000000000"}
    (bare,) = spec_of(worker_job(replace(GROUP, memory=0), PLACE, 1)).containers
    assert bare.resources is not None
    assert bare.resources.requests == {"cpu": "0.5"}
    assert bare.resources.limits == {}


def test_a_pod_may_do_next_to_nothing() -> None:
    spec = spec_of(worker_job(GROUP, PLACE, 1))
    assert spec.automountServiceAccountToken is False
    assert spec.enableServiceLinks is False
    assert spec.securityContext is not None
    assert spec.securityContext.runAsNonRoot
    (worker,) = spec.containers
    assert worker.securityContext is not None
    assert worker.securityContext.readOnlyRootFilesystem
    assert worker.securityContext.allowPrivilegeEscalation is False


def test_where_it_runs_is_the_places() -> None:
    pods = PodPlace(
        image="fairlead:2",
        pull_policy="Never",
        pull_secrets=["registry"],
        service_account="workers",
        node_selector={"pool": "spot"},
        tolerations=[Taint(key="spot"), Taint(key="gpu", value="no", effect="NoSchedule")],
        priority_class="low",
        claim="artifacts",
    )
    place = KubernetesPlace(pods=pods, kueue_queue="team", grace=10, kept=60)
    job = worker_job(GROUP, place, 1)
    spec = spec_of(job)
    assert job.metadata
    assert job.metadata.labels
    assert job.metadata.labels["kueue.x-k8s.io/queue-name"] == "team"
    assert job.spec
    assert job.spec.ttlSecondsAfterFinished == 60
    assert spec.terminationGracePeriodSeconds == 10
    assert spec.nodeSelector == {"pool": "spot"}
    assert spec.priorityClassName == "low"
    assert spec.serviceAccountName == "workers"
    assert [one.to_dict() for one in spec.tolerations or ()] == [
        {"key": "spot", "operator": "Exists"},
        {"key": "gpu", "operator": "Equal", "value": "no", "effect": "NoSchedule"},
    ]
    assert [one.name for one in spec.volumes or ()] == ["home", "tmp", "artifacts"]
    (worker,) = spec.containers
    assert worker.imagePullPolicy == "Never"
    mounted = {one.name: one.mountPath for one in worker.volumeMounts or ()}
    assert mounted["artifacts"] == "/var/lib/fairlead-artifacts"


@pytest.mark.parametrize(
    ("name", "number"), [("autoscaler-0a1b-12", 12), ("other", 0), ("some-job", 0)]
)
def test_a_job_has_its_number_in_its_name(name: str, number: int) -> None:
    assert number_of(name) == number


@pytest.mark.parametrize(
    ("group", "said"),
    [
        (replace(GROUP, key="Big"), "'Big' is no key"),
        (replace(GROUP, key="a" * 41), "is no key"),
        (replace(GROUP, ledger="sqlite:////home/ledger.db"), "no pod can open: use PostgreSQL"),
        (replace(GROUP, artifacts="file:///home/artifacts"), "no pod has: use s3://"),
    ],
    ids=["capital", "long", "ledger", "artifacts"],
)
def test_what_pods_cannot_reach_is_refused(group: WorkerGroup, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        refuse_group(group, PLACE)


def test_a_folder_on_a_claim_is_a_store_of_pods() -> None:
    place = KubernetesPlace(pods=PodPlace(image="fairlead:1", claim="artifacts"))
    refuse_group(replace(GROUP, artifacts="file:///var/lib/fairlead-artifacts"), place)
    refuse_group(GROUP, PLACE)
