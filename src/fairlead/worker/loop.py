"""The worker's loop: claim, have it done, commit, repeat.

Belongs here: carrying out what decide.py says. Does not: rules.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from fairlead.errors import Lost
from fairlead.ledger.interface import Ledger
from fairlead.records import Claim, Limits, Study
from fairlead.worker import decide
from fairlead.worker.decide import Attempt, Seen
from fairlead.worker.job import Job, Open, Refitted, Scored
from fairlead.worker.process import Child

_SOONEST, _LATEST = 0.005, 0.5
"""Seconds between two looks for a task: doubled from the first to the last while there is none."""


@dataclass
class Stop:
    """Whether the worker was told to stop: after its task, or at once.

    `wake` is the read end of a pipe that becomes readable with each change.
    """

    after_task: bool = False
    at_once: bool = False
    wake: int = field(default=-1)
    _wake_write: int = field(default=-1)

    def __post_init__(self) -> None:
        self.wake, self._wake_write = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self._wake_write, False)

    def ask(self, *, at_once: bool = False) -> None:
        """Stop after the task in hand; asked twice, or with `at_once`, stop now."""
        self.at_once = self.at_once or at_once or self.after_task
        self.after_task = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"!")

    def drain(self) -> None:
        """Forget the wake-ups so far."""
        if not self.after_task:
            return  # never asked
        with contextlib.suppress(BlockingIOError):
            while os.read(self.wake, 64):
                pass


@dataclass(kw_only=True)
class Worker:
    """One worker.

    Args:
        name: Unique among those alive.
        ledger: Where tasks come from and results go.
        artifacts: URL of the artefact store.
        cache: Folder of local copies of artefacts, where the store is no local folder.
        lease: Seconds of a lease.
        study: Work on this study only.
        forkserver: The socket of a fork server that forks its children.
        note: Told in a line what happens.
    """

    name: str
    ledger: Ledger
    artifacts: str
    cache: Path
    lease: float
    study: str | None = None
    forkserver: str | None = None
    note: Callable[[str], None] = lambda _line: None
    stop: Stop = field(default_factory=Stop)
    _child: Child | None = None
    _study: Study | None = None

    def run(self) -> None:
        """Work until told to stop."""
        try:
            if self.study is not None:
                self._open_ahead(self.study)
            self._work()
        finally:
            self._end_child()

    def _open_ahead(self, study_id: str) -> None:
        """Have the child load what tasks of this study need, before one is claimed.

        A task that is held by a worker whose child is still loading keeps all that depend on its
        result waiting, and another worker might be ready for it.
        """
        study = self._study_of(study_id)
        child = self._child_for(study)
        child.send(_opening(study))
        sent = time.monotonic()
        look = partial(self._look, child, study.limits)
        while isinstance(step := decide.until_ready(sent, look()), decide.Wait):
            child.wait(min(step.seconds, _LATEST), [self.stop.wake])
            self._leave_if_asked()
        if step.replace:
            self._end_child()
        elif step.ready:
            child.has_open = study.id

    def _work(self) -> None:
        pause = _SOONEST
        claim: Claim | None = None
        while not self.stop.after_task:
            claim = claim or self._claim()
            if claim is not None:
                pause = _SOONEST
                claim = self._attempt(claim)
            else:
                self._leave_if_asked()
                self._idle(pause)
                pause = min(2 * pause, _LATEST)
        if claim is not None:  # told to stop in the moment in which it was claimed
            self._give_back(claim)

    def _leave_if_asked(self) -> None:
        """The ledger gives one that is to leave no task; here it learns why."""
        if not self.stop.after_task and self.ledger.tasks.is_leaving(self.name):
            self.stop.ask()

    def _claim(self) -> Claim | None:
        return self.ledger.tasks.claim(self.name, lease=self.lease, study=self.study)

    def _give_back(self, claim: Claim) -> None:
        with contextlib.suppress(Lost):
            self.ledger.tasks.release(claim, decide.TOLD)

    def _idle(self, seconds: float) -> None:
        select.select([self.stop.wake], [], [], seconds * random.uniform(0.5, 1.0))

    def _attempt(self, claim: Claim) -> Claim | None:
        """See the attempt through; the next one, where its end brought one."""
        with contextlib.suppress(Lost):
            return self._see_through(claim)
        self.note(f"task {claim.task} attempt {claim.attempt}: lost; its result is thrown away")
        self._end_child()
        return None

    def _see_through(self, claim: Claim) -> Claim | None:
        study = self._study_of(claim.study)
        child = self._child_for(study)
        child.send(_job(claim, study))
        now = time.monotonic()
        attempt = Attempt(
            token=claim.token,
            sent=now,
            began=now if child.has_open == study.id else None,
            heard=now,
            lease=self.lease,
            limits=study.limits,
        )
        while True:
            match decide.next_step(attempt, self._look(child, study.limits)):
                case decide.Wait(seconds=seconds):
                    child.wait(seconds, [self.stop.wake])
                case decide.Extend():
                    self.ledger.tasks.heartbeat(claim, lease=self.lease)
                    attempt = replace(attempt, heard=time.monotonic())
                case decide.Begin():
                    child.has_open = study.id
                    attempt = replace(attempt, began=time.monotonic())
                case end:
                    return self._conclude(claim, end)

    def _look(self, child: Child, limits: Limits) -> Seen:
        self.stop.drain()
        answer = child.answer()
        status = child.exit_status() if answer is None else None
        return Seen(
            now=time.monotonic(),
            answer=answer,
            closed=child.closed,
            exit_status=status,
            last_words=child.last_words() if status is not None else "",
            memory=child.memory() if limits.memory is not None else None,
            leaving=self.stop.after_task,
            stop=self.stop.at_once,
        )

    def _conclude(self, claim: Claim, end: decide.Step) -> Claim | None:
        tasks = self.ledger.tasks
        match end:
            case decide.Commit(answer=Scored(results=results), go_on=True):
                return tasks.commit_and_claim(claim, results, lease=self.lease, study=self.study)
            case decide.Commit(answer=Scored(results=results)):
                tasks.commit(claim, results)
            case decide.Commit(answer=Refitted(candidate=candidate)):
                tasks.commit_refit(claim, candidate)
            case decide.Fault(reason=reason, replace=replace):
                self.note(f"task {claim.task} attempt {claim.attempt}: {reason}")
                if replace:
                    self._end_child()
                tasks.fault(claim, reason)
            case decide.Lose():
                self.note(f"task {claim.task} attempt {claim.attempt}: its process was killed")
                self._end_child()
                tasks.lose(self.name)
            case decide.Release(reason=reason):
                self._end_child()
                tasks.release(claim, reason)
        return None

    def _study_of(self, study_id: str) -> Study:
        if self._study is None or self._study.id != study_id:
            self._study = self.ledger.studies.get(study_id)
        return self._study

    def _child_for(self, study: Study) -> Child:
        threads = threads_of(study)
        if self._child is not None and (
            self._child.exit_status() is not None or self._child.threads != threads
        ):
            self._end_child()
        if self._child is None:
            self._child = Child(
                artifacts=self.artifacts,
                cache=self.cache,
                threads=threads,
                forkserver=self.forkserver,
            )
        return self._child

    def _end_child(self) -> None:
        if self._child is not None:
            if self._child.refused:
                self.forkserver = None
            self._child.end()
            self._child = None


def threads_of(study: Study) -> int:
    """Threads of one fit, as the study's spec has them (read without loading Pydantic)."""
    return int(json.loads(study.spec)["search"]["threads"])


def _opening(study: Study) -> Open:
    return Open(study=study.id, spec=study.spec, table=study.table, sources=study.sources)


def _job(claim: Claim, study: Study) -> Job:
    return Job(
        token=claim.token,
        kind=claim.kind,
        study=study.id,
        spec=study.spec,
        table=study.table,
        sources=study.sources,
        trials=claim.trials,
    )
