"""The ten minutes of the page on serving, run as they are written."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tour() -> str:
    """Its commands, with a port that is free."""
    section = (ROOT / "docs/serving.md").read_text().split("## Ten minutes")[1].split("\n## ")[0]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return "".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL)).replace("8080", str(port))


def test_the_ten_minutes_go_through_as_written(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"trap 'kill $(jobs -p) || :' EXIT\n{tour()}"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "FAIRLEAD_MLFLOW_URI": "none"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"answered by \{'v1': \d+, 'v2': \d+\}", done.stdout)
    assert "boston-prices: route 5, v1 100 % (was v2 100 %)" in done.stdout
    assert "stopped" in done.stderr
