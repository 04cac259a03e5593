"""A folder with a spec and a home of its own, and the command line as a person uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from fairlead.ledger.store import open_ledger

DEADLINE = 240.0


@dataclass(kw_only=True)
class Place:
    """A folder to work in."""

    folder: Path
    environ: dict[str, str] = field(default_factory=lambda: {"FAIRLEAD_MLFLOW_URI": "none"})
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def program(self) -> str:
        """What a message tells a person to type for `fairlead` here."""
        return f"fairlead --home {self.home}"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return path

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "fairlead", "--home", str(self.home), *args]

    def run(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*args),
            cwd=self.folder,
            env={**os.environ, **self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def json(self, *args: str, **environ: str) -> Any:
        """What the command prints as JSON; it must end well."""
        done = self.run(*args, "--json", **environ)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start(self, *args: str, **environ: str) -> subprocess.Popen[bytes]:
        with (self.folder / "output.log").open("ab") as output:
            process = subprocess.Popen(
                self.command(*args),
                cwd=self.folder,
                env={**os.environ, **self.environ, **environ},
                stdout=output,
                stderr=output,
            )
        self.started.append(process)
        return process

    def counts(self) -> Mapping[str, int]:
        """How far the one study is; zeros while there is none."""
        if not (self.home / "ledger.db").exists():
            return {"done": 0, "running": 0, "failed": 0}
        with open_ledger(self.home / "ledger.db") as ledger:
            studies = ledger.studies.all()
            if not studies:
                return {"done": 0, "running": 0, "failed": 0}
            counts = ledger.studies.counts(studies[0].id)
        return {"done": counts.done, "running": counts.running, "failed": counts.failed}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(folder=tmp_path)
    yield place
    for process in processes_of(place):
        process.kill()
    for started in place.started:
        started.wait()


def processes_of(place: Place) -> list[psutil.Process]:
    """Every process whose command line names the place's home."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if str(place.home) in words and process.pid != os.getpid():
            found.append(process)
    return found
