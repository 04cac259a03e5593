"""The ledger: the only truth about studies, tasks, versions and promotions.

The Protocols that every ledger keeps, and the rules in words; each has a test in the contract
suite:

1. One transaction claims: the ready task whose turn it is, its attempt number, a new fencing token,
   and a lease that the ledger's own clock ends. A running task whose lease has ended counts as
   ready; so does one whose lease ends further ahead than any lease may (the clock was set back).
   Every lease, of a task or of anything else, is above 0 s and at most a day. Only a commit may
   claim several tasks, and none of these was attempted before: a task that ends its workers costs
   each other task one attempt at most.
2. Every later write of an attempt names its token and must change exactly one running task;
   otherwise `Lost` is raised and nothing is written. A trial has at most one result.
3. A fault (`fault`) counts: after MAX_FAULTS the task's trial fails with the last reason, and after
   one that another attempt would only repeat. A lease that ended, and a release, do not; after
   MAX_LOST ended leases it fails as 'workers lost'. Trials that share the task get a task each
   before any of them fails: one may have spoiled the others.
4. Histories (attempts, judgements, promotions, routes, events) are appended to, never updated.
5. `counts` costs O(1) and `claim` O(log n) in the number of trials; `claim` costs a step more for
   each study and family that has ready tasks.
6. A model has one route in force and at most one deployment that runs. Both change by
   compare-and-set, and in one transaction where they change together. A deployment is carried out
   under a lease; what its server writes after another took it is refused.
7. What a serving program asks several times a second (`in_force`, `take`, `seen`), and what
   reads one row (`Routes.get`, `author`, `last_judgement`), costs the same however long the history
   is. The former writes nothing where nothing is new.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from fairlead.records import (
    Answer,
    Autoscaler,
    Basis,
    Claim,
    Completed,
    Counts,
    Deployment,
    Digest,
    Event,
    FitProgress,
    FitReport,
    FleetWorker,
    HistoryMark,
    Judgement,
    Load,
    NewTask,
    NumberedEvent,
    Offer,
    Promotion,
    Request,
    Result,
    Revision,
    RevisionState,
    Route,
    Run,
    RunHolder,
    RunningTask,
    ScalingDecision,
    Schedule,
    ScheduleOutcome,
    Server,
    ServingEvent,
    Span,
    StepObservation,
    Study,
    TaskQueue,
    TaskSubject,
    TrialMark,
    TrialRow,
    Version,
)

MAX_FAULTS = 3
MAX_LOST = 10
MAX_AT_ONCE = 16
KEPT_DECISIONS = 10_000
KEPT_REQUESTS = 100_000
KEPT_FIT_REPORTS = 1000

MakeAnswer: TypeAlias = Callable[[object], Answer | None]
"""Makes the answer to a request of the value of a write; None where it is not the one to answer."""


class Studies(Protocol):
    """Studies and their trials."""

    def open(self, study: Study) -> Study:
        """Create the study, or return the one with this id.

        A `size` larger than any it was opened with before extends the study and makes it search
        again. Otherwise a finished study stays the fact that it is, even if it ended short of what
        was asked. Where it searches, tasks of its first `size` trials that were withdrawn become
        ready again. Who shares the fits of its tasks (`train`) is from then on as this spec says.
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

    def ended(self, study: str, *, below: int) -> int:
        """How many of its trials with a lower number have ended; what it costs grows with them."""
        ...

    def trials(self, study: str) -> Sequence[TrialRow]:
        """Its trials below `Study.size` by number, with what is known of them."""
        ...

    def page(self, *, after: str | None, limit: int) -> Sequence[Study]:
        """So many studies, the newest first; after the one with this id where one is given.

        After an id that there is none of, there is nothing.
        """
        ...

    def trials_page(
        self, study: str, *, after: TrialMark | None, limit: int
    ) -> tuple[Sequence[TrialRow], TrialMark | None]:
        """So many of its trials below `Study.size`, in the order in which they were put in.

        What it costs does not grow with the study.

        Returns:
            The trials, and the mark to give next time; None where there are no more.
        """
        ...

    def leading(self, study: str, *, highest: bool) -> Result | None:
        """The result of its trials with the best score, of equals that of the lowest number."""
        ...

    def result(self, study: str, trial: int) -> Result | None:
        """How this trial of it ended; None where it has not."""
        ...

    def spans(self, study: str) -> Mapping[int, Span]:
        """For each of its trials that was ever claimed, when the last attempt at it was.

        Trials that share a task have the same one.
        """
        ...

    def results(self, study: str, *, after: int = 0) -> tuple[Sequence[Result], int]:
        """Results that were committed after the given mark, in order of commitment.

        Returns:
            The results, and the mark to give next time (0 is the beginning).
        """
        ...

    def prioritize(self, study: str, priority: int, *, by: str = "") -> None:
        """Let its tasks go before those of studies of a lower priority.

        Here and below, `by` is who asked for it, for the history.
        """
        ...

    def pause(self, study: str, *, by: str = "") -> None:
        """Let its ready tasks wait until `resume`; running ones go on."""
        ...

    def resume(self, study: str, *, by: str = "") -> None:
        """Let its ready tasks be taken again."""
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

        Kinds: opened, extended, finished, prioritized, paused, resumed; and of attempts claimed,
        committed, faulted, released, lost (its lease ended), withdrawn (the study finished, or its
        run was cancelled, without it), noted (what a person should know of its fit).
        """
        ...


class Histories(Protocol):
    """The histories of all studies as one, for who follows them.

    A line with a lower id may become visible after one with a higher id, where several write at
    once. Who reads only up to a mark that is settled misses none.
    """

    def last(self) -> int:
        """Id of the newest line that is visible; 0 before the first."""
        ...

    def mark(self) -> HistoryMark:
        """The newest line that is visible, and who may still be writing an older one."""
        ...

    def is_settled(self, mark: HistoryMark) -> bool:
        """Whether every line up to the mark is visible by now."""
        ...

    def lines(
        self,
        *,
        after: int,
        upto: int,
        limit: int,
        study: str | None = None,
        kinds: Sequence[str] = (),
    ) -> Sequence[NumberedEvent]:
        """The lines (of this study, of these kinds) with ids above `after` up to `upto`, in order.

        The oldest comes first.
        """
        ...


class Tasks(Protocol):
    """Tasks and the attempts at them."""

    def add(self, study: str, tasks: Sequence[NewTask]) -> None:
        """Put tasks in, in this order; trials that are there already are left as they are.

        Many are put in by several transactions. Where the last of them did not come about, asking
        again puts in what is missing.

        Trials beyond the study's size, or of a finished study, wait as withdrawn until it is
        extended. A refit is put in once, and again after it failed or was withdrawn.
        """
        ...

    def claim(
        self, worker: str, *, lease: float, study: str | None = None, offer: Offer | None = None
    ) -> Claim | None:
        """Take the ready task whose turn it is, or None where there is none.

        Studies take turns: the one of the highest priority, of equals the one that was served
        longest ago; of that the oldest task. Those of a paused study wait.

        Args:
            worker: Name of the worker, unique among those alive.
            lease: Seconds until it must be heard of again.
            study: Take tasks of this study only.
            offer: What the worker has: no task is taken that needs more. None for everything.
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
        self,
        completed: Sequence[Completed],
        *,
        lease: float,
        study: str | None = None,
        offer: Offer | None = None,
        most: int = 1,
    ) -> Sequence[Claim]:
        """`commit` each, then `claim` for the same worker, in one transaction.

        What is committed is seen by the claim; empty where no task is ready. Either all is
        written or nothing is.

        Several tasks are claimed together only if they are of the study and family of those that
        were committed, none was attempted before, and enough are left for other workers.

        Args:
            completed: Attempts of one worker at tasks of one study.
            lease: As for `claim`, as are `study` and `offer`.
            study: See there.
            offer: See there.
            most: How many tasks to claim, if there are so many: at most MAX_AT_ONCE, or none.

        Raises:
            Lost: As for commit, of any of them; nothing was written and nothing claimed. The
                worker may `claim`.
        """
        ...

    def commit_refit(self, claim: Claim, candidate: Digest) -> None:
        """Write the artefact that a 'refit' task made, and end it. Raises as commit does."""
        ...

    def fault(self, claim: Claim, reason: str, *, final: bool = False) -> bool:
        """Report that the attempt failed; True where its trial (or refit) is given up for it.

        Args:
            claim: The attempt.
            reason: Why.
            final: Whether another attempt would fail for the same: it is the last one, then.
        """
        ...

    def release(self, claim: Claim, reason: str) -> None:
        """Give the task back unfinished; it counts neither as a fault nor as lost."""
        ...

    def lose(self, worker: str, why: str = "") -> int:
        """End the leases of a worker known to be dead; returns how many there were.

        Args:
            worker: Its name.
            why: What is known of that, for the history.
        """
        ...

    def ask_to_leave(self, workers: Collection[str]) -> None:
        """Let these workers have no further task: `claim` gives them none. `lose` forgets it."""
        ...

    def is_leaving(self, worker: str) -> bool:
        """Whether the worker is asked to leave."""
        ...

    def refit(self, study: str, trial: int) -> tuple[Digest | None, str | None]:
        """What the refit of this trial came to: (candidate, None), (None, why it failed), or
        (None, None) while it is not known.
        """
        ...

    def waiting(self) -> Sequence[TaskQueue]:
        """The ready tasks that a worker may take, by study and family, in the order of turns."""
        ...

    def subjects(self, study: str) -> Mapping[int, TaskSubject]:
        """What each task of a study is about, by its id."""
        ...

    def running(self) -> Sequence[RunningTask]:
        """The tasks that workers have in hand, the oldest first."""
        ...

    def open(self, study: str | None = None) -> int:
        """Number of tasks that are ready or running (of this study)."""
        ...


