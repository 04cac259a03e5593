"""Homes with the study of `searched.py`, and the command line in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.interoperation import searched


@dataclass(kw_only=True)
class Home:
    folder: Path

    def search(self, *, until: int = 12, **of: Any) -> None:
        with searched.opened(self.folder) as ledger:
            searched.search(ledger, searched.study_of(**of), until=until)

    def run(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*args),
            cwd=self.folder.parent,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=240.0,
            check=False,
        )

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "fairlead", "--home", str(self.folder), "export", *args]

    def done(self, *args: str, **environ: str) -> str:
        done = self.run(*args, **environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *args: str) -> Any:
        return json.loads(self.done(*args, "--json"))

    def refused(self, status: int, *args: str, **environ: str) -> str:
        """The one line that it says."""
        done = self.run(*args, **environ)
        assert done.returncode == status, (done.stdout, done.stderr)
        assert not done.stdout
        (line,) = done.stderr.splitlines()
        return line


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(folder=tmp_path / "home")


@pytest.fixture
def prices(home: Home) -> Home:
    """With a study of 12 trials that is finished."""
    home.folder.mkdir()
    home.search()
    return home
