"""Plain frozen records that cross layers: the words of ARCHITECTURE.md as data.

Times are seconds since the epoch by the ledger's clock; scores are in the metric's own unit and
sign; digests are hexadecimal SHA-256.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Literal, TypeAlias

Scalar: TypeAlias = bool | int | float | str | None
Params: TypeAlias = Mapping[str, Scalar]
Digest: TypeAlias = str

NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
"""What a study and a model may be called."""

TaskKind: TypeAlias = Literal["trials", "refit"]
ResultState: TypeAlias = Literal["done", "failed", "pruned"]
TrialState: TypeAlias = Literal["waiting", "running", "done", "failed", "pruned"]
StudyState: TypeAlias = Literal["searching", "finished"]
Decision: TypeAlias = Literal["promote", "keep", "cannot judge"]
RevisionState: TypeAlias = Literal["loading", "ready", "serving", "draining", "retired", "failed"]
RouteKind: TypeAlias = Literal["deploy", "set", "undo", "undeploy"]
ColumnKind: TypeAlias = Literal["number", "text", "date"]
CellType: TypeAlias = Literal["number", "text", "boolean"]
RunStage: TypeAlias = Literal["search", "refit", "register", "judge", "deploy"]
RunState: TypeAlias = Literal["running", "done", "failed", "cancelled"]
ScheduleOutcome: TypeAlias = Literal["began", "unchanged", "skipped", "failed"]
DeploymentState: TypeAlias = Literal["running", "done", "undone", "failed", "superseded"]


# ---- search ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one task may use before it is stopped; None is no limit."""

    seconds: float | None = None
    memory: int | None = None  # bytes of resident memory


@dataclass(frozen=True, kw_only=True)
class Study:
    """One search of one spec."""

    id: str
    name: str
    spec: str  # canonical JSON of the frozen spec
    table: Digest  # the artefact that describes the table
    size: int  # number of trials
    sources: Mapping[str, Digest] = field(default_factory=dict)  # `./file.py:Name` families
    limits: Limits = field(default_factory=Limits)
    state: StudyState = "searching"
    best: int | None = None  # number of the best trial, once finished
    created: float = 0.0
    finished: float | None = None
    priority: int = 0  # its tasks go before those of a lower one
    paused: bool = False  # whether its tasks wait
    needs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For each family the packages, and their versions, that a worker must have for its tasks."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One parameter set, numbered from 0 within its study.

    `stop_beyond` holds, for each number of folds done, the mean score beyond which (on the worse
    side) the trial is pruned; None where the study does not prune or the history is too short.
    `stop_beyond_epoch` holds the same for its score at the ends of the epochs of the first fold,
    from `FIRST_JUDGED` on.
    """

    number: int
    family: str
    params: Params
    stop_beyond: tuple[float, ...] | None = None
    stop_beyond_epoch: tuple[float, ...] | None = None


FIRST_JUDGED = 2
"""The first epoch at whose end a trial may be pruned. After one pass over the rows a score still
tells more of the weights that the fit began with than of the trial's parameters."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one trial ended; it counts once."""

    number: int
    state: ResultState
    scores: tuple[float, ...] = ()  # one a fold
    score: float | None = None  # their mean; None unless done
    seconds: float = 0.0
    reason: str | None = None  # why it failed or was pruned
    attempts: int = 1
    curve: tuple[float, ...] = ()  # on the first fold after each epoch, where it was scored then


@dataclass(frozen=True, kw_only=True)
class FitProgress:
    """How far the fit of a task is, told now and then while it goes on.

    Args:
        trial: Whose parameters are fitted.
        fold: Number of the fold; None for the refit on all training rows.
        step: Number of the last step, from 0.
        steps: How many there are at most.
        epoch: How many times all rows have been seen by now.
        loss: Mean over the rows of the last step.
        accuracy: Share of them predicted right; None for regression.
        rows_per_second: Rows that were computed since the last report, a second.
        workers: Processes that compute now.
        checkpoint: The artefact from which another attempt goes on, where this report comes with
            one.
    """

    trial: int
    fold: int | None = None
    step: int
    steps: int
    epoch: float
    loss: float
    accuracy: float | None = None
    rows_per_second: float
    workers: int
    checkpoint: Digest | None = None


@dataclass(frozen=True, kw_only=True)
class FitReport:
    """What an attempt at a task told of its fit, as the ledger keeps it.

    Args:
        id: Number in the whole ledger; later ones have higher ones.
        task: The task.
        attempt: Which attempt at it, from 1.
        at: When it was written.
        progress: What was told.
        checkpointed: When the task's last checkpoint was written, by then; None before the first.
    """

    id: int
    task: int
    attempt: int
    at: float
    progress: FitProgress
    checkpointed: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """A trial with what is known of it now."""

    trial: Trial
    state: TrialState
    result: Result | None


