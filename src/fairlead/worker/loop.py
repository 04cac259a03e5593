"""The worker's loop: claim a task, have the child execute it, commit the result, repeat.

Short tasks several at a time: see Batch.

The rules are in decide.py; the loop observes the child and the requests to stop, carries out the
step that the rules give, and writes to the ledger.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from fairlead.errors import (
    STORE_IS_AWAY,
    Failed,
    FairleadError,
    Invalid,
    Lost,
    NotFound,
    Transient,
    described,
)
from fairlead.formatting import numbered
from fairlead.ledger.bounds import check_progress
from fairlead.ledger.interface import Ledger
from fairlead.machine import own_memory
from fairlead.queue.interface import Delivery, Queue
from fairlead.records import (
    CacheFolder,
    Claim,
    Completed,
    Digest,
    FleetWorker,
    Limits,
    Offer,
    Study,
)
from fairlead.worker import decide
from fairlead.worker.decide import Attempt, KeptCheckpoint, Observation
from fairlead.worker.forkserver import tell_idle
from fairlead.worker.messages import OpenStudy, Refitted, TaskRequest, TrialsScored
from fairlead.worker.process import Child, newer

Answered = TypeVar("Answered")

_SOONEST, _LATEST = 0.005, 0.5
"""Seconds between two claims: doubled from the first to the last while there is no task."""
_LATEST_WITH_QUEUE = 4.0
"""The same where a queue tells of tasks."""
_RANKS_END = 20.0
"""Seconds in which the child of a worker that ends may end the ranks of its fits."""

_KILLED = "its process was killed"

_AWAY = 5.0
"""Seconds until the next claim, where the artefact store did not answer."""


@dataclass
class WorkerStop:
    """Whether the worker was asked to stop: after its task, or at once.

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
        """Stop after the current task; asked twice, or with `at_once`, stop now."""
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
class Batch:
    """Tasks that were claimed together: most often one.

    Args:
        waiting: Those that have not begun.
        claimed: When that was, in monotonic seconds.
        parts: When those that are left are to be given back.
        begun: How many have begun.
        completed: Those that have results, which are still to be committed.
    """

    waiting: deque[Claim]
    claimed: float
    parts: float
    begun: int = 0
    completed: list[Completed] = field(default_factory=list)

    @property
    def is_alone(self) -> bool:
        """Whether the task in hand is the only one whose attempt has not ended."""
        return not self.waiting and not self.completed

    def next(self) -> Claim:
        """The task that begins now."""
        self.begun += 1
        return self.waiting.popleft()


