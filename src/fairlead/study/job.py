"""The main job: one spec from its data to a judged version.

Belongs here: the order of the way, and when workers are needed. Does not: any of its parts.
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
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import Candidate, NewTask, Study, TrialRow, Verdict, Version
from fairlead.registry.judging import Holdout, consider, undisputed
from fairlead.registry.judging import Outcome as Judged
from fairlead.registry.registry import Registry
from fairlead.settings import Settings
from fairlead.spec.document import Spec
from fairlead.study import plan as plans
from fairlead.study.coordinator import Coordinator
from fairlead.study.local import LocalWorkers
from fairlead.study.outcome import Best, Outcome, Trials, best_of
from fairlead.study.plan import Plan
from fairlead.study.progress import Snapshot, Watch
from fairlead.study.provenance import best_json, study_json

_SOONEST, _LATEST = 0.01, 0.1
"""Seconds between two looks at the ledger: doubled from the first to the last while nothing new
is there."""


_NOTHING_BEGUN = "nothing was begun"


class _Pause(Protocol):
    def __call__(self, *, news: bool) -> None: ...


class Stopped(KeyboardInterrupt):
    """The run was asked to stop, and has stopped; the same command goes on where it stands.

    Args:
        kept: What the ledger keeps, in words.
    """

    def __init__(self, kept: str) -> None:
        super().__init__(f"stopped: {kept}; run the same command to go on")


@dataclass
class Stop:
    """How often the run was asked to stop: once finishes running tasks, twice stops at once.

    While no task is running there is nothing to finish, and nobody looks at it: see `at_once`.
    """

    asked: int = 0
    _kept: str | None = None  # what is kept, where it is to be heeded at once

    def ask(self) -> None:
        """Ask once more; called by a signal's handler, between any two steps of the main thread."""
        self.asked += 1
        self.heed()

    @contextmanager
    def at_once(self, kept: str = _NOTHING_BEGUN) -> Iterator[None]:
        """Within, whatever is being done is broken off when it is asked.

        Args:
            kept: What the ledger keeps then, in words.

        Raises:
            Stopped: It was.
        """
        self._kept = kept
        try:
            self.heed()
            yield
            self.heed()  # something on the way here may have taken the exception for its own
        finally:
            self._kept = None

    def heed(self) -> None:
        """Break off what is being done, where it was asked and that is to be heeded at once.

        Raises:
            Stopped: Both are so.
        """
        if self.asked and self._kept is not None:
            raise Stopped(self._kept)


@dataclass(frozen=True, kw_only=True)
class Order:
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


def run(order: Order, settings: Settings, watch: Watch, stop: Stop | None = None) -> Outcome:
    """Take a spec all the way.

    Args:
        order: What to run.
        settings: The installation's.
        watch: Told what happens.
        stop: Looked at while waiting.

    Raises:
        Invalid: The spec or the data cannot be used; nothing was written.
        Failed: No trial succeeded, the refit failed, or parity failed.
        Stopped: It was asked to stop; the ledger keeps what is done.
    """
    stop = stop or Stop()
    with stop.at_once():
        watch.stage("reading the data")
        plan = plans.make(
            order.spec, base=order.base, settings=settings, downloaded=watch.downloaded
        )
    for remark in plan.remarks:
        watch.note(remark)
    with at_work(plan, settings, order.workers, watch, stop) as job:
        with stop.at_once():
            study = plans.keep(plan, job.ledger, job.artifacts, fresh=order.fresh)
        return job.finish(job.search(study))


@contextmanager
def at_work(
    plan: Plan, settings: Settings, workers: int | None, watch: Watch, stop: Stop
) -> Iterator[Job]:
    """The job of a plan, with the ledger open and workers to hire; both are ended at the end.

    Args:
        plan: What it is about.
        settings: Say where the ledger and the artefacts are.
        workers: How many to hire; None for as many as the plan is worth.
        watch: Told what happens.
        stop: Looked at while waiting.
    """
    count = plans.slots(plan) if workers is None else workers
    with stop.at_once():  # another may be migrating it
        opened = open_ledger(settings.ledger)
    with (
        opened as ledger,
        LocalWorkers(settings, ledger, count=count) as crew,
    ):
        artifacts = Artifacts(settings.artifacts)
        yield Job(
            plan=plan, ledger=ledger, artifacts=artifacts, workers=crew, watch=watch, stop=stop
        )


@dataclass(frozen=True, kw_only=True)
class Job:
    """The parts of the way, each of which does nothing where it was done before."""

    plan: Plan
    ledger: Ledger
    artifacts: Artifacts
    workers: LocalWorkers
    watch: Watch
    stop: Stop

    def search(self, study: Study) -> Study:
        """Search until the study is finished."""
        if study.state == "finished":
            self.watch.note(f"study {study.id} is finished: nothing to search")
            return study
        self.watch.stage("searching")
        self._hire(study)
        coordinator = Coordinator(self.plan, study, self.ledger)
        before = self._done(study)
        with self._patience(study) as pause:
            while coordinator.advance():
                self.watch.searching(self._snapshot(coordinator, before))
                pause(news=coordinator.news)
        self.watch.searching(self._snapshot(coordinator, before))
        return coordinator.study

    def finish(self, study: Study) -> Outcome:
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
        return Outcome(
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
        self._hire(study)
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
        outcome = undisputed(self._registry, version) or self._heard(version)
        if outcome.note:
            self.watch.note(outcome.note)
        return outcome.verdict

    def _heard(self, version: Version) -> Judged:
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

    def _hire(self, study: Study) -> None:
        if not self.workers.started:
            self.workers.start(study.id)

    @contextmanager
    def _patience(self, study: Study) -> Iterator[_Pause]:
        """Gives a function that waits a little while looking after the workers."""
        seconds = _SOONEST

        def pause(*, news: bool) -> None:
            nonlocal seconds
            seconds = _SOONEST if news else min(2 * seconds, _LATEST)
            self._heed_stop(study)
            self.workers.tend()
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

    def _snapshot(self, coordinator: Coordinator, before: int) -> Snapshot:
        return Snapshot(
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
