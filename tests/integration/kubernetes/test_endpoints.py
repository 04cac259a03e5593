"""Endpoints on a real cluster: canaries and rollouts under load, sleep, and ways in."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from lightkube.resources.core_v1 import Pod
from lightkube.resources.networking_v1 import Ingress
from lightkube.resources.policy_v1 import PodDisruptionBudget
from tests.support import endpoints
from tests.support.endpoints import LONG, MODEL, SERVING, Installed, make_versions, rolled_out
from tests.support.waiting import wait_until

# A busy machine is slow, and no step of a canary is to last long.
SERVE = {"judge": {"hold": "2s", "requests": 100, "slower": 50.0}}
UNPROMOTED = {"promote": {"when": "never"}, "serve": SERVE}


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    """With version 1, version 2 that predicts the same but for a little, and 3 that does not."""
    with endpoints.installed() as found:
        make_versions(found, first={"serve": SERVE}, second=UNPROMOTED, shifted_100=UNPROMOTED)
        found.apply(version=1, min=2)
        found.deploy("--version", "1", "--min", "2")
        yield found


def test_a_canary_under_load_goes_on_by_what_all_replicas_saw_and_no_request_fails(
    installed: Installed,
) -> None:
    after = other(installed)
    with installed.clients() as seen:
        said = installed.deploy("--version", str(after), "--canary", "10,50,100", "--min", "2")
    assert f"v{after} 100 %" in said
    assert not seen.failures
    assert set(seen.revisions) == {"v1", "v2"}


def test_a_version_that_predicts_otherwise_is_taken_back_and_no_request_fails(
    installed: Installed,
) -> None:
    live = installed.status()["version"]
    with installed.clients() as seen:
        words = ("--version", "3", "--canary", "50,100", "--min", "2")
        said = installed.deploy(*words, fails=True)
    assert "its predictions drifted" in said
    assert not seen.failures
    assert set(seen.revisions) == {f"v{live}", "v3"}
    assert installed.status()["version"] == live


def test_a_rollout_of_the_program_loses_no_request_over_connections_that_are_kept(
    installed: Installed,
) -> None:
    before, live = names(installed), installed.status()["version"]
    with installed.clients() as seen:
        installed.kubectl("rollout", "restart", f"deployment/{MODEL}")
        rolled_out(installed)
    assert not before & names(installed)
    assert not seen.failures
    assert seen.revisions.keys() == {f"v{live}"}


def test_a_replica_that_is_deleted_or_evicted_loses_no_request(installed: Installed) -> None:
    budget = installed.cluster.get(PodDisruptionBudget, MODEL).spec
    assert budget is not None
    assert budget.maxUnavailable == 1
    with installed.clients() as seen:
        for end in (deleted, evicted):
            end(installed, min(names(installed)))
            rolled_out(installed)
    assert not seen.failures


def test_a_canary_goes_on_while_the_replica_that_carries_it_out_is_replaced(
    installed: Installed,
) -> None:
    after = other(installed)
    with installed.clients() as seen:
        installed.apply(version=after, min=2, canary=[50, 100])
        wait_until(lambda: f"v{after} 50 %" in installed.status()["traffic"], seconds=LONG)
        installed.kubectl("rollout", "restart", f"deployment/{MODEL}")
        rolled_out(installed)
        wait_until(lambda: installed.is_live(after, "2/2"), seconds=LONG)
    assert not seen.failures
    assert set(seen.revisions) == {"v1", "v2"}


def test_replicas_follow_the_load_up_and_down(installed: Installed) -> None:
    installed.apply(version=1, min=1, max=3, resources={"cpu": "100m", "memory": "512Mi"})
    wait_until(lambda: has_autoscaler(installed), seconds=LONG)
    soon = {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}  # else five minutes
    patch = ("patch", "hpa", MODEL, "--type", "merge", "-p", json.dumps({"spec": soon}))
    installed.kubectl(*patch)
    with installed.clients(connections=6, pause=0.0) as many:
        wait_until(lambda: installed.status()["ready"] in {"2/2", "3/3"}, seconds=LONG)
    with installed.clients(connections=1, pause=0.5) as few:
        wait_until(lambda: installed.status()["ready"] == "1/1", seconds=LONG)
    assert not many.failures
    assert not few.failures


def test_without_a_range_of_replicas_there_is_no_autoscaler(installed: Installed) -> None:
    installed.apply(version=1, min=1)
    wait_until(lambda: not has_autoscaler(installed), seconds=LONG)


def other(installed: Installed) -> int:
    """The version to go to from that which is live: tests may come in any order."""
    return 2 if installed.status()["version"] == 1 else 1


def has_autoscaler(installed: Installed) -> bool:
    return bool(installed.cluster.list(HorizontalPodAutoscaler))


def test_an_endpoint_has_a_name_and_answers_at_each_node(installed: Installed) -> None:
    named = ("--host", "line.example.com", "--tls-secret", "line-tls")
    said = installed.deploy("--version", "1", "--expose", "node", *named)
    assert f"https://line.example.com/models/{MODEL}:predict" in said
    (ingress,) = installed.cluster.list(Ingress)
    assert ingress.spec is not None
    assert [rule.host for rule in ingress.spec.rules or ()] == ["line.example.com"]
    installed.change(ingress=None)
    wait_until(lambda: not installed.cluster.list(Ingress), seconds=LONG)
    wait_until(lambda: "example.com" not in installed.status()["url"], seconds=LONG)
    shown = installed.kubectl("get", "endpoints.fairlead.dev", MODEL, "--no-headers").split()
    (url,) = (word for word in shown if word.startswith("http://"))
    assert url == installed.status()["url"]
    assert installed.predicted(url)["revision"] == "v1"
    installed.change(service=None)
    wait_until(lambda: f"http://{MODEL}." in installed.status()["url"], seconds=LONG)


def test_an_endpoint_that_sleeps_wakes_up_for_requests_and_fails_none(
    installed: Installed,
) -> None:
    installed.apply(version=1, min=0, sleepAfterSeconds=5)
    for _ in range(2):
        wait_until(lambda: not installed.cluster.list(Pod, labels=SERVING), seconds=LONG)
        with installed.clients() as seen:
            wait_until(lambda: installed.is_live(1, "1/1"), seconds=LONG)
        assert not seen.failures
        assert seen.revisions.keys() == {"v1"}


def test_the_control_api_speaks_tls_by_the_pair_of_a_secret(installed: Installed) -> None:
    asking = (
        "import ssl, urllib.request\n"
        "own = ssl.create_default_context(cafile='/etc/fairlead/certificate/tls.crt')\n"
        "url = 'https://fairlead-server:8000/api/v1/health'\n"
        "print(urllib.request.urlopen(url, timeout=60, context=own).status)\n"
    )
    pod = ("exec", "deploy/fairlead-server", "--", "python", "-c", asking)
    assert installed.kubectl(*pod).strip() == "200"


def test_the_operator_asked_for_nothing_that_it_may_not_do(installed: Installed) -> None:
    log = installed.kubectl("logs", "deployment/fairlead-operator", "--tail", "-1")
    assert "forbidden" not in log


def names(installed: Installed) -> set[str]:
    """Of the replicas."""
    return {str(one.metadata.name) for one in installed.replicas() if one.metadata}


def deleted(installed: Installed, name: str) -> None:
    installed.cluster.delete(Pod, name)


def evicted(installed: Installed, name: str) -> None:
    """As by a drain of its node."""
    namespace = installed.cluster.namespace
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    installed.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(body))