@dataclass(frozen=True, kw_only=True)
class Span:
    """When the last attempt at a trial began, and when it ended; None while it runs."""

    began: float
    ended: float | None = None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How far a study is. Kept by the ledger, read in constant time."""

    ready: int = 0  # tasks
    running: int = 0  # tasks
    done: int = 0  # trials
    failed: int = 0  # trials
    pruned: int = 0  # trials


# ---- tasks ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class NewTask:
    """A task to put into the ledger: one trial, several that share a fit, or one to refit."""

    kind: TaskKind
    trials: tuple[Trial, ...]


@dataclass(frozen=True, kw_only=True)
class TaskSubject:
    """What a task is about."""

    kind: TaskKind
    trials: tuple[int, ...]  # their numbers


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a worker has for tasks.

    Args:
        packages: The installed packages and their versions.
        memory: Bytes that a task may use there; None where that is not known.
    """

    packages: Mapping[str, str]
    memory: int | None = None


@dataclass(frozen=True, kw_only=True)
class TaskQueue:
    """The ready tasks of one study and family.

    Args:
        number: Of the study, in the ledger.
        study: Its id.
        family: Of the tasks' trials; empty where it is not known.
        oldest: Id of the oldest task.
        ready: Ready tasks of the study, whatever their family.
        running: Its running tasks.
        priority: Of the study.
        served: Token of the study's last claim.
        needs: Packages, and their versions, that a worker must have.
        memory: Bytes that a task may use; None for no limit.
    """

    number: int
    study: str
    family: str
    oldest: int
    ready: int
    running: int
    priority: int
    served: int
    needs: Mapping[str, str]
    memory: int | None


@dataclass(frozen=True, kw_only=True)
class RunningTask:
    """A task that a worker has in hand."""

    task: int
    study: str
    kind: TaskKind
    trials: tuple[int, ...]  # their numbers
    attempt: int
    worker: str
    since: float
    lease_ends: float


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One attempt's right to a task, until its lease ends."""

    task: int
    study: str
    kind: TaskKind
    trials: tuple[Trial, ...]
    attempt: int  # from 1
    token: int  # the fencing token
    worker: str
    lease_ends: float
    checkpoint: Digest | None = None  # the last one that an attempt at the task has made


@dataclass(frozen=True, kw_only=True)
class Completed:
    """An attempt at a 'trials' task with a result for each of its trials."""

    claim: Claim
    results: tuple[Result, ...]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of a history that is only appended to."""

    at: float
    kind: str
    study: str | None = None
    task: int | None = None
    attempt: int | None = None
    worker: str | None = None
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class NumberedEvent:
    """A line of a history, with its number in the whole ledger: later lines have higher ones."""

    id: int
    event: Event


@dataclass(frozen=True, kw_only=True)
class HistoryMark:
    """A place in the ledger's history: see `Histories.mark`."""

    last: int
    writer: int


TrialMark: TypeAlias = tuple[int, int]
"""A place among the trials of a study: a task, and the last trial of it that was read."""


# ---- models ---------------------------------------------------------------------------------