class Fits(Protocol):
    """How fits go that are made in steps, and from where another attempt goes on.

    Of each task about KEPT_FIT_REPORTS reports are kept, spread evenly over all that it told, and
    the last one: older ones are thinned out as it tells more.
    """

    def report(self, claim: Claim, progress: FitProgress) -> None:
        """Append what the attempt tells; a checkpoint is from then on the task's last one.

        `Claim.checkpoint` has it for the next attempt. A task that has ended has none.

        Raises:
            Lost: As for `Tasks.heartbeat`; nothing was written.
            Invalid: It is of a trial that the task has not, or has a number that cannot be.
        """
        ...

    def note(self, claim: Claim, text: str) -> None:
        """Put what a person should know of the fit, a line, into the history of its study.

        Raises:
            Lost: As for `Tasks.heartbeat`; nothing was written.
        """
        ...

    def reports(
        self, study: str, *, trial: int | None = None, after: int = 0, limit: int = 1000
    ) -> Sequence[FitReport]:
        """So many reports of a study (of this trial) with ids above `after`, the oldest first.

        One with a lower id may become visible after one with a higher id, where several fits
        report at once: who follows them by ids may miss one, but never for long what a fit is at.
        """
        ...

    def running(self, study: str | None = None) -> Sequence[FitReport]:
        """The last report of each attempt that runs (of this study) and has told any, by task."""
        ...


