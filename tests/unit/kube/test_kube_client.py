"""What an API server or a kubeconfig refuses is one line with a code of Fairlead's."""

from __future__ import annotations

from pathlib import Path

import pytest
from lightkube.models.meta_v1 import Status
from lightkube.resources.core_v1 import Pod
from tests.support.ports import free_ports

from fairlead.errors import (
    Conflict,
    Failed,
    FairleadError,
    Forbidden,
    Invalid,
    NotFound,
    Unreachable,
)
from fairlead.kube.client import Cluster, refusal

CONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: here, cluster: {server: "http://127.0.0.1:PORT"}}]
users: [{name: me, user: {}}]
contexts: [{name: here, context: {cluster: here, user: me, namespace: work}}]
current-context: here
"""


@pytest.mark.parametrize(
    ("code", "kind", "named"),
    [
        (400, Invalid, "kubernetes_refused"),
        (401, Failed, "kubernetes_unauthorized"),
        (403, Forbidden, "kubernetes_forbidden"),
        (404, NotFound, "not_found"),
        (409, Conflict, "conflict"),
        (422, Invalid, "kubernetes_refused"),
        (429, Unreachable, "unreachable"),
        (503, Unreachable, "unreachable"),
        (None, Invalid, "kubernetes_refused"),
    ],
)
def test_each_answer_is_an_error_of_one_line(
    code: int | None, kind: type[FairleadError], named: str
) -> None:
    error = refusal("Kubernetes: list pods", Status(code=code, message="it says\nno"))
    assert type(error) is kind
    assert error.code == named
    assert str(error).startswith("Kubernetes: list pods: it says no")
    assert "\n" not in str(error)


def test_kinds_of_another_fairlead_are_said_to_be_that() -> None:
    said = "failed to create typed patch object: .spec.floats: field not declared in schema"
    error = refusal("Kubernetes: apply studies boston", Status(code=500, message=said))
    assert isinstance(error, Invalid)
    assert "fairlead install brings those of this one" in str(error)


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (port,) = free_ports(1)
    path = tmp_path / "config"
    path.write_text(CONFIG.replace("PORT", str(port)))
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def test_a_server_that_is_away_is_said_at_once(kubeconfig: Path) -> None:
    with Cluster() as cluster:
        assert cluster.namespace == "work"
        with pytest.raises(Unreachable, match=r"list pods: the API server http://.* is away: "):
            cluster.list(Pod)
        with pytest.raises(Unreachable, match="get pods/log one: the API server"):
            cluster.log("one", lines=10)


def test_a_namespace_that_is_given_goes_before_the_contexts(kubeconfig: Path) -> None:
    with Cluster(namespace="other") as cluster:
        assert cluster.namespace == "other"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "ParserError"),
        ("clusters: []", "'contexts'"),
        ("[]", "AttributeError"),
        (CONFIG.replace("user: me, ", ""), "Missing user"),
        (CONFIG.replace("current-context: here", "current-context: there"), "'there' not found"),
    ],
    ids=["yaml", "part", "list", "user", "context"],
)
def test_a_kubeconfig_that_is_wrong_is_one_line(kubeconfig: Path, text: str, said: str) -> None:
    kubeconfig.write_text(text)
    with pytest.raises(Invalid, match=said) as refused:
        Cluster()
    assert refused.value.code == "kubernetes_config"
    assert "\n" not in str(refused.value)


def test_no_kubeconfig_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(Invalid, match="not found; set"):
        Cluster()


def test_a_context_that_is_not_there_is_one_line(kubeconfig: Path) -> None:
    with pytest.raises(Invalid, match="no context 'other'; contexts: here"):
        Cluster(context="other")