DATE_PARTS = ("year", "month", "dayofweek", "hour", "days")
"""What a model gets of a date, in UTC: dayofweek from 0 (Monday), days since 1970-01-01."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A feature column of a table or of a model's signature.

    Args:
        name: As the data has it.
        kind: What the model gets of it: the number, the text, or the parts of the date.
        type: What its cells are where that is not what the model gets: the number (or the truth
            value) that a text stands for, so that 1, 1.0 and "1" are one text, "1"; or the truth
            value that is 1 or 0 as a number. None: as the kind says.
    """

    name: str
    kind: ColumnKind
    type: CellType | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the number columns that the model gets of it."""
        if self.kind == "date":
            return tuple(f"{self.name}.{part}" for part in DATE_PARTS)
        return (self.name,) if self.kind == "number" else ()


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a model takes and gives.

    Its ONNX form has the inputs `numbers` (float32, [rows, number columns]) and, where there are
    text columns, `text` (string, [rows, text columns]); both in the order of `columns`. Its one
    output is `prediction` (float32, [rows]) or, for classes, `probabilities` (float32,
    [rows, classes]). A column of dates is several number columns, one for each of DATE_PARTS.

    Args:
        columns: As the data has them.
        target: Name of the target column.
        classes: Of the target; None for regression.
        missing: Texts that stand for a missing one; None in signatures of before there was a
            choice, for which it is lexicon.ONCE_MISSING.
    """

    columns: tuple[Column, ...]
    target: str
    classes: tuple[Scalar, ...] | None = None
    missing: tuple[str, ...] | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the number columns that the model gets, in order."""
        return tuple(name for column in self.columns for name in column.numbers)

    @property
    def sources(self) -> tuple[str, ...]:
        """For each of `numbers` the name of the column that it is of."""
        return tuple(column.name for column in self.columns for _ in column.numbers)

    @property
    def text(self) -> tuple[str, ...]:
        """Names of the text columns, in order."""
        return tuple(column.name for column in self.columns if column.kind == "text")


@dataclass(frozen=True, kw_only=True)
class File:
    """A named artefact."""

    digest: Digest
    size: int  # bytes


@dataclass(frozen=True, kw_only=True)
class CacheFolder:
    """A folder for local copies of artefacts."""

    path: str
    size: int = 20_000_000_000  # bytes that they may have together


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far the exported model's predictions on the holdout are from the trained one's.

    `worst` and `tolerance` are in units of the target's standard deviation (regression) or of
    probability (classes).
    """

    rows: int
    beyond: int  # rows further apart than the tolerance
    worst: float
    tolerance: float
    passed: bool
    rounded: tuple[str, ...] = ()  # columns whose numbers its float32 rounds (data/precision.py)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The best trial's parameters refitted on all training rows, with all that came of it.

    `files` names: `model.onnx` (absent where it cannot be exported), the family's own safe
    format (`model.json`, `model.txt`, `model.cbm`, `model.skops`), `golden.json` (rows with the
    predictions of the exported model), `training_rows.npy` (sorted uint64 hashes of the feature
    columns of the training rows), `holdout.npz` (`rows`, `true`, `predicted`),
    `environment.json`; and, once registered, `study.json` and `best.json`.
    """

    study: str
    trial: int
    family: str
    params: Params
    seed: int
    metric: str
    holdout_score: float | None
    training_rows: int
    holdout_rows: int
    signature: Signature
    files: Mapping[str, File]
    parity: Parity | None  # None where it cannot be exported
    unexportable: str | None = None  # why it has no ONNX form
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Version:
    """A candidate in the registry, immutable."""

    model: str
    number: int  # from 1
    study: str
    trial: int
    size: int  # trials of the study when it was registered
    manifest: Digest  # the artefact that holds the Candidate as JSON
    created: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the gate decided and on what evidence.

    `difference` is how much better the candidate is than what it was judged against, in the
    metric's unit (positive is better), with its bootstrap interval [low, high].
    """

    decision: Decision
    text: str  # plain English
    against: str  # "champion v3" or "the baseline"
    metric: str
    rows: int  # shared by both
    judged: int  # candidates that these rows have judged by now, this one included
    candidate: float | None = None
    other: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One spec on its way from its data to a judged version, and into service if that is asked.

    All that is needed to carry it is in the ledger and the artefact store: its study has the table
    and the sources of its families.
    """

    id: str  # given by the ledger
    study: str
    spec: str  # canonical JSON, with `promote` and `serve` as this run was asked for
    deploy: bool = False  # whether the version is to be deployed where it is the champion
    stage: RunStage = "search"
    state: RunState = "running"
    version: int | None = None  # that came of it, once it is registered
    verdict: Verdict | None = None  # on that version, once it is judged
    reason: str = ""  # why it failed
    began: float = 0.0
    since: float = 0.0  # when the present stage began
    holder: str | None = None  # the process that carries it, while it runs


@dataclass(frozen=True, kw_only=True)
class RunHolder:
    """The process that carries a run, in whose name it writes elsewhere."""

    run: str
    holder: str


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a model's champion is trained again, and what came of the last time."""

    model: str
    every: float  # seconds
    source: str | None = None  # where the data is; where the champion's was if None
    folder: str = ""  # that a path of data starts from; none where a client of a server made it
    deploy: bool = False
    priority: int | None = None
    by: str = ""  # who made it
    paused: bool = False
    first: float = 0.0  # due times are whole intervals from this one
    due: float = 0.0  # the next time
    created: float = 0.0
    run: str | None = None  # the last one that it began
    outcome: ScheduleOutcome | None = None  # of the last due time
    reason: str = ""  # of the outcome
    noted: float | None = None  # when that was
    holder: str | None = None  # the process that is beginning a run


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """An entry of the append-only list of verdicts."""

    model: str
    version: int
    champion: int | None
    rows: Digest  # of the sorted hashes of the rows it was judged on
    verdict: Verdict
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a judgement rests on besides the predictions."""

    judgements: int  # of the model that it knew of, when it counted what its rows have judged
    sample: bytes  # of the hashes of its rows


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """An entry of the append-only history: who became champion, when, and why."""

    model: str
    number: int  # from 1
    version: int
    previous: int | None
    kind: Literal["gate", "promote", "rollback"]
    why: str
    verdict: Verdict | None = None
    at: float = 0.0


# ---- serving --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What one revision may use of one serving process."""

    idle_after: float | None = None  # seconds without a request until it is unloaded; None: never
    max_concurrency: int = 256  # requests that it answers or holds at once; 429 past it
    queue: int = 256  # requests that wait while it loads; 503 past it
    deadline: float = 10.0  # seconds that a request waits for it to load; 503 past it


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What the canary judge lets pass, and what it must have seen before it lets anything pass."""

    hold: float = 30.0  # least seconds of a step
    requests: int = 100  # least requests to the candidate in a step
    errors: float = 0.01  # by how much more of its requests may fail (a share)
    slower: float = 2.0  # how many times the others' 95th percentile of latency its own may be
    drift: float = 0.25  # population stability index of its predictions against the others'


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A version with its serving settings, immutable; its state and the reason for it are not.

    `name` is the version's, `v3`; later settings of the same version are `v3-2`, `v3-3`.
    """

    model: str
    name: str
    version: int
    allowance: Allowance = field(default_factory=Allowance)
    state: RevisionState = "loading"
    reason: str = ""  # why it is in this state
    created: float = 0.0
    changed: float = 0.0  # when it came into this state

    @property
    def is_unverified(self) -> bool:
        """Whether it has not passed its check yet, or did not pass what came after it."""
        return self.state in {"loading", "failed"}