class Versions(Protocol):
    """Versions, judgements and promotions of models."""

    def register(
        self, version: Version, *, seen: int | None = None, carrier: RunHolder | None = None
    ) -> Version:
        """Give the candidate the model's next number; the same manifest keeps its number.

        Args:
            version: Its `number` is given here.
            seen: How many versions of the model it was compared with and found to be new.
            carrier: Who carries the run that it came of, if any.

        Raises:
            Conflict: There are others by now; nothing was written.
            Lost: The run has ended or is carried by another; nothing was written.
        """
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

    def judge(
        self,
        judgement: Judgement,
        basis: Basis | None = None,
        *,
        carrier: RunHolder | None = None,
    ) -> None:
        """Append a verdict, and keep the sample of its rows.

        Raises:
            Conflict: The model has other judgements than the basis knew; nothing was written.
            Lost: As for `register`; nothing was written.
        """
        ...

    def samples(self, model: str) -> Mapping[Digest, bytes]:
        """The samples of rows that judged the model, by the rows' digest, where they are known."""
        ...

    def judgements(self, model: str) -> Sequence[Judgement]:
        """The verdicts, the oldest first."""
        ...

    def last_judgement(self, model: str, number: int) -> Judgement | None:
        """The last verdict on a version; None where it was never judged."""
        ...

    def promote(
        self,
        promotion: Promotion,
        judgement: Judgement | None = None,
        basis: Basis | None = None,
        *,
        carrier: RunHolder | None = None,
    ) -> Promotion:
        """Change the champion and append to the history, in one transaction.

        `promotion.previous` must be the champion of this moment; `number` is given here. The
        judgement that it rests on, if any, and an entry for MLflow's outbox are written in the
        same transaction: a verdict that was overtaken is none.

        Raises:
            Conflict: The champion is another by now, or as for `judge`; nothing was written.
            Lost: As for `register`; nothing was written.
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


class Routes(Protocol):
    """Revisions of models, and how traffic is split over them."""

    def revise(self, revision: Revision) -> Revision:
        """The revision of this version with this allowance, created where there is none.

        `name` is given here. A new one is 'loading'; so is a retired or failed one again; any
        other is left as it is.

        Raises:
            NotFound: There is no such version.
        """
        ...

    def revisions(self, model: str | None = None, *, retired: bool = True) -> Sequence[Revision]:
        """The revisions (of this model), by model, version and creation.

        Args:
            model: None for every model.
            retired: Whether to list those that are retired. A program that asks several times a
                second needs none: no route in force and no running deployment names one.
        """
        ...

    def mark(
        self, model: str, name: str, state: RevisionState, reason: str, *, was: RevisionState
    ) -> bool:
        """Change a revision's state; False, and nothing written, where it is not `was` by now.

        Nor does one become 'draining' or 'retired' that the route in force names, or that a running
        deployment brings in: another has come to want it since.

        Raises:
            NotFound: There is no such revision.
        """
        ...

    def current(self, model: str) -> Route | None:
        """The route in force; None before the first."""
        ...

    def in_force(self) -> Sequence[Route]:
        """The route in force of every model that has one, by model."""
        ...

    def get(self, model: str, number: int) -> Route:
        """One route. Raises NotFound."""
        ...

    def change(
        self,
        route: Route,
        *,
        previous: int | None,
        deployment: Deployment | None = None,
        superseding: bool = True,
    ) -> Route:
        """Append a route, which is in force from then on, in one transaction.

        Args:
            route: `number` and `at` are given here, and `deployment` where one comes with it. Its
                revisions that are not 'serving' become so.
            previous: Number of the route that is in force at this moment; None for the first.
            deployment: Written in the same transaction, as `Deployments.advance` does; without
                it, a running deployment of the model becomes 'superseded'.
            superseding: Whether it does; else one that runs is a Conflict.

        Raises:
            Conflict: Another route is in force by now, or as for `Deployments.advance`; nothing
                was written.
            NotFound: The route names a revision, a deployment or a route that is not there.
            Invalid: The traffic is not 100 percent in parts above 0 (none at all for an 'undeploy',
                and for an 'undo' if need be), or the deployment is another.
        """
        ...

    def history(self, model: str) -> Sequence[Route]:
        """The routes, the oldest first."""
        ...

    def note(self, event: ServingEvent) -> None:
        """Append a line that no change of the ledger brings with it, such as 'refused'.

        `at` is given here.
        """
        ...

    def events(self, model: str) -> Sequence[ServingEvent]:
        """What happened to the model's revisions, routes and deployments, the oldest first.

        Kinds: of a revision, the state that it came into; of a route, routed; of a deployment,
        began, taken and released (by the server that `text` names), step, and the state that it
        ended in; and whatever was noted.
        """
        ...


class Deployments(Protocol):
    """Deployments of revisions, and who carries them out."""

    def begin(self, deployment: Deployment) -> Deployment:
        """Append a deployment, which runs; `number`, `base` and the times are given here.

        One of the model that still runs becomes 'superseded': a model has one at a time. Its base,
        where it has one, is the new one's, too; otherwise that is the route in force. A retired or
        failed revision is 'loading' again.

        Raises:
            NotFound: There is no such revision.
            Invalid: The steps do not rise to 100.
        """
        ...

    def get(self, model: str, number: int | None = None) -> Deployment:
        """The deployment of this number, or the last. Raises NotFound."""
        ...

    def author(self, model: str, number: int) -> str | None:
        """Who asked for the deployment: the reason that it began with; None where none is known."""
        ...

    def take(
        self, server: str, *, lease: float, models: Collection[str] | None = None
    ) -> Sequence[Deployment]:
        """The running deployments that this server is to carry out, by model.

        Those that it holds already, with the lease extended (written once less than half of it is
        left, so that asking often costs little), and those that no server holds (or whose lease
        has ended), which it holds from now on.

        Args:
            server: Its id.
            lease: Seconds.
            models: Those that it serves, and takes deployments of; None for all.

        Raises:
            Busy: There was something to write, and others wrote; asked again soon, it may go.
        """
        ...

    def running(self) -> Sequence[Deployment]:
        """Those that run, whoever carries them out, by model."""
        ...

    def advance(self, deployment: Deployment) -> Deployment:
        """Write a running deployment's step, state and reason; a new step begins now.

        Raises:
            Conflict: It is not running any more, is at a later step, or its `server` (where one is
                named) has lost it to another; nothing was written.
            NotFound: There is no such deployment.
            Invalid: It has no such step.
        """
        ...

    def observe(self, observation: StepObservation) -> None:
        """Keep what a server has observed of the present step, in place of what it had before.

        Nothing is written where no such deployment runs, or it is at another step by now. When its
        step moves or it ends, the observations of all servers go.

        Raises:
            Busy: As for `take`.
        """
        ...

    def observations(self, deployment: Deployment) -> Sequence[StepObservation]:
        """What servers have observed of the deployment's step, also those that are gone since."""
        ...


