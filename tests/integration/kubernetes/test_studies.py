"""Studies and Endpoints on a real cluster, kept by the operator of a real installation."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod, Secret
from tests.lacking import lacking
from tests.support.installation import LONG, SMALL, Installed, installation, on_this_machine, slow
from tests.support.waiting import wait_until

from fairlead.kube.install.rights import OPERATOR
from fairlead.kube.kinds import API_VERSION, ENDPOINTS, STUDIES
from fairlead.kube.pods import GROUP_LABEL

SUBMISSION = {"app.kubernetes.io/component": "submission"}

# Trees: what BLAS computes differs in the last bits from one kind of processor to another.
TREE: Mapping[str, Any] = {
    "data": {"source": "diabetes", "seed": 0},
    "search": {
        "method": "tpe",
        "folds": 2,
        "trials": 6,
        "lag": 1,
        "over": [
            {
                "family": "sklearn.tree:DecisionTreeRegressor",
                "params": {"max_depth": {"low": 1, "high": 12}},
            }
        ],
    },
}


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with installation() as made:
        yield made


def test_a_study_is_that_of_one_machine_and_ends_with_a_version(
    installed: Installed, tmp_path: Path
) -> None:
    spec = {**TREE, **SMALL}
    installed.apply("tree", spec)
    status = installed.ended("tree")
    assert (status["phase"], status["trials"], status["version"]) == ("Finished", "6/6", 1)
    assert status["verdict"] == "promote"
    conditions = {one["type"]: one["status"] for one in status["conditions"]}
    assert conditions == {"Submitted": "True", "Finished": "True"}
    assert installed.trials(status["study"]) == on_this_machine(tmp_path, "tree", spec)
    wait_until(lambda: not installed.workers(), seconds=LONG)
    assert not installed.cluster.list(Job, labels=SUBMISSION)


def test_a_document_that_is_wrong_is_refused_with_its_line(installed: Installed) -> None:
    installed.apply("wrong", {**TREE, **SMALL, "search": {**TREE["search"], "metric": "accuracy"}})
    status = installed.ended("wrong")
    assert status["phase"] == "Refused"
    assert "spec.yaml" in status["message"]
    assert "accuracy" in status["message"]
    conditions = {one["type"]: one["status"] for one in status["conditions"]}
    assert conditions == {"Submitted": "False", "Failed": "True"}
    installed.apply("wrong", {**TREE, **SMALL, "search": {**TREE["search"], "trials": 3}})
    wait_until(lambda: installed.phase("wrong") == "Finished", seconds=LONG)
    installed.remove("wrong")


def test_what_is_applied_twice_is_run_once(installed: Installed) -> None:
    installed.apply("twice", {**TREE, **SMALL})
    first = installed.ended("twice")
    installed.apply("twice", {**TREE, **SMALL})
    installed.apply("twice", {**TREE, **SMALL, "workers": {"max": 1}})
    wait_until(
        lambda: (
            installed.cluster.get(STUDIES.resource, "twice").metadata.generation  # type: ignore[union-attr]
            == installed.status("twice").get("observedGeneration")
        ),
        seconds=LONG,
    )
    assert installed.status("twice")["run"] == first["run"]
    installed.remove("twice")


def test_workers_and_an_operator_that_are_killed_cost_no_trial(
    installed: Installed, tmp_path: Path
) -> None:
    spec = slow(16, seed=1)
    installed.apply("killed", spec)
    wait_until(lambda: installed.done("killed") >= 2, seconds=LONG)
    victim, operator = installed.workers()[0], {"app.kubernetes.io/component": "operator"}
    for pod in (victim, *installed.cluster.list(Pod, labels=operator)):
        assert pod.metadata is not None
        installed.cluster.delete(Pod, str(pod.metadata.name), grace=0)
    status = installed.ended("killed")
    assert (status["phase"], status["trials"]) == ("Finished", "16/16")
    assert installed.trials(status["study"]) == on_this_machine(tmp_path, "killed", spec)
    installed.remove("killed")


def test_a_study_that_is_changed_while_it_runs_goes_on_with_what_is_there(
    installed: Installed,
) -> None:
    installed.apply("changed", slow(60, seed=2))
    wait_until(lambda: installed.done("changed") >= 2, seconds=LONG)
    first = installed.status("changed")
    installed.apply("changed", slow(62, seed=2))
    wait_until(lambda: installed.status("changed").get("run") != first["run"], seconds=LONG)
    status = installed.ended("changed")
    assert (status["phase"], status["trials"]) == ("Finished", "62/62")
    assert status["study"] == first["study"]
    runs = {one["run"]["id"]: one["run"]["state"] for one in installed.fairlead("runs")}
    assert (runs[first["run"]], runs[status["run"]]) == ("cancelled", "done")
    installed.remove("changed")


def test_a_change_that_is_refused_ends_the_run_of_before(installed: Installed) -> None:
    spec = slow(200, seed=4)
    installed.apply("mistaken", spec)
    wait_until(lambda: installed.done("mistaken") >= 1, seconds=LONG)
    run = installed.status("mistaken")["run"]
    installed.apply("mistaken", {**spec, "search": {**spec["search"], "metric": "accuracy"}})
    wait_until(lambda: installed.phase("mistaken") == "Refused", seconds=LONG)
    assert states(installed, "mistaken") == {run: "cancelled"}
    assert not installed.workers()
    installed.apply("mistaken", {**spec, "search": {**spec["search"], "trials": 3}})
    wait_until(lambda: installed.phase("mistaken") == "Finished", seconds=LONG)
    installed.remove("mistaken")


def test_a_study_that_is_changed_while_it_is_submitted_has_one_run(installed: Installed) -> None:
    installed.apply("hasty", {**slow(200, seed=5), "deploy": True})
    wait_until(lambda: is_submitting(installed), seconds=LONG, every=0.1)
    installed.apply("hasty", slow(200, seed=5))
    changed = {"observedGeneration": 2, "phase": "Searching"}
    wait_until(lambda: changed.items() <= installed.status("hasty").items(), seconds=LONG)
    wait_until(lambda: not installed.cluster.list(Job, labels=SUBMISSION), seconds=LONG)
    going_on = {key for key, state in states(installed, "hasty").items() if state == "running"}
    assert going_on == {installed.status("hasty")["run"]}
    installed.remove("hasty")


def test_a_study_that_is_deleted_while_it_is_submitted_has_no_run(installed: Installed) -> None:
    installed.apply("gone", slow(200, seed=6))
    wait_until(lambda: is_submitting(installed), seconds=LONG, every=0.1)
    installed.remove("gone")
    assert not installed.cluster.list(Job, labels=SUBMISSION)
    assert "running" not in states(installed, "gone").values()


def is_submitting(installed: Installed) -> bool:
    """Whether the program that submits is at work, or was."""
    pods = installed.cluster.list(Pod, labels=SUBMISSION)
    return any(one.status and one.status.phase not in {None, "Pending"} for one in pods)


def states(installed: Installed, name: str) -> dict[str, str]:
    """The state of each run of this name."""
    runs = [one for one in installed.fairlead("runs") if one["study"] == name]
    return {one["run"]["id"]: one["run"]["state"] for one in runs}


def test_workers_go_also_where_no_operator_saw_their_run_end(installed: Installed) -> None:
    installed.apply("unseen", slow(200, seed=7))
    wait_until(lambda: installed.done("unseen") >= 1, seconds=LONG)
    run = installed.status("unseen")["run"]
    with no_operator(installed):
        installed.kubectl("exec", "deploy/fairlead-server", "--", "fairlead", "cancel", run)
        assert installed.workers()
    wait_until(lambda: installed.phase("unseen") == "Cancelled", seconds=LONG)
    wait_until(lambda: not installed.workers(), seconds=LONG)
    wait_until(lambda: not [*filter(labelled, installed.cluster.list(Secret))], seconds=LONG)
    installed.remove("unseen")


def test_workers_of_before_go_also_where_no_operator_saw_the_change(installed: Installed) -> None:
    installed.apply("moved", slow(200, seed=8))
    wait_until(lambda: installed.done("moved") >= 1, seconds=LONG)
    before = groups(installed)
    with no_operator(installed):
        installed.apply("moved", slow(200, seed=9))
        assert groups(installed) == before
    wait_until(lambda: groups(installed) not in (before, set()), seconds=LONG)
    assert not groups(installed) & before
    installed.remove("moved")
    assert not groups(installed)


def groups(installed: Installed) -> set[str]:
    """The groups of workers that are there."""
    jobs = installed.cluster.list(Job, labels={"app.kubernetes.io/component": "worker"})
    return {str((one.metadata.labels or {})[GROUP_LABEL]) for one in jobs if one.metadata}


@contextmanager
def no_operator(installed: Installed) -> Iterator[None]:
    operator = {"app.kubernetes.io/component": "operator"}
    installed.cluster.merge(Deployment, OPERATOR, {"spec": {"replicas": 0}})
    try:
        wait_until(lambda: not installed.cluster.list(Pod, labels=operator), seconds=LONG)
        yield
    finally:
        installed.cluster.merge(Deployment, OPERATOR, {"spec": {"replicas": 1}})


def test_a_study_that_is_deleted_in_the_middle_leaves_nothing_on_the_cluster(
    installed: Installed,
) -> None:
    installed.apply("deleted", slow(200, seed=3))
    wait_until(lambda: installed.done("deleted") >= 1, seconds=LONG)
    run = installed.status("deleted")["run"]
    installed.remove("deleted")
    runs = {one["run"]["id"]: one["run"]["state"] for one in installed.fairlead("runs")}
    assert runs[run] == "cancelled"
    wait_until(lambda: not installed.workers(), seconds=LONG)
    assert not [one for one in installed.cluster.list(Secret) if labelled(one)]
    assert not installed.cluster.list(Job)


def labelled(secret: Secret) -> bool:
    return bool(secret.metadata and GROUP_LABEL in (secret.metadata.labels or {}))


def test_an_endpoint_serves_the_champion_and_sleeps_while_nobody_asks(installed: Installed) -> None:
    if not any(one["model"] == "tree" for one in installed.fairlead("models")):
        installed.apply("tree", {**TREE, **SMALL})
        assert installed.ended("tree")["phase"] == "Finished"
    kind = {"apiVersion": API_VERSION, "kind": "Endpoint", "metadata": {"name": "tree"}}
    resources = {"cpu": "50m", "memory": "512Mi"}
    spec = {"model": "tree", "min": 1, "resources": resources}
    installed.cluster.apply(ENDPOINTS.resource.from_dict({**kind, "spec": spec}))

    def status() -> Mapping[str, Any]:
        found: Mapping[str, Any] = installed.cluster.get(ENDPOINTS.resource, "tree").status or {}
        return found

    def is_live() -> bool:
        conditions = {one["type"]: one["status"] for one in status().get("conditions", ())}
        return conditions == {"Ready": "True", "Deployed": "True"}

    wait_until(is_live, seconds=LONG)
    assert (status()["version"], status()["ready"]) == (1, "1/1")
    answer = predicted(installed)
    assert len(answer["predictions"]) == 1
    sleeping = {**spec, "min": 0, "sleepAfterSeconds": 5}
    installed.cluster.apply(ENDPOINTS.resource.from_dict({**kind, "spec": sleeping}))
    serving = {"app.kubernetes.io/component": "serving"}
    wait_until(lambda: not installed.cluster.list(Pod, labels=serving), seconds=LONG)
    assert predicted(installed) == answer
    installed.cluster.delete(ENDPOINTS.resource, "tree")
    wait_until(lambda: not installed.cluster.list(Pod, labels=serving), seconds=LONG)


def predicted(installed: Installed) -> Any:
    """What the Endpoint answers to a client in the cluster."""
    asking = (
        "import json, os, sys, urllib.request\n"
        "row = dict.fromkeys('age sex bmi bp s1 s2 s3 s4 s5 s6'.split(), 0.01)\n"
        "body = json.dumps({'rows': [row]}).encode()\n"
        "asked = urllib.request.Request('http://tree/models/tree:predict', body)\n"
        "asked.add_header('Authorization', 'Bearer ' + sys.stdin.read())\n"
        "print(urllib.request.urlopen(asked, timeout=60).read().decode())\n"
    )
    secret = installed.cluster.get(Secret, "fairlead-tokens")
    token = base64.b64decode((secret.data or {})["endpoint-token"])
    kubectl = shutil.which("kubectl") or lacking("kubectl")
    command = [kubectl, "-n", installed.namespace, "exec", "-i", "deploy/fairlead-server", "--"]
    done = subprocess.run(
        [*command, "python", "-c", asking],
        input=token,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
