"""The ten minutes of the page on serving, run as they are written."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


STOPS = "kill $server && wait $server"  # what the ten minutes end with


def section(title: str) -> str:
    """What stands under this heading of the page."""
    page = (ROOT / "docs/serving.md").read_text()
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks(title: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section(title), re.DOTALL)


def tour() -> str:
    """The commands of the page at a port that is free, the Python ones before the server stops."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    commands = "".join(blocks("Ten minutes", "sh"))
    assert commands.count(STOPS) == 1
    asking = "".join(f"python - <<'END'\n{one}END\n" for one in blocks("From Python", "python"))
    return commands.replace(STOPS, f"{asking}{STOPS}").replace("8080", str(port))


def without_digits(text: str) -> str:
    """The same without what another release of scikit-learn may predict otherwise."""
    return re.sub(r"\d+\.\d+", "#", text)


@pytest.mark.timeout(900)  # as long as it takes on a busy machine
def test_the_page_goes_through_as_written(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"trap 'kill $(jobs -p) || :' EXIT\n{tour()}"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "FAIRLEAD_MLFLOW_URI": "none"},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"answered by \{'v1': \d+, 'v2': \d+\}", done.stdout)
    assert "boston-prices: route 5, v1 100 % (was v2 100 %)" in done.stdout
    assert without_digits("".join(blocks("From Python", "text"))) in without_digits(done.stdout)
    assert len(set(re.findall(r"^\[(\S+)\] by", done.stdout, re.MULTILINE))) == 1
    assert "stopped" in done.stderr