@dataclass(kw_only=True)
class Worker:
    """One worker.

    Args:
        name: Unique among those alive.
        ledger: Where tasks come from and results go.
        artifacts: URL of the artefact store.
        cache: Local copies of artefacts, where the store is no local folder.
        lease: Seconds of a lease.
        study: Work on this study only.
        offer: What this machine has for tasks.
        queue: Tells when there may be tasks; without one the worker looks again and again.
        forkserver: The socket of a fork server that forks its children.
        idle: Seconds without a task after which it ends; None for never.
        remove_checkpoint: Removes one that no attempt needs any more, unless it was stored again
            after this time; without one they stay for `gc`.
        note: Called with a line of text for what goes wrong.
        tell: Called with a line of text for each task.
    """

    name: str
    ledger: Ledger
    artifacts: str
    cache: CacheFolder
    lease: float
    study: str | None = None
    offer: Offer | None = None
    queue: Queue | None = None
    forkserver: str | None = None
    idle: float | None = None
    remove_checkpoint: Callable[[Digest, float], None] | None = None
    note: Callable[[str], None] = lambda _line: None
    tell: Callable[[str], None] = lambda _line: None
    stop: WorkerStop = field(default_factory=WorkerStop)
    _child: Child | None = None
    _study: Study | None = None
    _report_due: float = 0.0
    _last_fault: str = ""
    _hint: Delivery | None = None
    _spent: dict[int, KeptCheckpoint] = field(default_factory=dict)  # once results are committed
    _since: float = 0.0  # when it had a task last, or began to look for one

    def run(self) -> None:
        """Work until asked to stop."""
        try:
            self._report()
            if self.study is not None:
                self._survive(partial(self._open_ahead, self.study), f"opening study {self.study}")
            self._work()
            self._let_ranks_end()
        finally:
            self._end_child()
            with contextlib.suppress(FairleadError):  # its lease ends by itself
                self.ledger.workers.gone(self.name)

    def _open_ahead(self, study_id: str) -> None:
        """Have the child load what tasks of this study need, before one is claimed.

        A task claimed while the child still loads would delay all that depend on its result, and
        another worker might be ready for it.
        """
        study = self._study_of(study_id)
        child = self._child_for(study)
        child.send(_open_study(study))
        sent = time.monotonic()
        observe = partial(self._observe, child, study.limits)
        while isinstance(step := decide.until_ready(sent, observe()), decide.Wait):
            child.wait(min(step.seconds, _LATEST), [self.stop.wake])
            self._leave_if_asked()
            self._report()
        if step.replace:
            self._end_child()
        elif step.ready:
            child.has_open = study.id

    def _work(self) -> None:
        pause = _SOONEST
        claims: Sequence[Claim] = ()
        self._since = time.monotonic()
        while not self.stop.after_task:
            self._report()
            claims = claims or self._claim()
            self._acknowledge()
            if claims:
                pause = _SOONEST
                claims = self._execute_all(claims)
                self._since = time.monotonic()
            else:
                self._leave_if_asked()
                self._leave_if_idle()
                if pause == _SOONEST and self.forkserver is not None:
                    tell_idle(self.forkserver)
                self._await_tasks(pause)
                pause = min(2 * pause, _LATEST if self.queue is None else _LATEST_WITH_QUEUE)
        for claim in claims:  # asked to stop while they were being claimed
            self._release(claim, decide.STOPPED)

    def _await_tasks(self, seconds: float) -> None:
        """Wait for a hint, or for the next look into the ledger: a hint may be lost."""
        if self.queue is None:
            self._idle(seconds)
            return
        until = time.monotonic() + seconds * random.uniform(0.5, 1.0)
        while self._hint is None and not self.stop.after_task:
            left = until - time.monotonic()
            if left <= 0:
                return
            self._hint = self.queue.next(min(left, _LATEST))
            self._report()

    def _acknowledge(self) -> None:
        """What the hint told of was looked for, and is claimed if it was there."""
        if self._hint is not None and self.queue is not None:
            self.queue.acknowledge(self._hint)
        self._hint = None

    def _leave_if_asked(self) -> None:
        """Stop where the ledger lists this worker as leaving: it gives such a worker no task."""
        if self.stop.after_task:
            return
        ask = partial(self._patiently, lambda: self.ledger.tasks.is_leaving(self.name))
        if self._survive(ask, "asking whether to leave"):
            self.stop.ask()

    def _leave_if_idle(self) -> None:
        """Stop where it looked for a task just now, and has had none for its time."""
        if self.idle is not None and time.monotonic() - self._since >= self.idle:
            self.tell(f"no task for {self.idle:g} s")
            self.stop.ask()

    def _claim(self) -> Sequence[Claim]:
        def claim() -> Claim | None:
            return self.ledger.tasks.claim(
                self.name, lease=self.lease, study=self.study, offer=self.offer
            )

        found = self._survive(partial(self._patiently, claim), "claiming a task")
        return [found] if found else []

    def _release(self, claim: Claim, reason: str) -> None:
        with contextlib.suppress(Transient):  # its lease ends by itself
            self._survive(lambda: self.ledger.tasks.release(claim, reason), "giving the task back")

    def _survive(self, do: Callable[[], Answered], what: str) -> Answered | None:
        """What it returns; None where it failed in a way that another task or time may not.

        A fault that nobody foresaw, of the ledger's server or of one row, ends no worker: its
        successors would meet it again, and none would be left for the other tasks.
        """
        try:
            return do()
        except Exception as error:
            if _ends_worker(error):
                raise
            self._say_once(f"{what}: {described(error)}; going on")
            return None

    def _say_once(self, line: str) -> None:
        if line != self._last_fault:
            self._last_fault = line
            self.note(line)

    def _patiently(self, ask: Callable[[], Answered]) -> Answered:
        """What the ledger answers, however long it is away; a stop at once ends the wait.

        What is not heard of the ledger cannot go wrong there: a lease that ends meanwhile is found
        out by the next write under it.
        """
        while True:
            try:
                return ask()
            except STORE_IS_AWAY as error:
                if self.stop.at_once:
                    raise
                self._say_once(f"{error}; trying again")
                self._idle(_LATEST)
                if self._child is not None:
                    self._child.listen()  # its fit does not wait for the ledger

    def _report(self) -> None:
        """Let the ledger know, now and then, that this worker is alive and what it holds."""
        if self.offer is None or time.monotonic() < self._report_due:
            return
        self._report_due = time.monotonic() + self.lease / 3
        child = 0 if self._child is None else self._child.memory() or 0
        worker = FleetWorker(
            name=self.name,
            host=socket.gethostname(),
            process=os.getpid(),
            offer=self.offer,
            study=self.study,
            used=child + own_memory(),
        )
        with contextlib.suppress(*STORE_IS_AWAY):  # it is said again soon
            self._survive(
                lambda: self.ledger.workers.seen(worker, lease=self.lease), "telling of this worker"
            )

    def _idle(self, seconds: float) -> None:
        select.select([self.stop.wake], [], [], seconds * random.uniform(0.5, 1.0))

    def _execute_all(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Execute the claimed tasks; the next ones, where the commit gave some."""
        now = time.monotonic()
        parts = decide.parts_at(now, self.lease)
        batch = Batch(waiting=deque(claims), claimed=now, parts=parts)
        while batch.waiting and not self.stop.after_task:
            claim = batch.next()
            try:
                self._execute(claim, batch)
            except Exception as error:
                if _ends_worker(error):
                    raise
                self._discard(claim, error)
                self._end_child()
        if self.stop.after_task:
            self._part(batch, decide.STOPPED)
        elif batch.completed:
            seconds = time.monotonic() - batch.claimed
            return self._commit(batch.completed, most=decide.tasks_at_once(seconds, batch.begun))
        return ()

    def _part(self, batch: Batch, reason: str) -> None:
        """Have no task but the one in hand: commit those that are done, release the others."""
        completed, batch.completed = batch.completed, []
        if completed:
            self._commit(completed, most=0)
        while batch.waiting:
            self._release(batch.waiting.popleft(), reason)

    def _commit(self, completed: Sequence[Completed], *, most: int) -> Sequence[Claim]:
        """Commit these, and claim so many."""

        def commit() -> Sequence[Claim]:
            return self.ledger.tasks.commit_and_claim(
                completed, lease=self.lease, study=self.study, offer=self.offer, most=most
            )

        try:
            claims = self._patiently(commit)
        except Exception as error:
            if len(completed) == 1:
                if _ends_worker(error):
                    raise
                self._discard(completed[0].claim, error)
                return ()
        else:
            for one in completed:
                self._drop(self._spent.pop(one.claim.token, None))
            return claims
        for one in completed:  # one of them spoils it for all
            self._commit([one], most=0)
        return ()

    def _discard(self, claim: Claim, error: Exception) -> None:
        """End an attempt that an error has cut short."""
        self._spent.pop(claim.token, None)
        if isinstance(error, Lost):
            self.note(f"{_of(claim)}: lease lost; result discarded")
        else:
            self._fault(claim, described(error))

    def _fault(self, claim: Claim, reason: str) -> None:
        """End an attempt for a fault that nobody foresaw; where that fails too, its lease ends."""
        self.note(f"{_of(claim)}: {reason}")
        with contextlib.suppress(Lost):
            fault = partial(self.ledger.tasks.fault, claim, reason)
            self._survive(partial(self._patiently, fault), f"ending task {claim.task}")

    def _execute(self, claim: Claim, batch: Batch) -> None:
        study = self._study_of(claim.study)
        if claim.kind == "refit":
            self._renew_forked_child()
        child = self._child_for(study)
        self.tell(f"{_of(claim)}: {_what(claim, study)}")
        child.send(_task_request(claim, study))
        now = time.monotonic()
        attempt = Attempt(
            token=claim.token,
            sent=now,
            began=now if child.has_open == study.id else None,
            extended=batch.claimed,
            lease=self.lease,
            limits=study.limits,
            parts=None if batch.is_alone else batch.parts,
            kept=_kept(claim.checkpoint),
        )
        while True:
            observed = self._observe(child, study.limits)
            attempt = self._with_told(claim, attempt, child)
            match decide.next_step(attempt, observed):
                case decide.Wait(seconds=seconds):
                    child.wait(seconds, [self.stop.wake])
                case decide.ExtendLease():
                    self._report()
                    self._patiently(lambda: self.ledger.tasks.heartbeat(claim, lease=self.lease))
                    attempt = replace(attempt, extended=time.monotonic())
                case decide.ReportFit():
                    attempt = self._report_fit(claim, attempt)
                case decide.PartFromBatch():
                    self._part(batch, decide.TAKES_LONG)
                    attempt = replace(attempt, parts=None)
                case decide.MarkBegun():
                    child.has_open = study.id if claim.kind == "trials" else None
                    attempt = replace(attempt, began=time.monotonic())
                case end:
                    attempt = self._report_last(claim, attempt)
                    if attempt.kept is not None and isinstance(end, decide.CommitResult):
                        self._spent[claim.token] = attempt.kept
                    self._patiently(partial(self._conclude, claim, end, batch))
                    if isinstance(end, decide.CommitResult):
                        self.tell(f"{_of(claim)}: {_done(end, time.monotonic() - now)}")
                    return

    def _with_told(self, claim: Claim, attempt: Attempt, child: Child) -> Attempt:
        """The attempt with what its child has told since; what it tells late of another is none."""
        for noted in child.notes():
            if noted.token == attempt.token:
                self._put_down(claim, noted.text)
        told = child.told()
        if told is None or told.token != attempt.token:
            return attempt
        try:
            check_progress(told.progress, [trial.number for trial in claim.trials])
        except Invalid as error:  # such as a loss that is no number: the fit says so by its result
            self._say_once(f"{_of(claim)}: {error}; not reported")
            return attempt
        return replace(attempt, told=newer(attempt.told, told))

    def _put_down(self, claim: Claim, line: str) -> None:
        """Say it here and in the study's history, for who watches. Raises Lost."""
        self.note(f"{_of(claim)}: {line}")
        self._tried("telling of a fit", partial(self.ledger.fits.note, claim, line))

    def _report_fit(self, claim: Claim, attempt: Attempt) -> Attempt:
        """The attempt, once it was tried to report what its child told. Raises Lost."""
        assert attempt.told is not None
        report = partial(self.ledger.fits.report, claim, attempt.told.progress)
        tried = replace(attempt, reported=time.monotonic())
        return self._told(tried) if self._tried("reporting a fit", report) else tried

    def _report_last(self, claim: Claim, attempt: Attempt) -> Attempt:
        """Report what is left before the attempt ends: another goes on from its checkpoint."""
        if attempt.told is None:
            return attempt
        report = partial(
            self._patiently, partial(self.ledger.fits.report, claim, attempt.told.progress)
        )
        reported = self._tried("reporting a fit", report, passed=(Lost, *STORE_IS_AWAY))
        return self._told(attempt) if reported else attempt

    def _told(self, attempt: Attempt) -> Attempt:
        """The attempt, once the ledger has what it told: a checkpoint replaces the one before."""
        assert attempt.told is not None
        made = _kept(attempt.told.progress.checkpoint)
        if made is None:
            return replace(attempt, told=None)
        if attempt.kept is not None and attempt.kept.digest != made.digest:
            self._drop(attempt.kept)
        self._leave_if_asked()  # from here another goes on at little cost
        return replace(attempt, told=None, kept=made)

    def _drop(self, checkpoint: KeptCheckpoint | None) -> None:
        """Remove a checkpoint that the ledger names no more."""
        if checkpoint is None or self.remove_checkpoint is None:
            return
        try:
            self.remove_checkpoint(checkpoint.digest, checkpoint.seen)
        except Exception as error:  # noqa: BLE001 - it is garbage from now on, whoever removes it
            self._say_once(f"removing a checkpoint: {described(error)}; going on")

    def _tried(
        self,
        what: str,
        tell: Callable[[], object],
        passed: tuple[type[Exception], ...] = (Lost,),
    ) -> bool:
        """Whether the ledger was told. What is passed on is raised; no report is worth a fit."""
        try:
            tell()
        except passed:
            raise
        except Exception as error:  # noqa: BLE001 - the fit is right whoever was told of it
            self._say_once(f"{what}: {described(error)}; going on")
            return False
        return True

    def _observe(self, child: Child, limits: Limits) -> Observation:
        self.stop.drain()
        answer = child.answer()
        status = child.exit_status() if answer is None else None
        return Observation(
            now=time.monotonic(),
            answer=answer,
            closed=child.closed,
            exit_status=status,
            last_line=child.last_line() if status is not None else "",
            memory=child.memory() if limits.memory is not None else None,
            stop_after_task=self.stop.after_task,
            stop_now=self.stop.at_once,
        )

    def _conclude(self, claim: Claim, end: decide.Step, batch: Batch) -> None:
        tasks = self.ledger.tasks
        match end:
            case decide.CommitResult(answer=TrialsScored(results=results)):
                batch.completed.append(Completed(claim=claim, results=results))
            case decide.CommitResult(answer=Refitted(candidate=candidate)):
                tasks.commit_refit(claim, candidate)
                self._drop(self._spent.pop(claim.token, None))
            case decide.ReportFault(reason=reason, replace=replace, final=final):
                self.note(f"{_of(claim)}: {reason}")
                if replace:
                    self._end_child()
                tasks.fault(claim, reason, final=final)
            case decide.ReportLost():
                self.note(f"{_of(claim)}: {_KILLED}")
                self._end_child()
                self._part(batch, decide.KILLED)  # `lose` ends all that it has
                tasks.lose(self.name, _KILLED)
            case decide.GiveBack(reason=reason):
                self.note(f"{_of(claim)}: {reason}")
                self._part(batch, reason)
                tasks.release(claim, reason)
                self._idle(_AWAY)
            case decide.Release(reason=reason):
                self._end_child()
                tasks.release(claim, reason)
                self.tell(f"{_of(claim)}: given back: {reason}")

    def _study_of(self, study_id: str) -> Study:
        if self._study is None or self._study.id != study_id:
            self._study = self._patiently(lambda: self.ledger.studies.get(study_id))
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

    def _renew_forked_child(self) -> None:
        """End a forked child: by now the fork server has the libraries that a refit needs, too."""
        if self._child is not None and self._child.forked:
            self._child.finish()
            self._child = None

    def _let_ranks_end(self) -> None:
        """Have an idle child end those that share its fits: on a cluster they would stay."""
        if self._child is not None and self._study is not None and has_ranks(self._study):
            self._child.finish(_RANKS_END)
            self._child = None

    def _end_child(self) -> None:
        if self._child is not None:
            if self._child.refused:
                self.forkserver = None
            self._child.end()
            self._child = None


def _of(claim: Claim) -> str:
    return f"task {claim.task} attempt {claim.attempt}"


def _what(claim: Claim, study: Study) -> str:
    """The study and the trials of a task, as a person reads them."""
    kind = "refit of trial" if claim.kind == "refit" else "trial"
    return f"{study.name}, {numbered(kind, [trial.number for trial in claim.trials])}"


def _done(end: decide.CommitResult, seconds: float) -> str:
    """How long a task took and what came of it; of several trials, how their scores are spread."""
    results = end.answer.results if isinstance(end.answer, TrialsScored) else ()
    scores = [result.score for result in results if result.score is not None]
    parts = [f"done in {seconds:.1f} s"]
    if scores:
        low, high = min(scores), max(scores)
        parts.append(f"score {low:.6g}" if low == high else f"scores {low:.6g} to {high:.6g}")
    if len(scores) < len(results):
        parts.append(f"{len(results) - len(scores)} without a score")
    return ", ".join(parts)


def _ends_worker(error: Exception) -> bool:
    """Whether an error is none of one task: no ledger, or one that refuses this worker."""
    refused = isinstance(error, Invalid) and not isinstance(error, NotFound)
    return refused or isinstance(error, STORE_IS_AWAY)


def threads_of(study: Study) -> int:
    """Threads of one fit, as the study's spec has them (read without loading Pydantic).

    Raises:
        Failed: The spec cannot be read.
    """
    try:
        return int(json.loads(study.spec)["search"]["threads"])
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(f"study {study.id}: its spec cannot be read: {described(error)}") from error


def _kept(checkpoint: Digest | None) -> KeptCheckpoint | None:
    return None if checkpoint is None else KeptCheckpoint(digest=checkpoint, seen=time.time())


def has_ranks(study: Study) -> bool:
    """Whether its fits are shared with other processes, as the spec has it."""
    return "train" in json.loads(study.spec)


def _open_study(study: Study) -> OpenStudy:
    return OpenStudy(study=study.id, spec=study.spec, table=study.table, sources=study.sources)


def _task_request(claim: Claim, study: Study) -> TaskRequest:
    return TaskRequest(
        token=claim.token,
        kind=claim.kind,
        study=study.id,
        spec=study.spec,
        table=study.table,
        sources=study.sources,
        trials=claim.trials,
        checkpoint=claim.checkpoint,
    )
