"""Where workers are to run: what cannot be is one line, and status 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.ledger.store import open_ledger

PODS = ("--runner", "kubernetes", "--image", "fairlead:1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cores", "2"], "--cores goes with --runner ray or --runner kubernetes only."),
        (["--runner", "ray", "--pull-secret", "x"], "--pull-secret goes with --runner kubernetes"),
        (["--runner", "kubernetes"], "Give --image or $FAIRLEAD_IMAGE."),
        ([*PODS, "--address", "auto"], "--address goes with --runner ray only."),
        ([*PODS, "--node-selector", "pool"], "--node-selector 'pool' is not KEY=VALUE."),
        ([*PODS, "--toleration", "a=b:Never"], "--toleration 'a=b:Never' is not KEY[=VALUE]"),
        ([*PODS, "--env", "FAIRLEAD_NO_SUCH"], "$FAIRLEAD_NO_SUCH is to be given to"),
        (PODS, "which no pod can open: use PostgreSQL or a server ($FAIRLEAD_LEDGER)"),
    ],
    ids=["local", "ray", "image", "address", "label", "taint", "variable", "ledger"],
)
def test_what_cannot_be_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(config(tmp_path)))
    with open_ledger(tmp_path / "ledger.db"):
        pass
    program = [sys.executable, "-m", "fairlead", "--home", str(tmp_path), "autoscale"]
    ended = subprocess.run([*program, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def config(folder: Path) -> Path:
    path = folder / "config"
    path.write_text(
        """
        clusters: [{name: here, cluster: {server: "http://127.0.0.1:9"}}]
        users: [{name: me, user: {}}]
        contexts: [{name: here, context: {cluster: here, user: me}}]
        current-context: here
        """
    )
    return path


def test_without_a_kubeconfig_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with open_ledger(tmp_path / "ledger.db"):
        pass
    program = [sys.executable, "-m", "fairlead", "--home", str(tmp_path), "autoscale", *PODS]
    ended = subprocess.run(program, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "set $KUBECONFIG to one file" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
