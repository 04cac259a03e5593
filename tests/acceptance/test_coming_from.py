"""The page for people who come from other tools: its commands and its Optuna code go through."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coming-from.md"


def blocks(language: str) -> list[str]:
    found = re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [text for of, text in found if of == language]


def done(folder: Path, *command: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "FAIRLEAD_MLFLOW_URI": "none"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_study_and_its_export_to_optuna_go_through_as_written(tmp_path: Path) -> None:
    (spec,) = blocks("yaml")
    (tmp_path / "diabetes.yaml").write_text(spec)
    searched, exported, *_ = blocks("")
    printed = done(tmp_path, "bash", "-euo", "pipefail", "-c", searched + exported)
    assert "diabetes" in printed
    own, loading, *_ = blocks("python")
    count, best = done(tmp_path, sys.executable, "-c", loading).split(" ", 1)
    assert count == "20"
    assert "max_depth" in best
    done(tmp_path, sys.executable, "-c", own)  # what stands beside it is no invention


def test_all_code_on_the_page_is_python() -> None:
    for code in blocks("python"):
        compile(code, str(PAGE), "exec")
