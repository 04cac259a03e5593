"""A run: one spec on its way from its data to a judged version, and into service if that is asked.

The ledger has the stage that a run is in, and with the artefact store all that is needed to go on:
any process that opens both can carry it. One at a time does, under a lease; decide.py says which
stage is next. Another that wants the same run helps with the search, then waits for the first to
end, and takes the run over where the lease ends before the run does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeAlias

from fairlead.errors import Failed, FairleadError, Lost
from fairlead.families.catalog import NAMES
from fairlead.formatting import count
from fairlead.ledger.database import PATIENCE
from fairlead.ledger.interface import Ledger
from fairlead.machine import unique_name, usable_cores
from fairlead.records import Candidate, Run, RunHolder, RunStage, Study, Version
from fairlead.runners.local import LocalRunner
from fairlead.runners.runner import Runner
from fairlead.settings import Settings
from fairlead.spec.document import Spec, canonical, parse_canonical
from fairlead.stores import Stores, announcing, hearing, open_stores
from fairlead.study import decide
from fairlead.study import plan as plans
from fairlead.study.check import check_apart
from fairlead.study.coordinator import Coordinator
from fairlead.study.ended import (
    as_asked,
    candidate_of,
    outcome_of,
    refuse_unfinished,
    trials_and_best,
)
from fairlead.study.lease import Lease
from fairlead.study.outcome import Best, RunOutcome, Trials
from fairlead.study.plan import StudyPlan
from fairlead.study.progress import ProgressListener
from fairlead.study.stages import Stages
from fairlead.study.stop import StopRequest
from fairlead.study.workers import StudyWorkers
from fairlead.training.driver import require_engine
from fairlead.worker.forkserver import VARIABLE

_LOOK = 0.2
"""Seconds between two looks at a run that searches or refits: somebody may have ended it."""
_STOPPED = PATIENCE / 3
"""Seconds that a worker may be stopped at most: well before others give up waiting to write."""


OpenRun: TypeAlias = Callable[[Ledger, Run], Run]


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What to run and how.

    Args:
        spec: The user's.
        base: Folder that its relative paths start from.
        sources: Content of the files of its families, where that is known; the others are read.
        workers: Number of local workers; None for as many as the plan is worth.
        fresh: Search again even where this study is finished.
        deploy: Brings what came of the run into service, as its last stage; None for no such stage.
        forkserver: The socket of a fork server for the workers, if there is one.
        apart: Whether its families are checked in a process of their own where it is submitted:
            their code is somebody else's.
    """

    spec: Spec
    base: Path
    sources: Mapping[str, bytes] = field(default_factory=dict)
    workers: int | None = None
    fresh: bool = False
    deploy: Callable[[RunOutcome], None] | None = None
    forkserver: str | None = None
    apart: bool = False


def run(
    request: RunRequest,
    settings: Settings,
    watch: ProgressListener,
    stop: StopRequest | None = None,
) -> RunOutcome:
    """Take a spec all the way, or go on where another process left it.

    Args:
        request: What to run.
        settings: The installation's.
        watch: Called with what happens.
        stop: Looked at while waiting.

    Raises:
        Invalid: The spec or the data cannot be used; nothing was written.
        Failed: No trial succeeded, the refit failed, or parity failed.
        Stopped: It was asked to stop; the ledger keeps what is done.
    """
    stop = stop or StopRequest()
    with local_runner(settings, request.forkserver) as runner:
        with stop.at_once():
            watch.stage("reading the data")
            plan = plans.make(
                request.spec,
                base=request.base,
                sources=request.sources,
                settings=settings,
                downloaded=watch.downloaded,
                check=lambda plan: _check(plan, request, settings, runner, watch),
            )
        for remark in plan.remarks:
            watch.note(remark)
        with opened(settings, stop) as stores:
            with stop.at_once():
                begun, study = _begin(plan, request, stores, deploy=request.deploy is not None)
            with at_work(
                plan,
                study,
                stores,
                settings,
                runner,
                workers=request.workers,
                watch=watch,
                stop=stop,
            ) as stages:
                return _carry(begun, stages, settings.lease, request.deploy)


