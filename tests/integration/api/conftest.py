"""A home with one model of two versions, made once; each test has a copy, and servers of it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from tests.support.homes import made_once
from tests.support.waiting import wait_until

from fairlead.settings import Settings
from fairlead.stores import Stores, open_stores

SPEC = """
name: sums
data: {source: sums.csv, target: sum, seed: 1}
search:
  method: grid
  folds: 2
  over:
    - family: random_forest
      params: {n_estimators: [5]}
promote: {when: always}
"""


@dataclass(kw_only=True)
class Home:
    """A folder with a home, and the command line in it."""

    folder: Path
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings(home=self.folder / "home", mlflow="none")

    def stores(self) -> Stores:
        return open_stores(self.settings)

    def done(self, *args: str) -> str:
        done = subprocess.run(
            self._command(*args),
            cwd=self.folder,
            env=_environ(),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def token(self, role: str) -> str:
        return self.done("token", "add", f"the-{role}", "--role", role).strip()

    def serve(self, *args: str) -> Served:
        said = self.folder / f"server{len(self._started)}.out"
        with said.open("wb") as out:
            command = self._command("server", "--port", "0", *args)
            process = subprocess.Popen(
                command, cwd=self.folder, env=_environ(), stdout=out, stderr=subprocess.STDOUT
            )
        self._started.append(process)

        def url() -> str | None:
            assert process.poll() is None, said.read_text()
            lines = said.read_text().splitlines()
            line = next((each for each in lines if each.startswith("control API at")), None)
            return line and line.split()[-1].removesuffix("/api/v1")

        return Served(process=process, url=wait_until(url), said=said)

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()

    def _command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "fairlead", "--home", "home", *args]


@dataclass(kw_only=True)
class Served:
    """A `fairlead server` that was started."""

    process: subprocess.Popen[bytes]
    url: str
    said: Path

    def client(self, token: str | None = None) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def _environ() -> dict[str, str]:
    return {**os.environ, "FAIRLEAD_MLFLOW_URI": "none"}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        draw = random.Random(0)
        numbers = [draw.uniform(0, 10) for _ in range(400)]
        lines = ["number,sum", *(f"{number},{number}" for number in numbers)]
        (folder / "sums.csv").write_text("\n".join(lines))
        (folder / "sums.yaml").write_text(SPEC)
        home = Home(folder=folder)
        home.done("run", "sums.yaml", "--workers", "1")
        more = "search.over[0].params.n_estimators=[6]"
        home.done("run", "sums.yaml", "--workers", "1", "--set", more)

    return made_once(tmp_path_factory, "api", make)


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Iterator[Home]:
    home = Home(folder=shutil.copytree(made, tmp_path / "place"))
    yield home
    home.end()


@pytest.fixture
def stores(home: Home) -> Iterator[Stores]:
    with home.stores() as stores:
        yield stores


@pytest.fixture
def in_process(home: Home) -> Iterator[Callable[..., httpx2.Client]]:
    """Makes clients of the app itself, without a server."""
    from starlette.testclient import TestClient

    from fairlead.api.access import Access
    from fairlead.api.app import make_app

    with ExitStack() as stack:
        stores = stack.enter_context(home.stores())

        def client(token: str | None = None, *, private: bool = True) -> httpx2.Client:
            access = Access(home.settings.tokens, private=private)
            app = make_app(home.settings, stores, access)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            made = TestClient(app, base_url="http://localhost", headers=headers)
            return stack.enter_context(made)

        yield client