@dataclass(frozen=True, kw_only=True)
class Route:
    """An entry of the append-only list of routes; a model's last one is in force."""

    model: str
    number: int  # from 1
    traffic: Mapping[str, int]  # percent by revision, each above 0, together 100; or none at all
    kind: RouteKind
    why: str
    details: Digest  # the artefact deploy_details.json
    sticky: str | None = None  # "header:NAME" or "cookie:NAME": what a client is known by
    deployment: int | None = None  # the deployment that it is a step of, or that it undoes
    before: int | None = None  # number of the route that an undo of this one goes back to
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One revision on its way to all of a model's traffic."""

    model: str
    number: int  # from 1
    revision: str
    steps: tuple[int, ...]  # percent, rising; the last is 100
    bounds: Bounds = field(default_factory=Bounds)
    sticky: str | None = None
    base: int | None = None  # number of the route that it began from, and goes back to
    step: int = -1  # index of the step whose traffic is routed; -1 before the first
    state: DeploymentState = "running"
    reason: str = ""  # what it waits for, or why it ended
    began: float = 0.0
    since: float = 0.0  # when the present step began
    server: str | None = None  # who carries it out, while it runs

    @property
    def is_judged(self) -> bool:
        """Whether its present step is judged by what is observed: others have traffic, too."""
        return self.state == "running" and 0 <= self.step < len(self.steps) - 1


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Counts of one revision, over all processes of a server, or over all servers.

    Args:
        requests: Those it was chosen for and answered, rightly or not. What it refused is not
            among them.
        errors: Those of them that failed (5xx).
        refused: Further ones that it was chosen for and were turned away as the client's own fault
            (4xx), which may be its own: it may ask for what clients do not send.
        latency: Of `requests`, by the bucket that their seconds fall in; the edges are those of
            serving/telemetry/counters.py.
        bins: Predictions (rows) by bin.
    """

    requests: int = 0
    errors: int = 0
    refused: int = 0
    latency: tuple[int, ...] = ()
    bins: tuple[int, ...] = ()

    @property
    def asked(self) -> int:
        """All requests that it was chosen for."""
        return self.requests + self.refused

    def __add__(self, other: Observed) -> Observed:
        return self._with(other, 1)

    def __sub__(self, earlier: Observed) -> Observed:
        """What was seen between the earlier look and this one."""
        return self._with(earlier, -1)

    def _with(self, other: Observed, sign: int) -> Observed:
        return Observed(
            requests=self.requests + sign * other.requests,
            errors=self.errors + sign * other.errors,
            refused=self.refused + sign * other.refused,
            latency=_paired(self.latency, other.latency, sign),
            bins=_paired(self.bins, other.bins, sign),
        )


def _paired(one: tuple[int, ...], other: tuple[int, ...], sign: int) -> tuple[int, ...]:
    return tuple(a + sign * b for a, b in zip_longest(one, other, fillvalue=0))


@dataclass(frozen=True, kw_only=True)
class StepObservation:
    """What one server has observed of a deployment's present step, since it follows its route.

    Args:
        model: Of the deployment.
        deployment: Its number.
        step: Index of the step.
        server: Id of the server.
        seconds: For which it has, up to when all that its processes counted is known.
        revisions: What was observed of each revision that shares the traffic.
        edges: Between the bins that predictions are counted in.
        crashes: How many of its processes have crashed.
    """

    model: str
    deployment: int
    step: int
    server: str
    seconds: float
    revisions: Mapping[str, Observed]
    edges: tuple[float, ...] = ()
    crashes: int = 0


@dataclass(frozen=True, kw_only=True)
class ServingEvent:
    """One line of the history of what a model serves, which is only appended to."""

    model: str
    kind: str  # see `Routes.events`
    text: str = ""
    revision: str | None = None
    route: int | None = None
    deployment: int | None = None
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class FleetWorker:
    """A worker that is alive, as the ledger knows it."""

    name: str
    host: str
    process: int
    offer: Offer
    study: str | None = None  # id of the one that it works on, where it is for one only
    used: int = 0  # bytes of memory that it and its child held when they were seen
    started: float = 0.0
    seen: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """One `fairlead serve` that is alive, and the route that it follows for each model."""

    id: str
    url: str
    processes: int
    models: tuple[str, ...] | None = None  # that it serves; None: all, later ones included
    routes: Mapping[str, int] = field(default_factory=dict)  # model to number of the route
    started: float = 0.0
    seen: float = 0.0

    def serves(self, model: str) -> bool:
        """Whether it answers for the model, once that has a route."""
        return self.models is None or model in self.models


# ---- how many workers -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class StudyLoad:
    """What one study has for workers to do.

    Args:
        study: Its id.
        name: Its name.
        priority: Its tasks go before those of a lower one.
        ready: Tasks that a worker may take now.
        running: Workers that have a task of it.
        seconds: Mean time of its last tasks; None where none has ended yet.
        longest: Seconds for which the longest of its running tasks has been running.
        lacking: Why no worker of this kind can take its ready tasks; empty where some can.
    """

    study: str
    name: str
    priority: int = 0
    ready: int = 0
    running: int = 0
    seconds: float | None = None
    longest: float = 0.0
    lacking: str = ""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What there is to do for workers of one kind.

    Args:
        at: When, by the ledger's clock.
        studies: Those that have open tasks and are not paused, the highest priority first.
        busy: The workers that have a task, whatever its study.
    """

    at: float
    studies: tuple[StudyLoad, ...] = ()
    busy: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Autoscaler:
    """Who decides how many workers there are, under a name, and what they have cost.

    Args:
        name: What its workers and decisions go by.
        holder: The process that decides; None for nobody.
        workers: Names of the workers that it has.
        spent: Worker-seconds since it began.
        began: When a process took it that nobody had before.
    """

    name: str
    holder: str | None = None
    workers: tuple[str, ...] = ()
    spent: float = 0.0
    began: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ScalingDecision:
    """An entry of the list of decisions on how many workers there are.

    Args:
        autoscaler: Its name.
        cause: The rule that it follows from, in a word; see `autoscale/decide.py`.
        reason: In a line, for a person.
        wanted: Workers that there are to be.
        there: Workers that were there, those that were starting included, without leaving ones.
        starting: Of `there`, those that were still starting.
        busy: Of `there`, those that had a task.
        ready: Tasks that waited.
        running: Workers that had a task of what waits or runs, those of others included.
        start: How many were started.
        leave: Names of those that were asked to leave.
        spent: Worker-seconds so far.
        at: When; given by the ledger.
    """

    autoscaler: str
    cause: str
    reason: str
    wanted: int
    there: int = 0
    starting: int = 0
    busy: int = 0
    ready: int = 0
    running: int = 0
    start: int = 0
    leave: tuple[str, ...] = ()
    spent: float = 0.0
    at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """Something that is asked for under a key, so that asking again does nothing more.

    Args:
        caller: Who asks; each has keys of its own.
        key: Made up by the caller.
        digest: Of what is asked.
    """

    caller: str
    key: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a request was answered.

    Args:
        body: Its bytes.
        status: Of HTTP.
        media_type: What the body is.
        location: Of what was made; empty for nothing.
    """

    body: bytes
    status: int = 200
    media_type: str = "application/json"
    location: str = ""
