"""The options of `fairlead deploy --on kubernetes`, up to where a cluster is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("least", "said"), [("0", "kubeconfig"), ("2", "kubeconfig"), ("-1", "--min")]
)
def test_replicas_may_be_none_while_nobody_asks(tmp_path: Path, least: str, said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "fairlead", "deploy", "m", "--on", "kubernetes", "--min", least],
        env={**os.environ, "KUBECONFIG": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert said in ended.stderr
