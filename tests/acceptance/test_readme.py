"""The five-minute tour of the README, run as it is written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


SERVED = """
fairlead serve --port 0 > serve.log &
server=$!
trap 'kill $server' EXIT
until grep -q ^curl serve.log; do kill -0 $server; sleep 0.1; done
"""


def tour() -> str:
    """The commands of the tour, without those that set up; the second terminal is a background."""
    section = (ROOT / "README.md").read_text().split("## Five minutes")[1]
    first, second, *_ = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    lines = f"{first}{SERVED}{second}".splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("make ", ". .venv")))


@pytest.mark.timeout(900)  # as long as it takes on a busy machine
def test_the_tour_goes_through_as_written(boston: Path, tmp_path: Path) -> None:
    """After `make run`, as it says; docs/serving.md begins without a home."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copytree(boston / "home", tmp_path / ".fairlead")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", tour()],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "FAIRLEAD_MLFLOW_URI": "none"},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "boston-prices: champion v1 (was v2)" in done.stdout
    assert "equal: boston-prices v1, 108 trials" in done.stdout
    assert "28.917" in done.stdout
    assert "answers the golden rows to the last bit" in done.stdout


def test_the_notebook_lines_go_through_as_written(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    code = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]
    script = code.replace("demo/boston.yaml", "examples/boston.yaml").replace(
        'run("examples/boston.yaml")', 'run("examples/boston.yaml", sets=["search.trials=4"])'
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "FAIRLEAD_MLFLOW_URI": "none"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_link_of_the_documents_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks/README.md"]
    for page in pages:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
