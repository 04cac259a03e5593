"""Studies on the cluster that a command of this machine follows, and searches that are the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.installation import LONG, Installed, on_this_machine, written
from tests.support.waiting import wait_until


@dataclass(frozen=True, kw_only=True)
class Run:
    """A Study that `fairlead run --on kubernetes` has applied and follows."""

    name: str
    spec: dict[str, Any]
    folder: Path
    installed: Installed
    process: subprocess.Popen[bytes]
    here: Future[list[list[Any]]]

    @property
    def said(self) -> str:
        """What the command has printed for people so far."""
        return (self.folder / "said").read_text()

    def has_done(self, trials: int) -> None:
        wait_until(lambda: self.installed.done(self.name) >= trials, seconds=LONG, every=0.2)

    def tells(self, *texts: str) -> None:
        """Wait until both the status and the command say it, each in a line."""

        def told() -> bool:
            message = self.installed.message(self.name)
            return all(text in message for text in texts) and any(
                all(text in line for text in texts) for line in self.said.splitlines()
            )

        wait_until(told, seconds=60.0, every=0.1)
        assert "\n" not in self.installed.message(self.name)

    def ends_as_on_one_machine(self) -> None:
        status = self.installed.ended(self.name)
        assert self.process.wait(60) == 0, self.said
        size = self.spec["search"]["trials"]
        assert (status["phase"], status["trials"]) == ("Finished", f"{size}/{size}")
        assert self.installed.trials(status["study"]) == self.here.result()


@contextmanager
def running(installed: Installed, folder: Path, name: str, spec: dict[str, Any]) -> Iterator[Run]:
    path = written(folder, name, spec)
    words = ["run", str(path), "--on", "kubernetes", "--namespace", installed.namespace]
    words += ["--workers", str(spec["workers"]["max"])]
    words += [word for key, value in spec["resources"].items() for word in (f"--{key}", value)]
    with following(installed, folder, name, spec, words) as run:
        wait_until(lambda: "is applied" in run.said or run.process.poll() is not None)
        assert "is applied" in run.said
        yield run


@contextmanager
def following(
    installed: Installed, folder: Path, name: str, spec: dict[str, Any], words: Sequence[str]
) -> Iterator[Run]:
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "fairlead", *words],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    elsewhere = folder / "here"
    elsewhere.mkdir()
    with ThreadPoolExecutor(1) as pool:
        here = pool.submit(on_this_machine, elsewhere, name, spec)
        try:
            yield Run(
                name=name,
                spec=spec,
                folder=folder,
                installed=installed,
                process=process,
                here=here,
            )
        finally:
            process.kill()
            process.wait()
            installed.remove(name)