class Servers(Protocol):
    """The serving programs that are alive."""

    def seen(self, server: Server, *, lease: float) -> None:
        """Note that it is alive for so many seconds more, and which routes it follows.

        As for `Deployments.take`, written where something is new, or less than half of the lease is
        left. `seen` is the time of that, `started` (where it is 0) that of the first time.

        Raises:
            Busy: As for `Deployments.take`.
        """
        ...

    def gone(self, server: str) -> None:
        """Forget it; deployments that it holds may be taken by another at once."""
        ...

    def alive(self) -> Sequence[Server]:
        """Those whose lease has not ended, the oldest first."""
        ...

    def silent(self) -> Sequence[Server]:
        """Those whose lease has ended and that did not say goodbye, while they are remembered.

        They may have been killed, or be unable to write here.
        """
        ...


class Workers(Protocol):
    """The workers that are alive, and what each has for tasks."""

    def seen(self, worker: FleetWorker, *, lease: float) -> None:
        """Note that it is alive for so many seconds more, and the memory that it holds.

        Written at first, and once less than half of the lease is left: so asking often costs
        little. `seen` is the time of that, `started` that of the first time; they are given here.
        """
        ...

    def gone(self, worker: str) -> None:
        """Forget it, and that it was asked to leave."""
        ...

    def alive(self) -> Sequence[FleetWorker]:
        """Those whose lease has not ended, the oldest first."""
        ...

    def silent(self) -> Sequence[FleetWorker]:
        """Those whose lease has ended and that did not say goodbye, while they are remembered."""
        ...


