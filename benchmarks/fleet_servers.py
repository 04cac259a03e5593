"""What the benchmarks of a fleet run on: PostgreSQL, RabbitMQ, and Fairlead's programs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from nothing import FAMILY, SPEC
from timing import ROOT, python

sys.path.insert(0, str(ROOT))
from tests.support import postgres, rabbitmq


@contextmanager
def postgresql() -> Iterator[postgres.PostgresServer]:
    """A server with PostgreSQL's own defaults: every commit waits for the disk."""
    server = postgres.PostgresServer(shared_buffers="128MB")
    try:
        yield server
    finally:
        server.close()


@contextmanager
def broker() -> Iterator[rabbitmq.Broker]:
    """A broker of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="fairlead-broker-") as folder,
        rabbitmq.running(Path(folder) / "broker") as running,
    ):
        yield running


@dataclass(kw_only=True)
class Fleet:
    """Fairlead's programs over one ledger, in a folder of their own.

    Args:
        ledger: URL of a database that is new.
        queue: URL of a broker; none for LISTEN and NOTIFY.
    """

    ledger: str
    queue: str | None = None
    folder: Path = field(init=False)
    _open: contextlib.ExitStack = field(init=False, default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        self.folder = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        (self.folder / "nothing.py").write_text(FAMILY)
        self.do("ledger", "upgrade")
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def environ(self) -> dict[str, str]:
        """The settings of its programs."""
        prefix = f"?prefix={self.folder.name}."
        return {
            **os.environ,
            "FAIRLEAD_HOME": str(self.folder / "home"),
            "FAIRLEAD_LEDGER": self.ledger,
            "FAIRLEAD_ARTIFACTS": (self.folder / "artifacts").as_uri(),
            "FAIRLEAD_MLFLOW_URI": "none",
            "FAIRLEAD_QUEUE": self.queue + prefix if self.queue else "",
        }

    def do(self, *words: str) -> str:
        """What a command prints; it must end well."""
        command = python("-m", "fairlead", *words)
        done = subprocess.run(
            command, env=self.environ, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    def start(self, *words: str) -> Path:
        """Start a program that ends with the fleet; the file that it prints into."""
        said = self.folder / f"{words[0]}-{time.monotonic_ns()}.log"
        with said.open("wb") as log:
            process = subprocess.Popen(
                python("-m", "fairlead", *words),
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._open.callback(process.wait)
        self._open.callback(process.terminate)
        return said

    def submit(self, name: str, trials: int, *, seed: int) -> None:
        """Submit a study of trials that do nothing; another seed is another study."""
        spec = SPEC.format(trials=trials).replace("name: nothing", f"name: {name}")
        file = self.folder / f"{name}.yaml"
        file.write_text(spec.replace("diabetes", f"diabetes, seed: {seed}"))
        self.do("submit", str(file))
