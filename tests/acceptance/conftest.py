"""Homes with models in them, and servers as people start them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fairlead.ledger.store import open_ledger
from fairlead.records import Deployment
from tests.support.fleet import Fleet, alone
from tests.support.homes import made_once
from tests.support.postgres import database
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 240.0
SPEC = """
name: ridge
data: {source: diabetes, seed: 0}
search:
  method: grid
  folds: 2
  over:
    - family: sklearn.linear_model:Ridge
      params: {alpha: [0.5]}
promote: {when: always}
serve: {judge: {hold: 1s, requests: 20, slower: 1000.0}}
"""


@dataclass(kw_only=True)
class Place:
    """A folder with a home, and the command line in it."""

    folder: Path
    _servers: list[Serving] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def program(self) -> str:
        """What a message tells a person to type for `fairlead` here."""
        return f"fairlead --home {self.home}"

    def run(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*args),
            cwd=self.folder,
            env={**_environ(), **environ},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def done(self, *args: str, **environ: str) -> str:
        """What the command prints; it must end well."""
        done = self.run(*args, **environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *args: str, **environ: str) -> Any:
        return json.loads(self.done(*args, "--json", **environ))

    def refused(self, status: int, *args: str, **environ: str) -> str:
        """The last line of what the command says; it must end with this status."""
        done = self.run(*args, **environ)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stderr.splitlines()[-1]

    def start(
        self, *args: str, environ: Mapping[str, str] | None = None, **streams: Any
    ) -> subprocess.Popen[bytes]:
        """The command, begun."""
        environ = {**_environ(), **(environ or {})}
        return subprocess.Popen(self._command(*args), cwd=self.folder, env=environ, **streams)

    def serve(self, *args: str, **environ: str) -> Serving:
        """A server that was started."""
        output, errors = self.folder / "serve.out", self.folder / "serve.err"
        with output.open("wb") as stdout, errors.open("wb") as stderr:
            process = self.start(
                "serve", "--port", "0", *args, stdout=stdout, stderr=stderr, environ=environ
            )
        serving = Serving(process=process, output=output, errors=errors)
        self._servers.append(serving)
        return serving

    def deployment(self, model: str = "ridge") -> Deployment:
        with open_ledger(self.home / "ledger.db") as ledger:
            return ledger.deployments.get(model)

    def traffic(self, model: str = "ridge") -> dict[str, int] | None:
        with open_ledger(self.home / "ledger.db") as ledger:
            route = ledger.routes.current(model)
            return dict(route.traffic) if route else None

    def end(self) -> None:
        for serving in self._servers:
            serving.kill()

    def _command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "fairlead", "--home", str(self.home), *args]


@dataclass(kw_only=True)
class Serving:
    """A `fairlead serve` that was started."""

    process: subprocess.Popen[bytes]
    output: Path
    errors: Path

    def until(self, beginning: str) -> str:
        """Its first line on stdout that begins so."""

        def found() -> str | None:
            assert self.process.poll() is None, self.errors.read_text()
            return next((line for line in self.said if line.startswith(beginning)), None)

        line: str = wait_until(found)
        return line

    @property
    def said(self) -> list[str]:
        """What it has said by now, in whole lines."""
        return self.output.read_text().rpartition("\n")[0].splitlines()

    @property
    def url(self) -> str:
        return self.until("serving at ").split()[2]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def _environ() -> dict[str, str]:
    return {**os.environ, "FAIRLEAD_MLFLOW_URI": "none"}


@pytest.fixture
def fleet(tmp_path: Path, postgres: str) -> Iterator[Fleet]:
    """A fleet on a PostgreSQL database of its own."""
    with database(postgres) as url:
        fleet = Fleet(tmp_path, url)
        yield fleet
        fleet.close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The results of a fleet's study by one process that nobody disturbs."""
    return alone(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the model ridge: v1, and v2, which is the champion. Both predict much alike."""

    def make(folder: Path) -> None:
        place = Place(folder=folder)
        (folder / "ridge.yaml").write_text(textwrap.dedent(SPEC))
        place.done("run", "ridge.yaml")
        place.done("run", "ridge.yaml", "--set", "search.over[0].params.alpha=[0.6]")

    return made_once(tmp_path_factory, "ridge", make)


@pytest.fixture(scope="session")
def boston(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home in which the Boston example ran, and what the run printed as JSON."""

    def make(folder: Path) -> None:
        place = Place(folder=folder)
        done = subprocess.run(
            place._command("run", "examples/boston.yaml", "--json"),
            cwd=ROOT,
            env=_environ(),
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        (folder / "outcome.json").write_text(done.stdout)

    return made_once(tmp_path_factory, "boston", make)


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Iterator[Place]:
    """A copy of that home, of a test's own."""
    place = Place(folder=tmp_path / "place")
    shutil.copytree(made, place.folder)
    yield place
    place.end()