def submit(  # noqa: PLR0913 - what, how, and who follows it
    request: RunRequest,
    settings: Settings,
    watch: ProgressListener,
    stop: StopRequest | None = None,
    *,
    deploy: bool = False,
    priority: int | None = None,
    open_run: OpenRun | None = None,
) -> Run:
    """Put a spec into the stores, its data and code with it, for another process to carry.

    Its first tasks are there when this returns: workers need not wait for who carries the run.

    Args:
        request: What to run; its workers are those that are there anyway.
        settings: The installation's.
        watch: Called with what happens.
        stop: Heeded at once.
        deploy: Whether the version is to be deployed where it becomes the champion.
        priority: Of its study; as it is if None.
        open_run: Opens the run in another way than `Runs.open`; what it raises is passed on.

    Returns:
        The run; one of this study and spec that goes on is the same.

    Raises:
        Invalid: The spec or the data cannot be used; nothing was written.
        Stopped: It was asked to stop.
    """
    stop = stop or StopRequest()
    with stop.at_once():
        watch.stage("reading the data")
        plan = plans.make(
            request.spec,
            base=request.base,
            sources=request.sources,
            settings=settings,
            downloaded=watch.downloaded,
            check=lambda plan: check_apart(plan, settings, always=request.apart),
        )
    for remark in plan.remarks:
        watch.note(remark)
    with opened(settings, stop) as stores, stop.at_once():
        before = stores.ledger.now()
        run, study = _begin(plan, request, stores, deploy=deploy, open_run=open_run)
        if run.began < before:
            watch.note(f"run {run.id} of this study and spec goes on already")
        if priority is not None and priority != study.priority:
            stores.ledger.studies.prioritize(study.id, priority)
        with announcing(settings, notice=watch.note, study=study.id) as tell:
            Coordinator(plan, study, stores.ledger, tell=tell).begin()
        return run


def _begin(
    plan: StudyPlan,
    request: RunRequest,
    stores: Stores,
    *,
    deploy: bool,
    open_run: OpenRun | None = None,
) -> tuple[Run, Study]:
    study = plans.keep(plan, stores.ledger, stores.artifacts, fresh=request.fresh)
    asked = Run(id="", study=study.id, spec=canonical(plan.spec), deploy=deploy)
    opened = stores.ledger.runs.open(asked) if open_run is None else open_run(stores.ledger, asked)
    return opened, study


def _check(
    plan: StudyPlan,
    request: RunRequest,
    settings: Settings,
    runner: LocalRunner,
    watch: ProgressListener,
) -> Sequence[str]:
    """Check a plan's families, and start workers for it meanwhile.

    Neither is done where a study of its identity shows that they were checked. The user's own are
    checked all the same: there may be something to say of them. An engine that its workers cannot
    start is refused before a trial fails for it: such a study would be finished, for any engine.
    """
    study = plans.known(plan, settings)
    known, train = study is not None, plan.spec.train
    searches = request.fresh or study is None or study.state != "finished"
    if train is not None and train.is_shared and searches and request.workers != 0:
        require_engine(train, plan.spec.search.threads)
    if known and all(name in NAMES for name in plan.families):
        return ()
    if plan.has_builders and not known:
        watch.stage("trying out the networks")
    if request.forkserver is not None and not known:
        wanted = plans.most_slots(plan.spec) if request.workers is None else request.workers
        idle = usable_cores() - 1  # one is busy with the fork server's imports
        runner.start_ahead(settings.ledger_url, settings.artifacts_url, min(wanted, idle))
    return check_apart(plan, settings, known=known, forkserver=request.forkserver)


def local_runner(
    settings: Settings,
    forkserver: str | None = None,
    names: Callable[[], str] = unique_name,
) -> LocalRunner:
    """The runner for workers on this machine, whose children this fork server forks."""
    return LocalRunner(
        home=settings.home,
        logs=settings.logs,
        stopped=min(settings.lease, _STOPPED),
        environ={VARIABLE: forkserver} if forkserver else {},
        names=names,
    )


