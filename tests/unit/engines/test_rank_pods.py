"""What a gang is on a cluster: its pods, its Secret, and the object that makes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from lightkube.resources.batch_v1 import Job
from tests.unit.engines.gangs import GANG, OWNER, PLACE

from fairlead.engines.cluster_engine import RankMaker
from fairlead.engines.elastic import ElasticSets
from fairlead.engines.engine import ADDRESS, RANK, SECRET
from fairlead.engines.kubernetes import INDEX, IndexedJobs
from fairlead.engines.rank_pods import (
    DIGEST_ANNOTATION,
    gang_digest,
    gang_policy,
    gang_secret,
    refuse_gang,
)
from fairlead.engines.rank_status import Making
from fairlead.engines.tfjob import TFJobs
from fairlead.engines.trainjob import TrainJobs
from fairlead.errors import Invalid
from fairlead.kube.place import PodPlace

MAKERS = [IndexedJobs(), TFJobs(), TrainJobs(), ElasticSets()]
AS_NAMED = pytest.mark.parametrize("maker", MAKERS, ids=lambda one: one.name)


def template(maker: RankMaker, **changes: Any) -> dict[str, Any]:
    """The pod of the ranks, as the API server is given it."""
    (found,) = templates(
        [one.to_dict() for one in maker.objects(replace(GANG, **changes), PLACE, OWNER)]
    )
    return found


def templates(value: Any) -> Iterator[dict[str, Any]]:
    """What of these documents describes a pod."""
    if isinstance(value, list):
        for each in value:
            yield from templates(each)
    elif isinstance(value, dict):
        if "containers" in value.get("spec", {}):
            yield value
        for each in value.values():
            yield from templates(each)


@AS_NAMED
def test_a_rank_is_the_program_of_ranks_with_its_limits_and_its_number(maker: RankMaker) -> None:
    (one,) = template(maker)["spec"]["containers"]
    assert (one["command"], one["args"]) == (["python"], ["-m", "fairlead.training.rank"])
    assert one["image"] == "fairlead:1"
    assert one["resources"]["limits"] == {"memory": str(1 << 30)}
    assert one["resources"]["requests"] == {"cpu": "0.5", "memory": str(1 << 30)}
    (number,) = [each for each in one["env"] if each["name"] == RANK]
    assert maker.label in number["valueFrom"]["fieldRef"]["fieldPath"]


@AS_NAMED
def test_a_rank_may_do_nothing_on_the_cluster_and_nothing_to_its_node(maker: RankMaker) -> None:
    spec = template(maker)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    (one,) = spec["containers"]
    assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert one["securityContext"]["readOnlyRootFilesystem"] is True


@AS_NAMED
def test_secrets_are_in_the_secret_alone(maker: RankMaker) -> None:
    made = maker.objects(GANG, PLACE, OWNER)
    for each in made:
        assert "hunter" not in json.dumps(each.to_dict())
    (one,) = template(maker)["spec"]["containers"]
    assert one["envFrom"] == [{"secretRef": {"name": GANG.key}}]
    told = gang_secret(GANG, OWNER).stringData or {}
    wanted = {
        ADDRESS: "10.42.0.7:40123",
        SECRET: "hunter2",
        "FAIRLEAD_ARTIFACTS": "s3://bucket/prefix",
        "AWS_SECRET_ACCESS_KEY": "hunter3",
    }
    assert wanted.items() <= told.items()


@AS_NAMED
def test_all_of_a_gang_is_found_by_its_label_and_goes_with_the_drivers_pod(
    maker: RankMaker,
) -> None:
    besides = (gang_secret(GANG, OWNER), gang_policy(GANG, OWNER))
    for each in (*besides, *maker.objects(GANG, PLACE, OWNER)):
        assert each.metadata is not None
        assert each.metadata.name == GANG.key
        assert each.metadata.labels["fairlead.dev/gang"] == GANG.key
        assert each.metadata.ownerReferences == [OWNER]
        assert each.metadata.annotations[DIGEST_ANNOTATION] == gang_digest(GANG)
    labels = template(maker)["metadata"]["labels"]
    assert labels["fairlead.dev/gang"] == GANG.key
    assert labels["app.kubernetes.io/component"] == "rank"


@AS_NAMED
def test_ranks_are_reached_by_each_other_alone(maker: RankMaker) -> None:
    spec = gang_policy(GANG, OWNER).to_dict()["spec"]
    gang = spec["podSelector"]
    assert gang["matchLabels"].items() <= template(maker)["metadata"]["labels"].items()
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [{"from": [{"podSelector": gang}]}]


@AS_NAMED
def test_nodes_are_not_emptied_of_ranks_that_end_together(maker: RankMaker) -> None:
    assert not template(maker)["metadata"].get("annotations")
    kept = template(maker, collective=True)["metadata"]["annotations"]
    assert kept["karpenter.sh/do-not-disrupt"] == "true"


def test_a_gang_is_another_where_what_its_ranks_are_told_is_but_not_where_it_grows() -> None:
    assert gang_digest(replace(GANG, ranks=5)) == gang_digest(GANG)
    for change in ({"secret": "other"}, {"address": "10.42.0.8:1"}, {"memory": 1 << 31}):
        assert gang_digest(replace(GANG, **change)) != gang_digest(GANG)


def test_an_indexed_job_grows_by_both_its_numbers() -> None:
    maker = IndexedJobs()
    service, job = maker.objects(GANG, PLACE, OWNER)
    assert isinstance(job, Job)
    assert job.spec is not None
    assert (job.spec.completionMode, job.spec.completions, job.spec.parallelism) == (
        "Indexed",
        3,
        3,
    )
    assert maker.grown(5) == {"spec": {"completions": 5, "parallelism": 5}}
    assert service.spec.clusterIP == "None"
    assert job.spec.template.spec is not None
    assert job.spec.template.spec.subdomain == service.metadata.name
    assert maker.label == INDEX


def test_ranks_of_a_tfjob_become_more_unless_they_are_told_of_each_other() -> None:
    for collective in (False, True):
        (made,) = TFJobs().objects(replace(GANG, collective=collective), PLACE, OWNER)
        assert made.spec["enableDynamicWorker"] is not collective
        assert made.spec["successPolicy"] == "AllWorkers"
    assert template(TFJobs())["spec"]["containers"][0]["name"] == "tensorflow"


def test_ranks_that_need_each_other_end_with_one_and_others_are_made_again() -> None:
    def job(*, collective: bool) -> Any:
        return IndexedJobs().objects(replace(GANG, collective=collective), PLACE, OWNER)[1].spec

    assert job(collective=True).backoffLimit == 0
    assert job(collective=True).backoffLimitPerIndex is None
    assert job(collective=False).backoffLimitPerIndex > 100
    (disrupted,) = job(collective=False).podFailurePolicy.rules
    assert disrupted.action == "Ignore"
    for collective, restarts in ((True, "Never"), (False, "OnFailure")):
        (made,) = TFJobs().objects(replace(GANG, collective=collective), PLACE, OWNER)
        assert made.spec["tfReplicaSpecs"]["Worker"]["restartPolicy"] == restarts


def test_an_elastic_gang_is_scaled_between_what_it_is_and_what_it_may_become() -> None:
    service, scaler, made = ElasticSets().objects(replace(GANG, most=8), PLACE, OWNER)
    assert (made.spec.replicas, made.spec.podManagementPolicy) == (3, "Parallel")
    assert made.spec.serviceName == service.metadata.name
    assert made.spec.selector.matchLabels.items() <= made.spec.template.metadata.labels.items()
    assert made.spec.template.spec.restartPolicy == "Always"
    assert (scaler.spec.minReplicas, scaler.spec.maxReplicas) == (3, 8)
    assert scaler.spec.scaleTargetRef.name == made.metadata.name
    assert ElasticSets().making(made) == Making(ranks=3)


def test_a_trainjob_runs_as_what_it_brings_and_does_not_grow() -> None:
    runs_as, made = TrainJobs().objects(GANG, PLACE, OWNER)
    assert made.spec["runtimeRef"]["name"] == runs_as.metadata.name
    assert made.spec["trainer"]["numNodes"] == runs_as.spec["mlPolicy"]["numNodes"] == 3
    with pytest.raises(Invalid, match="cannot grow to 4 ranks"):
        TrainJobs().grown(4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key": "7-digits"}, "no key of a gang"),
        ({"key": "a" * 41}, "no key of a gang"),
        ({"address": "127.0.0.1:4000"}, "which no pod reaches: run the study on the cluster"),
        ({"artifacts": "/home/me/artifacts"}, "a folder of this machine, which no pod has"),
        ({"artifacts": "file:///home/me"}, "a folder of this machine, which no pod has"),
        ({"artifacts": "/var/lib/fairlead-artifacts"}, "a folder of this machine"),
    ],
)
def test_a_gang_that_cannot_be_on_a_cluster_is_refused(change: dict[str, str], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        refuse_gang(replace(GANG, **change), PLACE)  # type: ignore[arg-type]


def test_artefacts_on_a_claim_are_there_for_ranks_too() -> None:
    place = PodPlace(image="fairlead:1", claim="fairlead-artifacts")
    refuse_gang(replace(GANG, artifacts="/var/lib/fairlead-artifacts"), place)
    refuse_gang(GANG, PLACE)
