"""Workers as processes of this machine do what every runner's workers do."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from fairlead.ledger.store import open_ledger
from fairlead.records import Study
from fairlead.runners.local import LocalRunner
from fairlead.runners.runner import Runner, WorkerGroup
from tests.contract.runner_contract import RunnerContract

STUDY = Study(id="ab" * 8, name="idle", spec='{"search": {"threads": 1}}', table="7" * 64, size=1)


class TestLocalRunner(RunnerContract):
    @pytest.fixture
    def runner(self, tmp_path: Path) -> Runner:
        return LocalRunner(home=tmp_path, logs=tmp_path / "logs", stopped=20.0)

    @pytest.fixture
    def group(self, tmp_path: Path) -> WorkerGroup:
        with open_ledger(tmp_path / "ledger.db") as ledger:
            ledger.studies.open(STUDY)  # whose data is missing: its workers wait for tasks
        return WorkerGroup(
            key="run",
            study=STUDY.id,
            ledger=f"sqlite:///{tmp_path / 'ledger.db'}",
            artifacts=(tmp_path / "artifacts").as_uri(),
        )

    def kill(self, runner: Runner, group: WorkerGroup, worker: str) -> None:
        for process in psutil.Process().children():
            if worker in process.cmdline():
                process.kill()