def resume(  # noqa: PLR0913 - which, where, how, and who is called
    run_id: str,
    settings: Settings,
    watch: ProgressListener,
    stop: StopRequest | None = None,
    *,
    workers: int | None = None,
    deploy: Callable[[RunOutcome], None] | None = None,
    alone: bool = False,
) -> RunOutcome:
    """Carry a run to its end from wherever it is, given its id and the stores alone.

    Args:
        run_id: Its id.
        settings: Say where the stores are.
        watch: Called with what happens.
        stop: Looked at while waiting.
        workers: As for `run`.
        deploy: As for `run`, where the run has that stage.
        alone: Whether to leave the run to another process that carries it, rather than to help.

    Raises:
        NotFound: There is no such run.
        Lost: Another process carries it, and this one was to do that alone.
        Failed: As for `run`, or the run has failed before.
        Stopped: As for `run`.
    """
    stop = stop or StopRequest()
    with opened(settings, stop) as stores:
        with stop.at_once():
            found = stores.ledger.runs.get(run_id)
            study = stores.ledger.studies.get(found.study)
            plan = plans.restored(parse_canonical(found.spec), study, stores.artifacts)
        runner = local_runner(settings)
        with at_work(
            plan, study, stores, settings, runner, workers=workers, watch=watch, stop=stop
        ) as stages:
            return _carry(found, stages, settings.lease, deploy, alone=alone)


def opened(settings: Settings, stop: StopRequest) -> Stores:
    """Both stores; heeds the request to stop, since another process may be migrating the ledger."""
    with stop.at_once():
        return open_stores(settings)


@contextmanager
def at_work(  # noqa: PLR0913 - what, where, by whom, and who is called
    plan: StudyPlan,
    study: Study,
    stores: Stores,
    settings: Settings,
    runner: Runner,
    *,
    workers: int | None,
    watch: ProgressListener,
    stop: StopRequest,
) -> Iterator[Stages]:
    """What carries out a plan's stages; its workers are ended at the end.

    Args:
        plan: What it is about.
        study: As the ledger has it.
        stores: Where everything is written.
        settings: Say where workers find the stores.
        runner: Where they run.
        workers: How many to start; None for as many as the plan is worth.
        watch: Called with what happens.
        stop: Looked at while waiting.
    """
    count = plans.slots(plan) if workers is None else workers
    with (
        announcing(settings, notice=watch.note, study=study.id) as tell,
        hearing(settings, study=study.id) as hear,
        StudyWorkers(runner, stores.ledger, count=count) as started,
    ):
        yield Stages(
            tell=tell,
            hear=hear,
            plan=plan,
            ledger=stores.ledger,
            artifacts=stores.artifacts,
            workers=started,
            settings=settings,
            watch=watch,
            stop=stop,
        )


def _carry(
    run: Run,
    stages: Stages,
    lease: float,
    deploy: Callable[[RunOutcome], None] | None,
    *,
    alone: bool = False,
) -> RunOutcome:
    holder = unique_name()
    runs = stages.ledger.runs
    extend = partial(runs.take, run.id, holder, lease=lease)
    with Lease(extend, partial(runs.release, run.id, holder), seconds=lease):
        return _Carrier(
            run=run, stages=stages, holder=holder, lease=lease, deploy=deploy, alone=alone
        ).carry()


