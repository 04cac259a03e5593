"""A fleet on one ledger: its processes, and the study that it must come to.

Every process has a home of its own, as on a machine of its own. What a test disturbs must come to
the trials of `undisturbed`, which are those of the same spec on one machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairlead.ledger.interface import Ledger
from tests.support.machines import Machine

SPEC = """
name: forest
data: {source: diabetes, seed: 1}
search:
  method: random
  trials: 24
  folds: 3
  over: [{family: "./slow.py:Slow", params: {min_samples_leaf: {low: 1, high: 30}}}]
promote: {when: never}
"""
SLOW = """
import time

from sklearn.tree import DecisionTreeRegressor


class Slow(DecisionTreeRegressor):
    def fit(self, X, y, sample_weight=None, check_input=True):
        time.sleep(SECONDS)
        return super().fit(X, y, sample_weight, check_input)
"""
LEASE = "2"


@dataclass
class Fleet:
    """Processes of one fleet, each with a home of its own."""

    folder: Path
    url: str
    more: Mapping[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        write_spec(self.folder)

    def environ(self) -> dict[str, str]:
        return os.environ | {
            "FAIRLEAD_LEDGER": self.url,
            "FAIRLEAD_ARTIFACTS": (self.folder / "artifacts").as_uri(),
            "FAIRLEAD_LEASE": LEASE,
            "FAIRLEAD_MLFLOW_URI": "none",
            **self.more,
        }

    def command(self, name: str, *words: str) -> list[str]:
        home = str(self.folder / name)
        return [sys.executable, "-m", "fairlead", "--home", home, *words]

    def start(
        self, name: str, *words: str, machine: Machine | None = None, **environ: str
    ) -> subprocess.Popen[bytes]:
        """Start a program, on this machine if none is named; its log is NAME.log."""
        there = machine.enter if machine else []
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*there, *self.command(name, *words)],
                env={**self.environ(), **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.processes[name]

    def done(self, *words: str) -> str:
        done = subprocess.run(
            self.command("client", *words),
            env=self.environ(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def end(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for name, process in self.processes.items():
            assert process.wait(60) == 0, (self.folder / f"{name}.log").read_text()

    def close(self) -> None:
        """Kill what still runs."""
        for process in self.processes.values():
            process.kill()
            process.wait()

    def trials(self, name: str = "forest") -> list[Any]:
        return scored(json.loads(self.done("trials", name, "--json")))

    def logs(self) -> str:
        return "\n".join(file.read_text() for file in sorted(self.folder.glob("*.log")))


def write_spec(folder: Path, *, seconds: float = 0.1) -> None:
    """Put the spec there, and its family, one fit of which takes so long."""
    (folder / "forest.yaml").write_text(SPEC)
    (folder / "slow.py").write_text(textwrap.dedent(SLOW).replace("SECONDS", str(seconds)))


def alone(folder: Path, *changes: str) -> list[Any]:
    """The trials of the spec with these changes, run on one machine."""
    write_spec(folder, seconds=0.001)
    sets = [word for change in changes for word in ("--set", change)]
    for words in (["run", "forest.yaml", *sets], ["trials", "forest", "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "fairlead", "--home", str(folder / "home"), *words],
            cwd=folder,
            env=os.environ | {"FAIRLEAD_MLFLOW_URI": "none"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return scored(json.loads(done.stdout))


def scored(trials: list[dict[str, Any]]) -> list[Any]:
    return [(one["number"], one["params"], one["scores"], one["state"]) for one in trials]


def once_each(ledger: Ledger, study: str) -> bool:
    """Whether every task was committed once, whatever attempts it took."""
    events = ledger.studies.events(study)
    committed = Counter(event.task for event in events if event.kind == "committed")
    return set(committed.values()) == {1}
