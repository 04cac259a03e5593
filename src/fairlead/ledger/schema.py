"""The ledger's tables.

A change here needs a revision in migrations/versions, a new HEAD and a new recorded ledger under
tests/integration/ledger/recorded; tests hold all three.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from fairlead.records import Allowance, Bounds, Observed, Offer, Trial, Verdict

HEAD = "0014"  # the revision of these tables; known here so that opening needs no Alembic

_NAMES = {
    "pk": "%(table_name)s_pk",
    "fk": "%(table_name)s_%(column_0_name)s_fk",
    "uq": "%(table_name)s_%(column_0_N_name)s_uq",
    "ck": "%(table_name)s_%(constraint_name)s_ck",
}
_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # only INTEGER is SQLite's row id

metadata = sa.MetaData(naming_convention=_NAMES)


class Json(sa.types.TypeDecorator[Any]):
    """A column whose text is JSON: `parsed` makes of the JSON what the column gives.

    What an older Fairlead left out of a record has its default; numbers keep every bit.
    Parameters may be NaN and whole numbers of any size, which msgspec's JSON has not.
    """

    impl = sa.Text
    cache_ok = True

    def __init__(self, parsed: Callable[[Any], object]) -> None:
        super().__init__()
        self.parsed = parsed

    def process_bind_param(
        self,
        value: object,
        dialect: sa.Dialect,  # noqa: ARG002 - the same text in each
    ) -> str | None:
        """The text of a value; None stays NULL."""
        return None if value is None else json.dumps(value, default=_plain)

    def process_result_value(
        self,
        value: str | None,
        dialect: sa.Dialect,  # noqa: ARG002 - the same text in each
    ) -> object:
        """The value that a text stands for."""
        return None if value is None else self.parsed(json.loads(value))


def _plain(value: Any) -> object:
    match value:
        case Trial():
            said = [value.number, value.family, dict(value.params), value.stop_beyond]
            by_epoch = value.stop_beyond_epoch
            return said if by_epoch is None else [*said, by_epoch]
        case Mapping():
            return dict(value)
    return asdict(value)


def _trials(rows: Sequence[Any]) -> tuple[Trial, ...]:
    return tuple(
        Trial(
            number=number,
            family=family,
            params=params,
            stop_beyond=None if stop_beyond is None else tuple(stop_beyond),
            stop_beyond_epoch=tuple(by_epoch[0]) if by_epoch else None,
        )
        for number, family, params, stop_beyond, *by_epoch in rows
    )


def _observed(found: Mapping[str, Any]) -> Mapping[str, Observed]:
    return {name: _of_revision(counts) for name, counts in found.items()}


def _of_revision(counts: Mapping[str, Any]) -> Observed:
    lists = {"latency": tuple(counts["latency"]), "bins": tuple(counts["bins"])}
    return Observed(**{**counts, **lists})


_TRIALS = Json(_trials)
_VERDICT = Json(lambda found: Verdict(**found))
_ALLOWANCE = Json(lambda found: Allowance(**found))
_BOUNDS = Json(lambda found: Bounds(**found))
_OFFER = Json(lambda found: Offer(**found))
_OBSERVED = Json(_observed)
_MAPPING, _TUPLE = Json(dict), Json(tuple)


def _one_of(column: str, *values: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def _counter(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=sa.text("0"))


studies = sa.Table(
    "studies",
    metadata,
    sa.Column("number", _KEY, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("table_digest", sa.String, nullable=False),
    sa.Column("sources", _MAPPING, nullable=False),  # the files of its families to digests
    sa.Column("asked", sa.Integer, nullable=False),  # the largest size asked for so far
    sa.Column("size", sa.Integer, nullable=False),  # smaller than asked where it ended early
    sa.Column("limit_seconds", sa.Double),
    sa.Column("limit_memory", sa.BigInteger),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("best", sa.Integer),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("finished", sa.Double),
    _counter("ready"),
    _counter("running"),
    _counter("done"),
    _counter("failed"),
    _counter("pruned"),
    _counter("results"),  # every result there is, those beyond `size` too: the last mark
    _counter("priority"),
    sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("needs", _MAPPING, nullable=False, server_default=sa.text("'{}'")),
    # The token of the last claim of one of its tasks: the lowest has waited longest.
    sa.Column("served", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    _one_of("state", "searching", "finished"),
    sa.Index("studies_name", "name"),
)

# A trial is in one task at most: this key is what makes `add` safe to repeat. What the trial is
# stands in its task, so that a claim reads one row.
trials = sa.Table(
    "trials",
    metadata,
    sa.Column("study", _KEY, sa.ForeignKey("studies.number"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sqlite_with_rowid=False,
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("study", _KEY, sa.ForeignKey("studies.number"), nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("family", sa.String, nullable=False, server_default=sa.text("''")),
    sa.Column("trials", _TRIALS, nullable=False),
    sa.Column("refit", sa.Integer),  # number of the trial that a 'refit' task is about
    _counter("attempts"),
    _counter("faults"),
    _counter("lost"),
    sa.Column("token", sa.BigInteger),  # this and the next three: of the running attempt
    sa.Column("worker", sa.String),
    sa.Column("lease", sa.Double),  # seconds
    sa.Column("lease_ends", sa.Double),
    sa.Column("candidate", sa.String),
    sa.Column("reason", sa.Text),
    sa.Column("checkpoint", sa.String),  # the last one; none of a task that has ended
    _one_of("kind", "trials", "refit"),
    _one_of("state", "ready", "running", "done", "failed", "withdrawn"),
    sa.CheckConstraint("(kind = 'refit') = (refit IS NOT NULL)", name="refit"),
    sa.CheckConstraint("(state = 'running') = (token IS NOT NULL)", name="token"),
)
_READY = tasks.c.state == sa.literal_column("'ready'")
_RUNNING = tasks.c.state == sa.literal_column("'running'")
_REFIT = tasks.c.kind == sa.literal_column("'refit'")
_LIVE_REFIT = _REFIT & (tasks.c.state != sa.literal_column("'failed'"))
sa.Index(
    "tasks_ready",
    tasks.c.study,
    tasks.c.family,
    tasks.c.id,
    sqlite_where=_READY,
    postgresql_where=_READY,
)
sa.Index("tasks_running", tasks.c.lease_ends, sqlite_where=_RUNNING, postgresql_where=_RUNNING)
sa.Index("tasks_of_study", tasks.c.study, tasks.c.state, tasks.c.id)
sa.Index(
    "tasks_refit",
    tasks.c.study,
    tasks.c.refit,
    tasks.c.id,
    sqlite_where=_REFIT,
    postgresql_where=_REFIT,
)
sa.Index(
    "tasks_live_refit",
    tasks.c.study,
    tasks.c.refit,
    unique=True,
    sqlite_where=_LIVE_REFIT,
    postgresql_where=_LIVE_REFIT,
)

results = sa.Table(
    "results",
    metadata,
    sa.Column("study", _KEY, primary_key=True),
    sa.Column("mark", sa.Integer, primary_key=True),  # from 1 within the study, as committed
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("scores", _TUPLE, nullable=False),
    sa.Column("score", sa.Double),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("curve", _TUPLE),
    sa.UniqueConstraint("study", "trial"),
    sa.ForeignKeyConstraint(["study", "trial"], ["trials.study", "trials.number"]),
    _one_of("state", "done", "failed", "pruned"),
    sqlite_with_rowid=False,
)

# The id of a 'claimed' event is that attempt's fencing token: rows are only ever added, so it
# rises over the whole ledger.
events = sa.Table(
    "events",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("study", _KEY, sa.ForeignKey("studies.number"), nullable=False),
    sa.Column("task", _KEY, sa.ForeignKey("tasks.id")),
    sa.Column("attempt", sa.Integer),
    sa.Column("worker", sa.String),
    sa.Column("text", sa.Text, nullable=False),
    sa.Index("events_study", "study", "id"),
)

# Told by attempts while a fit goes on. A task has a bounded number of rows: see fits.py.
fit_progress = sa.Table(
    "fit_progress",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("study", _KEY, sa.ForeignKey("studies.number"), nullable=False),
    sa.Column("task", _KEY, sa.ForeignKey("tasks.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),  # from 1 within its task, as told
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("fold", sa.Integer),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("steps", sa.Integer, nullable=False),
    sa.Column("epoch", sa.Double, nullable=False),
    sa.Column("loss", sa.Double, nullable=False),
    sa.Column("accuracy", sa.Double),
    sa.Column("rows_per_second", sa.Double, nullable=False),
    sa.Column("workers", sa.Integer, nullable=False),
    sa.Column("checkpoint", sa.String),  # no key to the task's: that goes when the task ends
    sa.Column("checkpointed", sa.Double),
    sa.UniqueConstraint("task", "number"),
    sa.Index("fit_progress_study", "study", "id"),
    sa.Index("fit_progress_trial", "study", "trial", "id"),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("study", sa.String, nullable=False),
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("manifest", sa.String, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.UniqueConstraint("model", "manifest"),
)


def _of_version(column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["model", column], ["versions.model", "versions.number"])


champions = sa.Table(
    "champions",
    metadata,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    _of_version("version"),
)

judgements = sa.Table(
    "judgements",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("champion", sa.Integer),
    sa.Column("rows", sa.String, nullable=False),
    sa.Column("verdict", _VERDICT, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    _of_version("version"),
    sa.Index("judgements_rows", "model", "rows"),
    sa.Index("judgements_version", "model", "version", "id"),
)

# A sample of the rows that a judgement names by their digest, so that it can be counted how many
# of them judged in another. Those of judgements that the first ledger held are not known.
judged_rows = sa.Table(
    "judged_rows",
    metadata,
    sa.Column("digest", sa.String, primary_key=True),
    sa.Column("sample", sa.LargeBinary, nullable=False),
)

promotions = sa.Table(
    "promotions",
    metadata,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("previous", sa.Integer),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("verdict", _VERDICT),
    sa.Column("at", sa.Double, nullable=False),
    _of_version("version"),
    _one_of("kind", "gate", "promote", "rollback"),
)

# Entries leave once they arrived; AUTOINCREMENT keeps an id from naming a later one.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("payload", _MAPPING, nullable=False),
    sqlite_autoincrement=True,
)

revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),  # from 1 within its version
    sa.Column("allowance", _ALLOWANCE, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("changed", sa.Double, nullable=False),
    sa.UniqueConstraint("model", "version", "number"),
    _of_version("version"),
    _one_of("state", "loading", "ready", "serving", "draining", "retired", "failed"),
)

# The route that a deployment began from stands in `base` without a key: routes have one to
# deployments, and tables that need each other cannot be made one after the other.
deployments = sa.Table(
    "deployments",
    metadata,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("revision", sa.String, nullable=False),
    sa.Column("steps", _TUPLE, nullable=False),
    sa.Column("bounds", _BOUNDS, nullable=False),
    sa.Column("sticky", sa.String),
    sa.Column("base", sa.Integer),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("began", sa.Double, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("server", sa.String),  # this and the next two: who carries it out
    sa.Column("lease", sa.Double),  # seconds
    sa.Column("lease_ends", sa.Double),
    sa.ForeignKeyConstraint(["model", "revision"], ["revisions.model", "revisions.name"]),
    _one_of("state", "running", "done", "undone", "failed", "superseded"),
    sa.CheckConstraint("state = 'running' OR server IS NULL", name="server"),
)
_UNDER_WAY = deployments.c.state == sa.literal_column("'running'")
sa.Index(
    "deployments_running",
    deployments.c.model,
    unique=True,
    sqlite_where=_UNDER_WAY,
    postgresql_where=_UNDER_WAY,
)

# Of the steps that deployments are at now: rows go when a step or its deployment ends.
observations = sa.Table(
    "observations",
    metadata,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("server", sa.String, primary_key=True),  # no key: one that has gone still counts
    sa.Column("deployment", sa.Integer, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("revisions", _OBSERVED, nullable=False),
    sa.Column("edges", _TUPLE, nullable=False),
    sa.Column("crashes", sa.Integer, nullable=False),
    sa.ForeignKeyConstraint(["model", "deployment"], ["deployments.model", "deployments.number"]),
)

routes = sa.Table(
    "routes",
    metadata,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("traffic", _MAPPING, nullable=False),  # revisions to percent; none: {}
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("details", sa.String, nullable=False),
    sa.Column("sticky", sa.String),
    sa.Column("deployment", sa.Integer),
    sa.Column("before", sa.Integer),
    sa.Column("at", sa.Double, nullable=False),
    sa.ForeignKeyConstraint(
        ["model", "deployment"],
        ["deployments.model", "deployments.number"],
        name="routes_deployment_fk",
    ),
    sa.ForeignKeyConstraint(
        ["model", "before"], ["routes.model", "routes.number"], name="routes_before_fk"
    ),
    _one_of("kind", "deploy", "set", "undo", "undeploy"),
)

# A row a model, so that what is in force costs the same however long the history is.
routes_in_force = sa.Table(
    "routes_in_force",
    metadata,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.ForeignKeyConstraint(["model", "number"], ["routes.model", "routes.number"]),
)

# No keys to what a line is about: what was refused may never have been there.
serving_events = sa.Table(
    "serving_events",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("revision", sa.String),
    sa.Column("route", sa.Integer),
    sa.Column("deployment", sa.Integer),
    sa.Index("serving_events_model", "model", "id"),
    sa.Index("serving_events_deployment", "model", "deployment", "id"),
)

servers = sa.Table(
    "servers",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("url", sa.String, nullable=False),
    sa.Column("processes", sa.Integer, nullable=False),
    sa.Column("models", _TUPLE),  # their names; NULL: all
    sa.Column("routes", _MAPPING, nullable=False),  # models to numbers of routes
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("seen", sa.Double, nullable=False),
    sa.Column("lease", sa.Double, nullable=False),  # seconds
    sa.Column("lease_ends", sa.Double, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("number", _KEY, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("study", _KEY, sa.ForeignKey("studies.number"), nullable=False),
    sa.Column("spec", sa.Text, nullable=False),  # canonical JSON
    sa.Column("deploy", sa.Boolean, nullable=False),
    sa.Column("stage", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("version", sa.Integer),
    sa.Column("verdict", _VERDICT),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("began", sa.Double, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("holder", sa.String),  # this and the next two: who carries it
    sa.Column("lease", sa.Double),  # seconds
    sa.Column("lease_ends", sa.Double),
    _one_of("stage", "search", "refit", "register", "judge", "deploy"),
    _one_of("state", "running", "done", "failed", "cancelled"),
    sa.CheckConstraint("state = 'running' OR holder IS NULL", name="holder"),
    sa.Index("runs_study", "study", "number"),
)

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("every", sa.Double, nullable=False),  # seconds
    sa.Column("source", sa.String),
    sa.Column("folder", sa.String, nullable=False),
    sa.Column("deploy", sa.Boolean, nullable=False),
    sa.Column("priority", sa.Integer),
    sa.Column("by", sa.String, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("first", sa.Double, nullable=False),
    sa.Column("due", sa.Double, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("run", sa.String, sa.ForeignKey("runs.id")),
    sa.Column("outcome", sa.String),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("noted", sa.Double),
    sa.Column("holder", sa.String),  # this and the next two: who is beginning a run
    sa.Column("lease", sa.Double),  # seconds
    sa.Column("lease_ends", sa.Double),
    _one_of("outcome", "began", "unchanged", "skipped", "failed"),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("host", sa.String, nullable=False),
    sa.Column("process", sa.Integer, nullable=False),
    sa.Column("offer", _OFFER, nullable=False),
    sa.Column("study", sa.String),
    sa.Column("used", sa.BigInteger, nullable=False),  # bytes
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("seen", sa.Double, nullable=False),
    sa.Column("lease", sa.Double, nullable=False),  # seconds
    sa.Column("lease_ends", sa.Double, nullable=False),
)

# Of workers that are alive: a row goes when its worker has ended.
leaving_workers = sa.Table(
    "leaving_workers", metadata, sa.Column("worker", sa.String, primary_key=True)
)

autoscalers = sa.Table(
    "autoscalers",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("workers", _TUPLE, nullable=False),  # their names
    sa.Column("spent", sa.Double, nullable=False),  # worker-seconds
    sa.Column("began", sa.Double, nullable=False),
    sa.Column("holder", sa.String),  # this and the next two: who decides
    sa.Column("lease", sa.Double),  # seconds
    sa.Column("lease_ends", sa.Double),
)

# The last ones of each autoscaler: older ones are deleted as new ones come.
scaling_decisions = sa.Table(
    "scaling_decisions",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("autoscaler", sa.String, sa.ForeignKey("autoscalers.name"), nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("cause", sa.String, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("wanted", sa.Integer, nullable=False),
    sa.Column("there", sa.Integer, nullable=False),
    sa.Column("starting", sa.Integer, nullable=False),
    sa.Column("busy", sa.Integer, nullable=False),
    sa.Column("ready", sa.Integer, nullable=False),
    sa.Column("running", sa.Integer, nullable=False),
    sa.Column("start", sa.Integer, nullable=False),
    sa.Column("leave", _TUPLE, nullable=False),  # names of workers
    sa.Column("spent", sa.Double, nullable=False),
    sa.Index("scaling_decisions_autoscaler", "autoscaler", "id"),
)

# Answers that are kept so that a request which is asked again is not done again.
requests = sa.Table(
    "requests",
    metadata,
    sa.Column("id", _KEY, primary_key=True),
    sa.Column("caller", sa.String, nullable=False),
    sa.Column("request_key", sa.String, nullable=False),
    sa.Column("digest", sa.String, nullable=False),  # of what was asked
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("media_type", sa.String, nullable=False),
    sa.Column("location", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("written", sa.Double, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
    sa.UniqueConstraint("caller", "request_key"),
    sa.Index("requests_until", "until"),
    sa.Index("requests_caller", "caller", "id"),
)
