"""Whole studies over a ledger and an artefact store that fail at random: the same studies come out.

Everything is real but the failures: SQLite, children that fit, the stages of a run, whose carrier
is replaced where the stores fail it, and workers that live through it. A seed that fails can be run
again by its test's name; $FAIRLEAD_TEST_SEEDS runs so many of each spec.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.support.injected import Faults, Faulty

from fairlead.artifacts import Artifacts
from fairlead.errors import Transient
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.settings import Settings
from fairlead.spec.load import load
from fairlead.stores import Stores
from fairlead.study import run as runs
from fairlead.study.outcome import RunOutcome
from fairlead.study.progress import Silent
from fairlead.study.run import RunRequest
from fairlead.worker import forkserver, loop
from fairlead.worker.loop import Worker

HEAD = """
name: study
data: {source: diabetes, seed: 1, holdout: {share: 0.2, by: random}}
"""
SPECS: Mapping[str, str] = {
    "random": """
search:
  method: random
  trials: 8
  folds: 2
  over: [{family: "sklearn.linear_model:Ridge", params: {alpha: {low: 0.1, high: 9.0}}}]
""",
    "shared fits": """
search:
  method: grid
  folds: 2
  over: [{family: random_forest, params: {n_estimators: [2, 4, 6], max_depth: [2, 3]}}]
""",
    "pruned": """
search:
  method: random
  trials: 14
  folds: 3
  prune: median
  over: [{family: "sklearn.tree:DecisionTreeRegressor",
          params: {max_depth: {low: 1, high: 9}}}]
""",
    "tpe": """
search:
  method: tpe
  trials: 9
  lag: 2
  folds: 2
  over: [{family: "sklearn.linear_model:Ridge", params: {alpha: {low: 0.1, high: 9.0}}}]
""",
}
SEEDS = range(int(os.environ.get("FAIRLEAD_TEST_SEEDS", "2")))
LEASE = 0.6
Value = TypeVar("Value")


@dataclass
class Study:
    """One run of a spec, with what it meets."""

    name: str
    settings: Settings
    spec: Path
    forkserver: str | None
    seed: int | None = None
    faults: list[Faults] = field(default_factory=list)

    def opened(self, who: str, *, share: float) -> Stores:
        ledger: Any = open_ledger(self.settings.ledger_url)
        artifacts: Any = Artifacts(self.settings.artifacts_url)
        if self.seed is not None:
            faults = Faults(seed=self.seed, who=who, share=share)
            self.faults.append(faults)
            ledger = Faulty(ledger, Ledger, faults)
            artifacts = Faulty(artifacts, Artifacts, faults)
        return Stores(ledger=ledger, artifacts=artifacts)

    @contextmanager
    def working(self, name: str) -> Iterator[None]:
        with self.opened(name, share=0.15) as stores:
            worker = Worker(
                name=name,
                ledger=stores.ledger,
                artifacts=self.settings.artifacts_url,
                cache=self.settings.artifacts_cache,
                lease=LEASE,
                forkserver=self.forkserver,
            )
            thread = threading.Thread(target=worker.run, name=name)
            thread.start()
            try:
                yield
            finally:
                worker.stop.ask()
                thread.join(60)

    def carried(self) -> RunOutcome:
        """Submitted, and carried by one process after the other; each lives until a fault."""
        request = RunRequest(spec=load(self.spec).spec, base=self.spec.parent)
        submitted = insisted(lambda: runs.submit(request, self.settings, Silent()))
        return insisted(lambda: runs.resume(submitted.id, self.settings, Silent(), workers=0))


def insisted(ask: Callable[[], Value]) -> Value:
    """What is asked for, however often that takes."""
    for _ in range(500):
        with suppress(Transient):
            return ask()
    raise AssertionError("it did not come to an end")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    with forkserver.started(tmp_path_factory.mktemp("home")) as path:
        yield path


def facts(study: Study, outcome: RunOutcome) -> dict[str, Any]:
    """What must not depend on any fault."""
    with open_ledger(study.settings.ledger_url) as ledger:
        kept = ledger.studies.get(outcome.study.id)
        rows = ledger.studies.trials(kept.id)
        committed = Counter(
            event.task for event in ledger.studies.events(kept.id) if event.kind == "committed"
        )
        (run,) = ledger.runs.all()
        return {
            "trials": [
                (row.trial, row.result and (row.result.state, row.result.scores)) for row in rows
            ],
            "study": (kept.id, kept.size, kept.state, kept.best),
            "commits of a task": {*committed.values()},
            "versions": [(one.number, one.trial) for one in ledger.versions.all("study")],
            "history": [(one.version, one.kind) for one in ledger.versions.history("study")],
            "judgements": [
                (one.version, one.verdict) for one in ledger.versions.judgements("study")
            ],
            "run": (run.state, run.version, run.verdict),
            "waits or runs": (ledger.tasks.open(), len(ledger.tasks.running())),
        }


def made(folder: Path, spec: str, server: str | None, *, seed: int | None = None) -> Study:
    (folder / "study.yaml").write_text(HEAD + SPECS[spec] + "promote: {when: always}\n")
    settings = Settings(home=folder / "home", mlflow="none", lease=LEASE)
    return Study(spec, settings, folder / "study.yaml", server, seed)


@pytest.fixture(scope="module")
def calm(
    server: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, dict[str, Any]]:
    """What each spec comes to where nothing fails, as one is asked for."""

    class Known(dict[str, dict[str, Any]]):
        def __missing__(self, spec: str) -> dict[str, Any]:
            study = made(tmp_path_factory.mktemp("calm"), spec, server)
            with study.working("w0"):
                self[spec] = facts(study, study.carried())
            return self[spec]

    return Known()


@pytest.fixture(
    params=[(spec, seed) for spec in SPECS for seed in SEEDS], ids=lambda one: "{}-{}".format(*one)
)
def disturbed(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    server: str | None,
    calm: Mapping[str, dict[str, Any]],
) -> Iterator[Study]:
    spec, seed = request.param
    assert calm[spec]  # made before anything fails
    study = made(tmp_path, spec, server, seed=seed)
    carriers = iter(range(10_000))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            runs, "open_stores", lambda _: study.opened(f"carrier {next(carriers)}", share=0.04)
        )
        patched.setattr(loop, "_LATEST", 0.02)  # seconds that a worker waits for its ledger
        yield study


def test_a_study_is_the_same_whatever_its_stores_did(
    disturbed: Study, calm: Mapping[str, dict[str, Any]]
) -> None:
    with ExitStack() as working:
        for name in ("w1", "w2"):
            working.enter_context(disturbed.working(name))
        outcome = disturbed.carried()
    assert facts(disturbed, outcome) == calm[disturbed.name]
    assert sum(each.met.total() for each in disturbed.faults) > 5
