"""The Job that submits a Study, and what it is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod
from ruamel.yaml import YAML

from fairlead.errors import Conflict
from fairlead.kube.place import PodPlace
from fairlead.operator.decide import Submission
from fairlead.operator.study_object import StudyObject, StudyWorkers
from fairlead.operator.submission import (
    STUDY_UID_LABEL,
    is_outdated,
    refuse_other,
    study_files,
    submission_job,
    submission_name,
    submission_state,
)

STUDY = StudyObject(
    name="boston-prices",
    namespace="ml",
    uid="u-1",
    document={"name": "boston-prices", "search": {"over": [{"family": "./nets/net.py:Net"}]}},
    files={"nets/net.py": "class Net: ...\n", "rows.csv": "a,b\n"},
    deploy=True,
    workers=StudyWorkers(memory="2Gi"),
)


def job(study: StudyObject = STUDY) -> Job:
    return submission_job(study, PodPlace(image="fairlead:1"), "fairlead")


def test_the_document_is_yaml_beside_its_files_by_their_own_names() -> None:
    content, spec = study_files(STUDY).data, job().spec
    assert content is not None
    assert spec is not None
    assert spec.template.spec is not None
    assert YAML(typ="safe").load(content["spec.yaml"]) == STUDY.document
    (volume,) = (one for one in spec.template.spec.volumes or () if one.name == "study")
    assert volume.configMap is not None
    placed = {item.path: content[item.key] for item in volume.configMap.items or ()}
    assert {name: placed[name] for name in STUDY.files} == STUDY.files
    assert "spec.yaml" in placed


def test_it_is_owned_by_its_study_and_named_by_what_it_submits() -> None:
    metadata = job().metadata
    assert metadata is not None
    assert (metadata.labels or {})[STUDY_UID_LABEL] == STUDY.uid
    assert metadata.name == submission_name(STUDY) == study_files(STUDY).metadata.name  # type: ignore[union-attr]
    (owner,) = metadata.ownerReferences or ()
    assert (owner.kind, owner.uid, owner.controller) == ("Study", "u-1", True)


def test_the_users_code_runs_without_a_token_and_with_the_memory_of_a_worker() -> None:
    spec = job().spec
    assert spec is not None
    pod = spec.template.spec
    assert pod is not None
    assert pod.automountServiceAccountToken is False
    assert pod.containers[0].resources is not None
    assert pod.containers[0].resources.limits == {"memory": "2Gi"}
    assert "--deploy" in (pod.containers[0].args or ())


def made(condition: str | None) -> Job:
    one = job().to_dict()
    conditions = [{"type": condition, "status": "True", "message": "it failed"}]
    return Job.from_dict({**one, "status": {"conditions": conditions if condition else []}})


def pod(created: str, **state: Any) -> Pod:
    container = {"name": "submit", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    return Pod.from_dict(
        {
            "metadata": {"name": "p", "creationTimestamp": created},
            "spec": {"containers": [{"name": "submit", "image": "fairlead:1"}]},
            "status": {"phase": "Pending", "containerStatuses": [{**container, "state": state}]},
        }
    )


def ended(created: str, message: str, status: int = 1) -> Pod:
    return pod(created, terminated={"exitCode": status, "message": message})


CREATED = {"reason": "ContainerCreating"}


@pytest.mark.parametrize(
    ("condition", "pods", "state", "text"),
    [
        ("Complete", [ended("2026-01-01T00:00:00Z", "s.1", 0)], "succeeded", "s.1"),
        (
            "Failed",
            [ended("2026-01-01T00:00:00Z", "a\nspec.yaml: no\n")],
            "lost",
            "spec.yaml: no; trying again",
        ),
        ("Failed", [], "lost", "it failed; trying again"),
        ("Complete", [], "lost", "what it said is gone with its pod; trying again"),
        ("Failed", [ended("2026-01-01T00:00:00Z", "spec.yaml: no", 2)], "refused", "spec.yaml: no"),
        (None, [], "waiting", ""),
        (None, [pod("2026-01-01T00:00:00Z", running={})], "running", ""),
        (None, [pod("2026-01-01T00:00:00Z", waiting=CREATED)], "running", ""),
        # A Job says it a second or two after its pod, and only a pod that went wrong has another.
        (None, [ended("2026-01-01T00:00:00Z", "s.1", 0)], "succeeded", "s.1"),
        (None, [ended("2026-01-01T00:00:00Z", "spec.yaml: no", 2)], "refused", "spec.yaml: no"),
        (
            None,
            [ended("2026-01-01T00:00:00Z", "the ledger is away", 1)],
            "waiting",
            "the ledger is away; trying again",
        ),
    ],
)
def test_what_came_of_it_is_what_its_pod_said_last(
    condition: str | None, pods: list[Pod], state: Any, text: str
) -> None:
    found = submission_state(made(condition), pods)
    assert found == Submission(digest=STUDY.digest, state=state, text=text)


def test_of_several_pods_the_newest_tells() -> None:
    pods = [ended("2026-01-02T00:00:00Z", "new"), ended("2026-01-01T00:00:00Z", "old")]
    assert submission_state(made("Failed"), pods).text == "new; trying again"


def test_a_pod_that_could_not_say_why_it_ended_is_said() -> None:
    killed = pod("2026-01-01T00:00:00Z", terminated={"exitCode": 137, "reason": "OOMKilled"})
    found = submission_state(made("Failed"), [killed])
    assert (found.state, found.text) == ("lost", "its pod ended with OOMKilled; trying again")


def test_why_no_pod_is_made_is_said() -> None:
    found = submission_state(made(None), [], refusal="exceeded quota: none")
    assert (found.state, found.text) == ("waiting", "its Job makes no pod: exceeded quota: none")


def test_a_job_of_somebody_else_is_refused_by_its_name() -> None:
    refuse_other(job(), STUDY)
    other = Job.from_dict({"metadata": {"name": submission_name(STUDY)}})
    with pytest.raises(Conflict, match="is there and not of Fairlead"):
        refuse_other(other, STUDY)


def test_of_another_image_or_with_other_resources_it_is_another_job() -> None:
    place = PodPlace(image="fairlead:1")
    assert not is_outdated(job(), STUDY, place)
    assert is_outdated(job(), STUDY, replace(place, image="fairlead:2"))
    smaller = replace(STUDY, workers=StudyWorkers(memory="1Gi"))
    assert smaller.digest == STUDY.digest
    assert is_outdated(job(), smaller, place)
    somebody_elses = Job.from_dict({"metadata": {"name": submission_name(STUDY)}})
    assert not is_outdated(somebody_elses, STUDY, place)


def test_an_image_that_cannot_be_pulled_is_said_while_it_waits() -> None:
    waiting = {"reason": "ErrImagePull", "message": "not found"}
    one = pod("2026-01-01T00:00:00Z", waiting=waiting)
    found = submission_state(made(None), [one])
    assert found.state == "waiting"
    assert "fairlead:1" in found.text
