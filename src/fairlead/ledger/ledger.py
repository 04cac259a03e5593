"""The ledger: the only truth about studies, tasks, versions and promotions.

Belongs here: the Protocols that every ledger keeps, and the rules in words. Does not: SQL.

The rules (each has a test in the contract suite):

1. One transaction claims: the oldest ready task, its attempt number, a new fencing token, and a
   lease that the ledger's own clock ends. A running task whose lease has ended counts as ready;
   so does one whose lease ends further ahead than any lease may (the clock was set back).
2. Every later write of an attempt names its token and must change exactly one running task;
   otherwise `Lost` is raised and nothing is written. A trial has at most one result.
3. A fault (`fault`) counts: after MAX_FAULTS the task's trial fails with the last reason. A lease
   that ended, and a release, do not; after MAX_LOST ended leases it fails as 'workers lost'. Trials
   that share the task get a task each before any of them fails: one may have spoiled the others.
4. Histories (attempts, judgements, promotions, events) are appended to, never updated.
5. `counts` costs O(1) and `claim` O(log n) in the number of trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from fairlead.records import (
    Claim,
    Counts,
    Digest,
    Event,
    Judgement,
    NewTask,
    Promotion,
    Result,
    Study,
    TrialRow,
    Version,
)

MAX_FAULTS = 3
MAX_LOST = 10


class Studies(Protocol):
    """Studies and their trials."""

    def open(self, study: Study) -> Study:
        """Create the study, or return the one with this id.

        A `size` larger than any it was opened with before extends the study and makes it search
        again. Otherwise a finished study stays the fact that it is, even if it ended short of what
        was asked. Where it searches, tasks that were withdrawn become ready again.
        """
        ...

    def get(self, study: str) -> Study:
        """The study with this id, or (the newest) of this name, or the one with this beginning of
        an id.

        Raises:
            NotFound: None has, or several have that beginning.
        """
        ...

    def all(self) -> Sequence[Study]:
        """Every study, the newest first."""
        ...

    def counts(self, study: str) -> Counts:
        """How far the study is."""
        ...

    def trials(self, study: str) -> Sequence[TrialRow]:
        """Its trials below `Study.size` by number, with what is known of them."""
        ...

    def results(self, study: str, *, after: int = 0) -> tuple[Sequence[Result], int]:
        """Results that were committed after the given mark, in order of commitment.

        Returns:
            The results, and the mark to give next time (0 is the beginning).
        """
        ...

    def withdraw(self, study: str) -> None:
        """Let no ready task of kind 'trials' start any more; running ones go on."""
        ...

    def finish(self, study: str, *, of: int, size: int, best: int | None) -> bool:
        """Make the study a finished fact; tasks beyond are withdrawn.

        Args:
            study: Its id.
            of: Trials that it had when it was seen to be finished.
            size: Trials that it is finished with: fewer where it ended early.
            best: Number of the best of them.

        Returns:
            False where it was extended meanwhile: nothing was written, and the search goes on.
        """
        ...

    def events(self, study: str) -> Sequence[Event]:
        """The study's history, the oldest line first.

        Kinds: opened, extended, finished; and of attempts claimed, committed, faulted, released,
        lost (its lease ended), withdrawn (the study finished without it).
        """
        ...


class Tasks(Protocol):
    """Tasks and the attempts at them."""

    def add(self, study: str, tasks: Sequence[NewTask]) -> None:
        """Put tasks in, in this order; trials that are there already are left as they are.

        Trials beyond the study's size, or of a finished study, wait as withdrawn until it is
        extended. A refit is put in once, and again after it failed.
        """
        ...

    def claim(self, worker: str, *, lease: float, study: str | None = None) -> Claim | None:
        """Take the oldest ready task (of this study), or None where there is none.

        Args:
            worker: Name of the worker, unique among those alive.
            lease: Seconds until it must be heard of again.
            study: Take tasks of this study only.
        """
        ...

    def heartbeat(self, claim: Claim, *, lease: float) -> None:
        """Extend the lease.

        Raises:
            Lost: Another attempt has the task, or it was withdrawn.
        """
        ...

    def commit(self, claim: Claim, results: Sequence[Result]) -> None:
        """Write the results of a 'trials' task, one for each of its trials, and end it.

        Raises:
            Lost: As for heartbeat; nothing was written.
        """
        ...

    def commit_and_claim(
        self, claim: Claim, results: Sequence[Result], *, lease: float, study: str | None = None
    ) -> Claim | None:
        """`commit`, then `claim` for the same worker, in one transaction.

        What is committed is seen by the claim; None where no task is ready. Either both are
        written or neither is.

        Raises:
            Lost: As for commit; nothing was written and nothing claimed. The worker may `claim`.
        """
        ...

    def commit_refit(self, claim: Claim, candidate: Digest) -> None:
        """Write the artefact that a 'refit' task made, and end it. Raises as commit does."""
        ...

    def fault(self, claim: Claim, reason: str) -> bool:
        """Report that the attempt failed; True where its trial (or refit) is given up for it."""
        ...

    def release(self, claim: Claim, reason: str) -> None:
        """Give the task back unfinished; it counts neither as a fault nor as lost."""
        ...

    def lose(self, worker: str) -> int:
        """End the leases of a worker known to be dead; returns how many there were."""
        ...

    def refit(self, study: str, trial: int) -> tuple[Digest | None, str | None]:
        """What the refit of this trial came to: (candidate, None), (None, why it failed), or
        (None, None) while it is not known.
        """
        ...

    def open(self, study: str | None = None) -> int:
        """Number of tasks that are ready or running (of this study)."""
        ...


class Versions(Protocol):
    """Versions, judgements and promotions of models."""

    def register(self, version: Version) -> Version:
        """Give the candidate the model's next number; the same manifest keeps its number."""
        ...

    def all(self, model: str | None = None) -> Sequence[Version]:
        """The versions (of this model), by model and number."""
        ...

    def get(self, model: str, number: int) -> Version:
        """One version. Raises NotFound."""
        ...

    def champion(self, model: str) -> Version | None:
        """What the model's name stands for now."""
        ...

    def judged(self, model: str, rows: Digest, *, other_than: int) -> int:
        """How many different versions these rows have judged by now, without this one."""
        ...

    def judge(self, judgement: Judgement) -> None:
        """Append a verdict."""
        ...

    def judgements(self, model: str) -> Sequence[Judgement]:
        """The verdicts, the oldest first."""
        ...

    def promote(self, promotion: Promotion, judgement: Judgement | None = None) -> Promotion:
        """Change the champion and append to the history, in one transaction.

        `promotion.previous` must be the champion of this moment; `number` is given here. The
        judgement that it rests on, if any, and an entry for MLflow's outbox are written in the
        same transaction: a verdict that was overtaken is none.

        Raises:
            Conflict: The champion is another by now; nothing was written.
        """
        ...

    def history(self, model: str) -> Sequence[Promotion]:
        """The promotions, the oldest first. Raises NotFound for a model without versions."""
        ...