class Runs(Protocol):
    """Runs of specs, and who carries them.

    A run is carried by one process at a time, under a lease; another takes it over once that has
    ended.
    """

    def open(self, run: Run) -> Run:
        """Append a run, or return the one of this study, spec and `deploy` that has not ended.

        Tasks that it wants and that were withdrawn become ready again, where its study searches.

        `id` and the times are given here.

        Raises:
            NotFound: There is no such study.
        """
        ...

    def get(self, run: str) -> Run:
        """The run with this id. Raises NotFound."""
        ...

    def all(self, study: str | None = None) -> Sequence[Run]:
        """The runs (of this study), the newest first."""
        ...

    def page(self, *, after: str | None, limit: int) -> Sequence[Run]:
        """So many runs, the newest first; after the one with this id where one is given.

        After an id that there is none of, there is nothing.
        """
        ...

    def orphans(self) -> Sequence[Run]:
        """Those that run and that nobody carries, the oldest first."""
        ...

    def take(self, run: str, holder: str, *, lease: float) -> Run:
        """Hold a run that runs and that nobody holds (or whose lease has ended) from now on.

        Held already, the lease is extended (written once less than half of it is left).

        Args:
            run: Its id.
            holder: Name of the process, unique among those alive.
            lease: Seconds.

        Returns:
            The run as it is by then: carried by `holder`, or by whom it names.
        """
        ...

    def release(self, run: str, holder: str) -> None:
        """Let another process carry it, if this one does."""
        ...

    def cancel(self, run: str, reason: str) -> Run:
        """End the run; tasks of its study that no other run wants are withdrawn.

        A refit is wanted for as long as any run of the study goes on.

        A run wants the first trials, `search.trials` of its spec. Where another goes on, what
        has begun of others is not withdrawn. Tasks that are added once no run wants them are
        withdrawn from the start.

        One that has ended stays what it is. What a running attempt commits is kept; one whose task
        was withdrawn comes too late.

        Returns:
            The run as it is by then.

        Raises:
            NotFound: There is no such run.
        """
        ...

    def advance(self, run: Run) -> Run:
        """Write stage, version, verdict, reason and state; nobody holds a run that has ended.

        Raises:
            Lost: Its `holder` does not hold it any more, or it has ended; nothing was written.
            NotFound: There is no such run.
        """
        ...


