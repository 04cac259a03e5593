"""What befalls an installation under a Study: each trial counts once, as on one machine.

One installation serves all of it, with both servers. What is wrong stands in the Study's status and
in what `fairlead run --on kubernetes` prints, and the Study goes on by itself. What befalls the
cluster itself: test_cluster_faults.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightkube.models.core_v1 import ResourceQuotaSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment, StatefulSet
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod, ResourceQuota
from lightkube.resources.rbac_authorization_v1 import Role
from tests.support.followed import following, running
from tests.support.installation import (
    LONG,
    Installed,
    installation,
    slow,
)
from tests.support.waiting import wait_until

from fairlead.kube.install.rights import OPERATOR
from fairlead.kube.kinds import STUDIES
from fairlead.operator.study_object import StudyObject
from fairlead.operator.submission import submission_name

SUBMISSION = {"app.kubernetes.io/component": "submission"}
WORKER = {"app.kubernetes.io/component": "worker"}


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with installation("postgresql", "rabbitmq") as made:
        yield made


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