@dataclass(kw_only=True)
class _Carrier:
    """One process that carries a run, or waits for the one that does."""

    run: Run
    stages: Stages
    holder: str
    lease: float
    deploy: Callable[[RunOutcome], None] | None
    alone: bool = False
    _waits_for: str | None = field(default=None, init=False)
    _looked: float = field(default=0.0, init=False)

    def carry(self) -> RunOutcome:
        """Go from stage to stage until the run has ended."""
        study, kept = self._study(), self._kept()
        if study.size < kept.size:
            self.stages.watch.note(
                f"study {study.id} has {count(kept.size, 'trial')}: {study.size} are asked for, so "
                "these are its first"
            )
        if study.state == "finished":
            self.stages.watch.note(f"study {study.id} is finished: nothing to search")
        with self.stages.patience(study) as pause:
            while self._look().state == "running":
                if self.run.verdict is not None and self.run.deploy and self.deploy is None:
                    break  # the last stage is for a process that can deploy
                self._refuse_another()
                if not self._step():
                    pause(news=False)
        refuse_unfinished(self.run)
        return self._outcome

    def _look_again(self) -> None:
        """Look at the run now and then: who ends it or replaces it tells the ledger alone.

        Raises:
            Lost: It has ended, or another process carries it alone.
        """
        if time.monotonic() < self._looked + _LOOK:
            return
        if self._look().state != "running":
            raise Lost(f"run {self.run.id!r} is {self.run.state} by now")
        self._refuse_another()

    def _refuse_another(self) -> None:
        if self.alone and self.run.holder != self.holder:
            raise Lost(f"run {self.run.id!r} is carried by {self.run.holder!r}")

    def _look(self) -> Run:
        self._looked = time.monotonic()
        runs = self.stages.ledger.runs
        self.run = runs.take(self.run.id, self.holder, lease=self.lease)
        return self.run

    def _step(self) -> bool:
        """Carry out the next stage; False where that is for another process to do."""
        try:
            stage = self._next()
            if stage == "search":  # several may: what they put in is the same, and put in once
                self.stages.search(self._kept(), self._look_again)
                self.__dict__.pop("_found", None)
            elif self.run.holder != self.holder:
                return self._wait()
            else:
                self._do(stage)
        except Lost:
            return True  # another has it by now
        except Failed as error:
            with suppress(FairleadError):
                self._write(replace(self.run, state="failed", reason=str(error)))
            raise
        return True

    def _next(self) -> RunStage | None:
        study = self._study()
        if study.state != "finished" or self.run.version is not None:
            return decide.next_stage(self.run, study, refitted=False)
        digest, _ = self.stages.ledger.tasks.refit(study.id, self._found[1].number)
        return decide.next_stage(self.run, study, refitted=digest is not None)

    def _wait(self) -> bool:
        if self._waits_for != self.run.holder:
            self._waits_for = self.run.holder
            self.stages.watch.stage(f"waiting for {self.run.holder}, which carries this run")
        return False

    def _do(self, stage: RunStage | None) -> None:
        if stage is None:
            self._write(replace(self.run, state="done"))
            return
        if self.run.stage != stage:
            self._write(replace(self.run, stage=stage))
        study, stages = self._study(), self.stages
        trials, best = self._found
        match stage:
            case "refit":
                stages.refit(study, trials[best.number], self._look_again)
            case "register":
                with stages.stop.at_once(stages.kept(study)):
                    version = stages.register(study, self._candidate, trials, best, self._carrier)
                    self._write(replace(self.run, version=version.number))
            case "judge":
                with stages.stop.at_once(stages.kept(study)):  # a second look is all it costs
                    verdict = stages.judge(self._version, self._carrier)
                    self._write(replace(self.run, verdict=verdict))
            case "deploy":
                assert self.deploy is not None
                stages.workers.end()
                self.deploy(self._outcome)
                self._write(replace(self.run, state="done"))

    def _write(self, run: Run) -> None:
        """Raises Lost where another process holds it by now."""
        self.run = self.stages.ledger.runs.advance(replace(run, holder=self.holder))

    @property
    def _carrier(self) -> RunHolder:
        return RunHolder(run=self.run.id, holder=self.holder)

    def _kept(self) -> Study:
        """The study as the ledger has it, which may be larger than the one asked for."""
        return self.stages.ledger.studies.get(self.run.study)

    def _study(self) -> Study:
        """The study that is asked for."""
        return as_asked(self._kept(), self.stages.plan.search.size, self.stages.ledger)

    @cached_property
    def _found(self) -> tuple[Trials, Best]:
        """The trials of the finished study that is asked for, and the best of them."""
        return trials_and_best(self._study(), self.stages.ledger)

    @property
    def _candidate(self) -> Candidate:
        return candidate_of(self._found[1], self.run, self.stages.ledger, self.stages.artifacts)

    @property
    def _version(self) -> Version:
        assert self.run.version is not None
        return self.stages.ledger.versions.get(self.stages.plan.spec.name, self.run.version)

    @property
    def _outcome(self) -> RunOutcome:
        return outcome_of(self.run, self.stages.ledger, self.stages.artifacts)