class Outbox(Protocol):
    """What MLflow's registry has yet to hear. `register` and `promote` fill it."""

    def pending(self, limit: int = 100) -> Sequence[tuple[int, str, dict[str, object]]]:
        """(id, 'version' or 'champion', payload), the oldest first.

        A 'version' payload has model, version, study, manifest; a 'champion' one model, version.
        """
        ...

    def sent(self, entry: int) -> None:
        """The entry has arrived."""
        ...


class Roots(Protocol):
    """Names that keep artefacts from being collected."""

    def digests(self) -> Sequence[Digest]:
        """Every digest that a row of the ledger names: tables, sources, candidates, manifests."""
        ...


class Ledger(Protocol):
    """The whole ledger. A context manager that closes its connections."""

    @property
    def studies(self) -> Studies:
        """Studies and their trials."""
        ...

    @property
    def tasks(self) -> Tasks:
        """Tasks and the attempts at them."""
        ...

    @property
    def versions(self) -> Versions:
        """Versions, judgements and promotions of models."""
        ...

    @property
    def outbox(self) -> Outbox:
        """What MLflow's registry has yet to hear."""
        ...

    @property
    def roots(self) -> Roots:
        """Names that keep artefacts from being collected."""
        ...

    def now(self) -> float:
        """The ledger's clock."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
