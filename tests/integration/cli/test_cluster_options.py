"""The options of commands with `--on kubernetes`, up to where a cluster is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ON = ["--on", "kubernetes"]


def refused(folder: Path, *words: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "fairlead", "--home", str(folder / "home"), *words],
        env={**os.environ, "KUBECONFIG": str(folder / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert not (folder / "home").exists()
    return ended.stderr


@pytest.mark.parametrize(
    ("least", "said"), [("0", "kubeconfig"), ("2", "kubeconfig"), ("-1", "--min")]
)
def test_replicas_may_be_none_while_nobody_asks(tmp_path: Path, least: str, said: str) -> None:
    assert said in refused(tmp_path, "deploy", "m", *ON, "--min", least)


@pytest.mark.parametrize(
    "words",
    [
        ("deploy", "m", "--min", "2"),
        ("deploy", "m", "--namespace", "trials"),
        ("run", "spec.yaml", "--cpu", "500m"),
        ("run", "spec.yaml", "--context", "other"),
        ("watch", "m", "--namespace", "trials"),
        ("doctor", "--image", "fairlead:1"),
    ],
)
def test_what_is_of_a_cluster_is_not_ignored_without_one(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "spec.yaml").write_text("")
    there = [str(tmp_path / one) if one == "spec.yaml" else one for one in words]
    assert f"{words[-2]} needs --on kubernetes" in refused(tmp_path, *there)


def test_a_server_is_another_way_than_a_cluster(tmp_path: Path) -> None:
    told = refused(tmp_path, "--server", "http://127.0.0.1:1", "watch", "m", *ON)
    assert "--server and --on kubernetes are two ways" in told


@pytest.mark.parametrize("words", [("uninstall", "--purge"), ("watch", "m", *ON)])
def test_a_name_that_no_namespace_has_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert "namespace 'Bad_NS'" in refused(tmp_path, *words, "--namespace", "Bad_NS")
