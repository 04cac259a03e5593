"""Endpoints on a real cluster: canaries and rollouts under load, sleep, and ways in."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from lightkube.resources.core_v1 import Pod
from lightkube.resources.policy_v1 import PodDisruptionBudget
from tests.support import endpoints
from tests.support.endpoints import LONG, MODEL, Installed, make_versions, rolled_out
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
    with installed.clients() as seen:
        said = installed.deploy("--version", "2", "--canary", "10,50,100", "--min", "2")
    assert "v2 100 %" in said
    assert not seen.failures
    assert set(seen.revisions) == {"v1", "v2"}


def test_a_version_that_predicts_otherwise_is_taken_back_and_no_request_fails(
    installed: Installed,
) -> None:
    with installed.clients() as seen:
        words = ("--version", "3", "--canary", "50,100", "--min", "2")
        said = installed.deploy(*words, fails=True)
    assert "its predictions drifted" in said
    assert not seen.failures
    assert set(seen.revisions) == {"v2", "v3"}
    assert installed.status()["version"] == 2


def test_a_rollout_of_the_program_loses_no_request_over_connections_that_are_kept(
    installed: Installed,
) -> None:
    before = names(installed)
    with installed.clients() as seen:
        installed.kubectl("rollout", "restart", f"deployment/{MODEL}")
        rolled_out(installed)
    assert not before & names(installed)
    assert not seen.failures
    assert seen.revisions.keys() == {"v2"}


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
    with installed.clients() as seen:
        installed.apply(version=1, min=2, canary=[50, 100])
        wait_until(lambda: "v1 50 %" in installed.status()["traffic"], seconds=LONG)
        installed.kubectl("rollout", "restart", f"deployment/{MODEL}")
        rolled_out(installed)
        wait_until(lambda: installed.is_live(1, "2/2"), seconds=LONG)
    assert not seen.failures
    assert set(seen.revisions) == {"v1", "v2"}


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