class Schedules(Protocol):
    """When champions are trained again: at most one schedule a model.

    A due time is worked off by the process that holds the schedule for it, under a lease: it ends
    with a run that began, or with a line that says why none did, and the next due time in the same
    transaction.
    """

    def put(self, schedule: Schedule) -> Schedule:
        """Make the schedule of its model, or change the one that there is.

        What is written is how it was asked for, with `first` and `due`. One that is changed keeps
        what came of its last time, and is held by nobody and not paused from then on.
        """
        ...

    def get(self, model: str) -> Schedule:
        """The schedule of this model. Raises NotFound."""
        ...

    def all(self) -> Sequence[Schedule]:
        """Every schedule, by model; one whose lease has ended is held by nobody."""
        ...

    def remove(self, model: str) -> None:
        """Forget it; runs that it began go on. Raises NotFound."""
        ...

    def pause(self, model: str) -> Schedule:
        """Let no due time come until `resume`. Raises NotFound."""
        ...

    def resume(self, model: str, *, due: float) -> Schedule:
        """Let due times come again, from this one on; one not paused stays. Raises NotFound."""
        ...

    def take(self, schedule: Schedule, holder: str, *, lease: float) -> bool:
        """Hold the schedule for the due time that it names; held already, the lease is extended.

        Returns:
            False, and nothing written, where that due time is over, or another holds it.
        """
        ...

    def release(self, model: str, holder: str) -> None:
        """Let another process work off the due time, if this one holds it."""
        ...

    def begin(self, schedule: Schedule, run: Run, *, due: float) -> Run:
        """Open the run as `Runs.open` does, note that it began, and set the next due time.

        All in one transaction, so that a due time that ends with a run has one.

        Args:
            schedule: Its `holder` is the process.
            run: The run.
            due: The next due time.

        Raises:
            Lost: The process does not hold it any more; nothing was written.
        """
        ...

    def note(
        self, schedule: Schedule, *, outcome: ScheduleOutcome, reason: str, due: float
    ) -> None:
        """Note why no run began, and set the next due time. Raises Lost as `begin` does."""
        ...


