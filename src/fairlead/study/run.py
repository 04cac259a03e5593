"""A run: one spec from its data to a judged version.

Its parts follow one another: search, refit, register, judge. Each is done once, whoever does it: a
part that was done before is found in the ledger. Workers are started when there is work for them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.data import split
from fairlead.errors import Failed
from fairlead.ledger.database import PATIENCE
from fairlead.ledger.interface import Ledger
from fairlead.records import Candidate, NewTask, Study, TrialRow, Verdict, Version
from fairlead.registry.judging import GateOutcome, Holdout, consider, undisputed
from fairlead.registry.registry import Registry
from fairlead.runners.local import LocalRunner
from fairlead.runners.runner import WorkerGroup
from fairlead.settings import Settings
from fairlead.spec.document import Spec
from fairlead.stores import open_stores
from fairlead.study import plan as plans
from fairlead.study.coordinator import Coordinator
from fairlead.study.outcome import Best, RunOutcome, Trials, best_of
from fairlead.study.plan import StudyPlan
from fairlead.study.progress import ProgressListener, SearchProgress
from fairlead.study.provenance import best_json, study_json
from fairlead.study.stop import Stopped, StopRequest
from fairlead.study.workers import StudyWorkers

_SOONEST, _LATEST = 0.01, 0.1
"""Seconds between two looks at the ledger: doubled from the first to the last while nothing new
is there."""
_STOPPED = PATIENCE / 3
"""Seconds that a worker may be stopped at most: well before others give up waiting to write."""


class _Pause(Protocol):
    def __call__(self, *, news: bool) -> None: ...


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What to run and how.

    Args:
        spec: The user's.
        base: Folder that its relative paths start from.
        workers: Number of local workers; None for as many as the plan is worth.
        fresh: Search again even where this study is finished.
    """

    spec: Spec
    base: Path
    workers: int | None = None
    fresh: bool = False


def run(
    request: RunRequest,
    settings: Settings,
    watch: ProgressListener,
    stop: StopRequest | None = None,
) -> RunOutcome:
    """Take a spec all the way.

    Args:
        request: What to run.
        settings: The installation's.
        watch: Told what happens.
        stop: Looked at while waiting.

    Raises:
        Invalid: The spec or the data cannot be used; nothing was written.
        Failed: No trial succeeded, the refit failed, or parity failed.
        Stopped: It was asked to stop; the ledger keeps what is done.
    """
    stop = stop or StopRequest()
    with stop.at_once():
        watch.stage("reading the data")
        plan = plans.make(
            request.spec, base=request.base, settings=settings, downloaded=watch.downloaded
        )
    for remark in plan.remarks:
        watch.note(remark)
    with at_work(plan, settings, request.workers, watch, stop) as execution:
        with stop.at_once():
            study = plans.keep(plan, execution.ledger, execution.artifacts, fresh=request.fresh)
        return execution.finish(execution.search(study))


@contextmanager
def at_work(
    plan: StudyPlan,
    settings: Settings,
    workers: int | None,
    watch: ProgressListener,
    stop: StopRequest,
) -> Iterator[Execution]:
    """What carries out a plan, with the ledger open; its workers are ended at the end.

    Args:
        plan: What it is about.
        settings: Say where the ledger and the artefacts are.
        workers: How many to start; None for as many as the plan is worth.
        watch: Told what happens.
        stop: Looked at while waiting.
    """
    count = plans.slots(plan) if workers is None else workers
    with stop.at_once():  # another may be migrating it
        opened = open_stores(settings)
    runner = LocalRunner(logs=settings.logs, stopped=min(settings.lease, _STOPPED))
    with (
        opened as stores,
        StudyWorkers(runner, stores.ledger, count=count) as started,
    ):
        yield Execution(
            plan=plan,
            ledger=stores.ledger,
            artifacts=stores.artifacts,
            workers=started,
            settings=settings,
            watch=watch,
            stop=stop,
        )


