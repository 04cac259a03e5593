"""What the libraries underneath leave in a user's home directory: nothing."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

from tests.integration.serving.rig import Trained, started

PLACES = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "ORT_DISABLE_TELEMETRY")


def _at_home(home: Path) -> dict[str, str]:
    """The environment of somebody whose home directory this is, and who has set nothing."""
    return {name: value for name, value in os.environ.items() if name not in PLACES} | {
        "HOME": str(home)
    }


def _found(home: Path) -> list[str]:
    return [str(path.relative_to(home)) for path in home.rglob("*")]


def test_predicting_leaves_nothing_in_the_home_directory(trained: Trained, tmp_path: Path) -> None:
    home, rows = tmp_path / "home", tmp_path / "rows.csv"
    home.mkdir()
    with rows.open("w", newline="") as file:
        names = trained.candidates["houses"].signature.numbers
        csv.writer(file).writerows([names, *trained.numbers("houses")])
    command = [sys.executable, "-m", "fairlead", "--home", str(trained.home), "predict"]
    done = subprocess.run(
        [*command, "houses", str(rows)],
        env=_at_home(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert _found(home) == []


def test_running_leaves_nothing_in_the_home_directory(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    spec = tmp_path / "houses.yaml"
    spec.write_text(
        "{name: houses, data: {source: boston, target: MEDV},"
        " search: {method: tpe, trials: 2, folds: 2, over: [{family: extra_trees}]}}"
    )
    done = subprocess.run(
        [sys.executable, "-m", "fairlead", "--home", str(tmp_path / "made"), "run", str(spec)],
        env=_at_home(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert _found(home) == []


def test_serving_leaves_nothing_in_the_home_directory(trained: Trained, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    cache = str(home / ".cache")
    with started(trained, None, HOME=str(home), XDG_CACHE_HOME=cache) as process:
        process.plan(trained.held("houses"))
        process.followed()
        rows = trained.golden("houses")[0]
        assert process.ask("POST", "/models/houses:predict", {"rows": rows}).status == 200
        assert process.drain() == 0
    assert _found(home) == []