class Autoscaling(Protocol):
    """How many workers there are: what there is to do, who decides, and what was decided.

    One process at a time decides under a name, as a run is carried by one.
    """

    def load(self, *, offer: Offer | None = None, study: str | None = None) -> Load:
        """What there is to do; it costs the same at any number of tasks and results.

        A running task whose lease has ended counts as ready, as for `Tasks.claim`.

        Args:
            offer: What the workers have; None for everything.
            study: Id of the one study that they work on, if they do.
        """
        ...

    def take(self, autoscaler: Autoscaler, *, lease: float) -> Autoscaler:
        """Hold the name that nobody holds (or whose lease has ended) from now on.

        Held already, the lease is extended, and `workers` and `spent` are written, where the
        workers are others, or less than half of the lease is left. Who takes it after another's
        lease has ended goes on with what that one has spent.

        Args:
            autoscaler: Its `holder` is the process, of a name that is unique among those alive.
            lease: Seconds.

        Returns:
            The autoscaler as it is by then: held by `holder`, or by whom it names; at the moment
            in which it is taken with the workers that the last one had.
        """
        ...

    def release(self, name: str, holder: str) -> None:
        """Let another process have the name, if this one does, and begin anew there."""
        ...

    def all(self) -> Sequence[Autoscaler]:
        """Every autoscaler, by name; one whose lease has ended is held by nobody."""
        ...

    def decided(self, decision: ScalingDecision, *, holder: str) -> ScalingDecision:
        """Append a decision, and with it what was spent; `at` is given here.

        The last KEPT_DECISIONS of each autoscaler are kept.

        Raises:
            Lost: The process does not hold the name any more; nothing was written.
        """
        ...

    def decisions(
        self, autoscaler: str | None = None, *, limit: int = 100
    ) -> Sequence[ScalingDecision]:
        """The last decisions (of this one), the newest first."""
        ...


class OpenRequest(Protocol):
    """A request that is being carried out."""

    @property
    def is_kept(self) -> bool:
        """Whether its answer was written with one of its writes."""
        ...

    @property
    def is_answered_elsewhere(self) -> bool:
        """Whether another process has answered it meanwhile; this one wrote nothing then."""
        ...

    @property
    def is_kept_with_write(self) -> bool:
        """Whether its answer is kept with one of its writes, and not afterwards."""
        ...

    def answer_with(self, make: MakeAnswer, *, seconds: float = 86_400.0) -> None:
        """Let the first write whose value this makes an answer of write the answer, too.

        For what must not be done twice. Without it the answer is kept afterwards, by `keep`.

        Args:
            make: Called in the transaction with what its function returned, which is what the
                method of the ledger returns.
            seconds: For which the key is known.
        """
        ...


class Requests(Protocol):
    """Requests that are done once, however often they are asked under one key.

    Of a ledger that has a database: whoever answers requests has one. See `requests_of`.

    The last KEPT_REQUESTS of each caller are known, about, and each for a time.
    """

    def find(self, request: Request) -> Answer | None:
        """The answer that is kept under the key of the request.

        Raises:
            Conflict: Another request was asked under it.
        """
        ...

    def once(self, request: Request) -> AbstractContextManager[OpenRequest]:
        """Make the ledger's writes of this context those of the request."""
        ...

    def keep(self, request: Request, answer: Answer) -> None:
        """Keep an answer for a day, unless the key has one."""
        ...


class Roots(Protocol):
    """Names that keep artefacts from being collected."""

    def digests(self) -> Sequence[Digest]:
        """Every digest that a row of the ledger names.

        Tables, sources, candidates, manifests, details of routes, the last checkpoints of tasks
        that have not ended.
        """
        ...


class Ledger(Protocol):
    """The whole ledger. A context manager that closes its connections."""

    @property
    def studies(self) -> Studies:
        """Studies and their trials."""
        ...

    @property
    def histories(self) -> Histories:
        """The histories of all studies as one."""
        ...

    @property
    def tasks(self) -> Tasks:
        """Tasks and the attempts at them."""
        ...

    @property
    def fits(self) -> Fits:
        """How fits go that are made in steps."""
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
    def routes(self) -> Routes:
        """Revisions of models, and how traffic is split over them."""
        ...

    @property
    def deployments(self) -> Deployments:
        """Deployments of revisions, and who carries them out."""
        ...

    @property
    def servers(self) -> Servers:
        """The serving programs that are alive."""
        ...

    @property
    def workers(self) -> Workers:
        """The workers that are alive."""
        ...

    @property
    def runs(self) -> Runs:
        """Runs of specs, and who carries them."""
        ...

    @property
    def schedules(self) -> Schedules:
        """When champions are trained again."""
        ...

    @property
    def autoscaling(self) -> Autoscaling:
        """How many workers there are, and why."""
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
