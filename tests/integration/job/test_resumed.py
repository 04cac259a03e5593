"""A run that is killed in any stage is finished by another process, given its id and the stores."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fairlead.ledger.store import open_ledger
from fairlead.records import Run
from fairlead.settings import from_environment
from fairlead.study.outcome import RunOutcome
from fairlead.study.progress import Silent
from fairlead.study.run import resume
from tests.integration.job import families, specs
from tests.integration.job.conftest import Place
from tests.support.waiting import wait_until

LEASE = "1"
RUN = """
import os, sys, time
from pathlib import Path

import fairlead.study.stages
from fairlead.ledger.runs import SqlRuns
from fairlead.ledger.versions import SqlVersions
from fairlead.registry.registry import Registry
from fairlead.settings import from_environment
from fairlead.spec.load import load
from fairlead.study.progress import Silent
from fairlead.study.run import RunRequest, run
from fairlead.study.stages import Stages

where, reached = sys.argv[1:]

def hang(*args, **options):
    Path(reached).touch()
    time.sleep(600)

def hang_at_verdict(runs, changed, advance=SqlRuns.advance):
    return hang() if changed.verdict else advance(runs, changed)

if where == "search":
    Path(reached).touch()
elif where == "refit":
    Stages.refit = hang
elif where == "register":
    Registry.register = hang
elif where == "judge":
    fairlead.study.stages.consider = hang
elif where == "between judge and promote":
    SqlVersions.promote = hang
elif where == "after promote":
    SqlRuns.advance = hang_at_verdict
loaded = load(Path("slow.yaml"))
request = RunRequest(
    spec=loaded.spec, base=loaded.base, workers=2, deploy=hang if where == "deploy" else None
)
run(request, from_environment(os.environ), Silent())
"""


@pytest.mark.parametrize(
    "where",
    [
        "search",
        "refit",
        "register",
        "judge",
        "between judge and promote",
        "after promote",
        "deploy",
    ],
)
def test_a_killed_run_is_finished_by_a_process_with_another_home(
    place: Place, tmp_path: Path, where: str
) -> None:
    place.write("slow.py", families.SLOW)
    place.write("slow.yaml", specs.slow(trials=4, seconds=0.05))
    reached = tmp_path / "reached"
    first = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(RUN), where, str(reached)],
        cwd=place.folder,
        env={**os.environ, "FAIRLEAD_HOME": str(place.home), "FAIRLEAD_LEASE": LEASE},
    )
    place.started.append(first)
    wait_until(reached.exists)
    if where == "search":
        wait_until(lambda: place.counts()["done"] >= 1)
    first.kill()
    first.wait()
    deployed: list[RunOutcome] = []
    outcome = resumed(place, tmp_path / "elsewhere", deployed)
    assert (outcome.version.number, outcome.promoted) == (1, True)
    assert outcome.verdict.decision == "promote"
    assert len(deployed) == (where == "deploy")
    with open_ledger(place.home / "ledger.db") as ledger:
        (run,) = ledger.runs.all()
        assert (run.state, run.version, run.verdict) == ("done", 1, outcome.verdict)
        assert [row.state for row in ledger.studies.trials(run.study)] == ["done"] * 4
        assert len(ledger.versions.all("slow")) == 1
        assert len(ledger.versions.history("slow")) == 1
        assert len(ledger.versions.judgements("slow")) == 1
    assert (place.folder / "home").exists()
    assert not (tmp_path / "elsewhere" / "ledger.db").exists()


def resumed(place: Place, home: Path, deployed: list[RunOutcome]) -> RunOutcome:
    """What comes of the run in this process, which knows its id and its stores alone."""
    with open_ledger(place.home / "ledger.db") as ledger:
        (run,) = ledger.runs.all()
    assert run.state == "running"
    environ = {
        "FAIRLEAD_LEDGER": f"sqlite:///{place.home / 'ledger.db'}",
        "FAIRLEAD_ARTIFACTS": (place.home / "artifacts").as_uri(),
        "FAIRLEAD_LEASE": LEASE,
    }
    settings = from_environment(environ, home=home)
    return resume(run.id, settings, Silent(), workers=1, deploy=deployed.append)


def test_a_run_that_another_process_holds_is_followed_to_its_end(place: Place) -> None:
    place.environ["FAIRLEAD_LEASE"] = LEASE
    place.write("slow.py", families.SLOW)
    place.write("slow.yaml", specs.slow(trials=4, seconds=0.05))
    runs = [place.start("run", "slow.yaml", "--workers", "1") for _ in range(2)]
    assert [run.wait(120) for run in runs] == [0, 0], (place.folder / "output.log").read_text()
    with open_ledger(place.home / "ledger.db") as ledger:
        found: list[Run] = list(ledger.runs.all())
        assert {run.state for run in found} == {"done"}
        assert len(ledger.versions.judgements("slow")) == 1