@dataclass(frozen=True, kw_only=True)
class Execution:
    """The parts of the way, each of which does nothing where it was done before."""

    plan: StudyPlan
    ledger: Ledger
    artifacts: Artifacts
    workers: StudyWorkers
    settings: Settings
    watch: ProgressListener
    stop: StopRequest

    def search(self, study: Study) -> Study:
        """Search until the study is finished."""
        if study.state == "finished":
            self.watch.note(f"study {study.id} is finished: nothing to search")
            return study
        self.watch.stage("searching")
        self._start_workers(study)
        coordinator = Coordinator(self.plan, study, self.ledger)
        before = self._done(study)
        with self._patience(study) as pause:
            while coordinator.advance():
                self.watch.searching(self._snapshot(coordinator, before))
                pause(news=coordinator.news)
        self.watch.searching(self._snapshot(coordinator, before))
        return coordinator.study

    def finish(self, study: Study) -> RunOutcome:
        """Refit the best trial, register what comes of it, and put it before the gate."""
        trials = Trials(self.ledger.studies.trials(study.id))
        best = best_of(study, trials)
        if best is None:
            raise Failed(f"study {study.id}: no trial succeeded; {_reasons(trials)}")
        candidate = self.refit(study, trials[best.number])
        with self.stop.at_once(self._kept(study)):  # no task runs: a second look is all it costs
            version = self.register(study, candidate, trials, best)
            verdict = self.judge(version)
        champion = self.ledger.versions.champion(version.model)
        return RunOutcome(
            study=study,
            best=best,
            trials=trials,
            candidate=candidate,
            version=version,
            promoted=champion is not None and champion.number == version.number,
            verdict=verdict,
        )

    def refit(self, study: Study, row: TrialRow) -> Candidate:
        """The candidate: the best trial's parameters refitted by a worker."""
        digest, _ = self.ledger.tasks.refit(study.id, row.trial.number)
        if digest is None:
            digest = self._refit_now(study, row)
        return manifest.load(self.artifacts.get(digest))

    def _refit_now(self, study: Study, row: TrialRow) -> str:
        self.watch.stage(f"refitting trial {row.trial.number} on all training rows")
        self.ledger.tasks.add(study.id, [NewTask(kind="refit", trials=(row.trial,))])
        self._start_workers(study)
        with self._patience(study) as pause:
            while True:
                digest, why = self.ledger.tasks.refit(study.id, row.trial.number)
                if digest is not None:
                    return digest
                if why is not None:
                    raise Failed(f"refitting trial {row.trial.number} failed: {why}")
                pause(news=False)

    def register(self, study: Study, candidate: Candidate, trials: Trials, best: Best) -> Version:
        """Give the candidate, with the study that it came from, its place in the registry.

        A model that was registered before is that version, with the study that it had then.
        """
        version = self._registry.known(candidate, model=self.plan.spec.name)
        if version is None:
            version = self._register(study, candidate, trials, best)
        if (version.study, version.size) != (study.id, study.size):
            self.watch.note(f"the best model is still v{version.number}: no new version")
        return version

    def _register(self, study: Study, candidate: Candidate, trials: Trials, best: Best) -> Version:
        files = {
            **candidate.files,
            "study.json": self.artifacts.put(
                study_json(study, self.plan.table.fingerprint, trials)
            ),
            "best.json": self.artifacts.put(best_json(best, candidate)),
        }
        complete = replace(candidate, files=files)
        return self._registry.register(complete, model=self.plan.spec.name, size=study.size)

    def judge(self, version: Version) -> Verdict:
        """Put the version before the gate, unless it is the champion."""
        outcome = undisputed(self._registry, version) or self._judge(version)
        if outcome.note:
            self.watch.note(outcome.note)
        return outcome.verdict

    def _judge(self, version: Version) -> GateOutcome:
        self.watch.stage("judging")
        table, data = self.plan.table, self.plan.spec.data
        training, held = split.holdout(table, data.holdout, seed=data.seed)
        rows = Holdout(
            features=table.features.take(held),
            true=table.target[held],
            training=table.target[training],
            seed=self.plan.spec.seed,
        )
        terms = self.plan.spec.promote
        return consider(self._registry, version, holdout=rows, terms=terms)

    @property
    def _registry(self) -> Registry:
        return Registry(ledger=self.ledger, artifacts=self.artifacts)

    def _start_workers(self, study: Study) -> None:
        self.workers.start(
            WorkerGroup(key=study.id, study=study.id, options=_options(self.settings))
        )

    @contextmanager
    def _patience(self, study: Study) -> Iterator[_Pause]:
        """Gives a function that waits a little while looking after the workers."""
        seconds = _SOONEST

        def pause(*, news: bool) -> None:
            nonlocal seconds
            seconds = _SOONEST if news else min(2 * seconds, _LATEST)
            self._heed_stop(study)
            self.workers.poll()
            time.sleep(seconds)

        yield pause

    def _heed_stop(self, study: Study) -> None:
        if self.stop.asked == 0:
            return
        if not self.workers.draining:
            self.watch.note(
                "asked to stop: finishing the tasks in hand (Ctrl-C or SIGTERM again stops at once)"
            )
            self.workers.drain()
        if self.stop.asked > 1 or self.workers.alive() == 0:
            raise Stopped(self._kept(study))

    def _kept(self, study: Study) -> str:
        return f"{self._done(study)} of {study.size} trials kept"

    def _done(self, study: Study) -> int:
        counts = self.ledger.studies.counts(study.id)
        return counts.done + counts.failed + counts.pruned

    def _snapshot(self, coordinator: Coordinator, before: int) -> SearchProgress:
        return SearchProgress(
            study=coordinator.study,
            metric=self.plan.metric.name,
            counts=self.ledger.studies.counts(coordinator.study.id),
            best=coordinator.best,
            workers=self.workers.alive(),
            elapsed=coordinator.elapsed,
            before=before,
        )


def _reasons(trials: Trials) -> str:
    """Why trials failed, the most frequent reason first."""
    reasons = [row.result.reason for row in trials if row.result and row.result.reason]
    if not reasons:
        return "none was finished in time"
    most = max(set(reasons), key=reasons.count)
    return f"{reasons.count(most)} of {len(trials)} failed with: {most}"


def _options(settings: Settings) -> tuple[str, ...]:
    """What tells a worker where everything is, whatever its environment says."""
    home, ledger, artifacts = settings.home, settings.ledger_url, settings.artifacts_url
    return ("--home", str(home), "--ledger", ledger, "--artifacts", artifacts)
