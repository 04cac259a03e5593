"""The stages of a run: search, refit, register, judge.

Each is done once, whoever does it: a stage that was done before is found in the ledger. Workers are
started when there is work for them. In which order, and by which process: run.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.data import split
from fairlead.data.features import taken
from fairlead.errors import Failed
from fairlead.ledger.interface import Ledger
from fairlead.records import Candidate, NewTask, RunHolder, Study, TrialRow, Verdict, Version
from fairlead.registry.judging import GateOutcome, Holdout, consider, preload, undisputed
from fairlead.registry.registry import Registry
from fairlead.runners.runner import WorkerGroup
from fairlead.settings import Settings
from fairlead.study.coordinator import Coordinator
from fairlead.study.outcome import Best, Trials
from fairlead.study.plan import StudyPlan
from fairlead.study.progress import FitsWatch, PauseClock, ProgressListener, SearchProgress
from fairlead.study.provenance import best_json, study_json
from fairlead.study.stop import Stopped, StopRequest
from fairlead.study.workers import StudyWorkers

_SOONEST, _LATEST = 0.01, 0.1
"""Seconds between two looks at the ledger: doubled from the first to the last while nothing new
is there."""
_LATEST_WITH_NEWS = 1.0
"""The same for who is told when a worker has nothing to do: what it is told may be lost."""


def _nothing() -> None: ...


class Pause(Protocol):
    """Waits a little, longer while there is no news."""

    def __call__(self, *, news: bool) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, kw_only=True)
class Stages:
    """What carries out the stages; each does nothing where it was done before.

    Args:
        plan: What they are about.
        ledger: Where everything is written.
        artifacts: Where everything large goes.
        workers: Started when there is work for them.
        settings: Say where a worker finds the stores.
        watch: Called with what happens.
        stop: Looked at while waiting.
        tell: Tells workers that so many tasks are ready.
        hear: Waits for news of the study, so many seconds at most; None where nothing brings any.
    """

    plan: StudyPlan
    ledger: Ledger
    artifacts: Artifacts
    workers: StudyWorkers
    settings: Settings
    watch: ProgressListener
    stop: StopRequest
    tell: Callable[[int], None] = lambda _ready: None
    hear: Callable[[float], object] | None = None

    def search(self, study: Study, look: Callable[[], object] = _nothing) -> Study:
        """Search until the study is finished.

        `look` is called again and again; what it raises ends this.
        """
        self.watch.stage("searching")
        self._start_workers(study)
        coordinator = Coordinator(self.plan, study, self.ledger, tell=self.tell)
        before, pauses = self._done(study), PauseClock()
        fits = FitsWatch(self.ledger, study.id, self.watch)
        with self.patience(study) as pause:
            while coordinator.advance():
                self.watch.searching(self._snapshot(coordinator, before, pauses))
                fits.look()
                pause(news=coordinator.news)
                look()
        fits.tell_of_attempts()
        self.watch.searching(self._snapshot(coordinator, before, pauses))
        return coordinator.study

    def refit(
        self, study: Study, row: TrialRow, look: Callable[[], object] = _nothing
    ) -> Candidate:
        """The candidate: the best trial's parameters refitted by a worker.

        `look` is called as by `search`.
        """
        digest, _ = self.ledger.tasks.refit(study.id, row.trial.number)
        if digest is None:
            digest = self._refit_now(study, row, look)
        return manifest.load(self.artifacts.get(digest))

    def _refit_now(self, study: Study, row: TrialRow, look: Callable[[], object]) -> str:
        self.watch.stage(f"refitting trial {row.trial.number} on all training rows")
        self.ledger.tasks.add(study.id, [NewTask(kind="refit", trials=(row.trial,))])
        self.tell(1)
        self._start_workers(study)
        threading.Thread(target=preload, name="preload", daemon=True).start()
        fits = FitsWatch(self.ledger, study.id, self.watch)
        with self.patience(study) as pause:
            while True:
                digest, why = self.ledger.tasks.refit(study.id, row.trial.number)
                if digest is not None:
                    fits.tell_of_attempts()
                    return digest
                if why is not None:
                    raise Failed(f"refitting trial {row.trial.number} failed: {why}")
                fits.look()
                pause(news=False)
                look()

    def register(
        self, study: Study, candidate: Candidate, trials: Trials, best: Best, carrier: RunHolder
    ) -> Version:
        """Give the candidate, with the study that it came from, its place in the registry.

        A model that was registered before is that version, with the study that it had then.

        Raises:
            Lost: Its run is not the carrier's any more.
        """
        registry = self._registry(carrier)
        version = registry.known(candidate, model=self.plan.spec.name)
        if version is None:
            complete = self._complete(study, candidate, trials, best)
            version = registry.register(complete, model=self.plan.spec.name, size=study.size)
        if (version.study, version.size) != (study.id, study.size):
            self.watch.note(f"the best model is still v{version.number}: no new version")
        return version

    def _complete(
        self, study: Study, candidate: Candidate, trials: Trials, best: Best
    ) -> Candidate:
        files = {
            **candidate.files,
            "study.json": self.artifacts.put(
                study_json(study, self.plan.table.fingerprint, trials)
            ),
            "best.json": self.artifacts.put(best_json(best, candidate)),
        }
        return replace(candidate, files=files)

    def judge(self, version: Version, carrier: RunHolder) -> Verdict:
        """Put the version before the gate, unless it is the champion. Raises as `register`."""
        registry = self._registry(carrier)
        outcome = undisputed(registry, version) or self._judge(registry, version)
        if outcome.note:
            self.watch.note(outcome.note)
        return outcome.verdict

    def _judge(self, registry: Registry, version: Version) -> GateOutcome:
        self.watch.stage("judging")
        table, data = self.plan.table, self.plan.spec.data
        training, held = split.holdout(table, data.holdout, seed=data.seed)
        rows = Holdout(
            features=taken(table.features, held, memory=self.settings.memory_for_data),
            hashes=table.row_hashes[held],
            true=table.target[held],
            training=table.target[training],
            seed=self.plan.spec.seed,
        )
        terms = self.plan.spec.promote
        return consider(registry, version, holdout=rows, terms=terms)

    def _registry(self, carrier: RunHolder) -> Registry:
        return Registry(ledger=self.ledger, artifacts=self.artifacts, carrier=carrier)

    def _start_workers(self, study: Study) -> None:
        self.workers.start(
            WorkerGroup(
                key=study.id,
                study=study.id,
                ledger=self.settings.ledger_url,
                artifacts=self.settings.artifacts_url,
                environ={"FAIRLEAD_LEASE": repr(self.settings.lease)},
            )
        )

    @contextmanager
    def patience(self, study: Study) -> Iterator[Pause]:
        """Gives a function that waits a little while looking after the workers."""
        seconds = _SOONEST
        latest = _LATEST if self.hear is None else _LATEST_WITH_NEWS

        def pause(*, news: bool) -> None:
            nonlocal seconds
            seconds = _SOONEST if news else min(2 * seconds, latest)
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                self._heed_stop(study)
                self.workers.poll()
                if self._wait(min(left, _LATEST)):
                    seconds = _SOONEST
                    return

        yield pause

    def _wait(self, seconds: float) -> bool:
        """Wait for so long; whether there are news of the study before."""
        if self.hear is None:
            time.sleep(seconds)
            return False
        return self.hear(seconds) is not None

    def _heed_stop(self, study: Study) -> None:
        if self.stop.asked == 0:
            return
        if not self.workers.draining:
            self.watch.note(
                "asked to stop: finishing the tasks in hand, save fits that have a checkpoint "
                "(Ctrl-C or SIGTERM again stops at once)"
            )
            self.workers.drain()
        if self.stop.asked > 1 or self.workers.alive() == 0:
            raise Stopped(self.kept(study), self.stop.again)

    def kept(self, study: Study) -> str:
        """What the ledger keeps where the run is stopped now, in words."""
        return f"{self._done(study)} of {study.size} trials kept"

    def _done(self, study: Study) -> int:
        counts = self.ledger.studies.counts(study.id)
        return counts.done + counts.failed + counts.pruned

    def _snapshot(
        self, coordinator: Coordinator, before: int, pauses: PauseClock
    ) -> SearchProgress:
        study, elapsed = coordinator.study, coordinator.elapsed
        counts = self.ledger.studies.counts(study.id)
        return SearchProgress(
            study=replace(study, size=coordinator.size),
            metric=self.plan.metric.name,
            counts=counts,
            best=coordinator.best,
            workers=self.workers.alive(),
            elapsed=elapsed,
            before=before,
            paused=pauses.look(elapsed, paused=study.paused and not counts.running),
        )
