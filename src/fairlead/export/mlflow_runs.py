"""A study as runs of an MLflow tracking server or store: one for the study, one for each trial.

MLflow takes seconds to import and warns, logs and reports home while it does, so a process of its
own writes the runs; it reads the ledger itself. What it is to do comes in on its stdin, and how far
it is goes out on its stdout, in lines of JSON:

    python -m fairlead.export.mlflow_runs < job

Runs are known by the tags `fairlead.study` and `fairlead.trial`. A run is ended last, so one that
has not ended is completed by the next export. Trials that wait have no run yet: one that begins
later could not be told so, since MLflow never changes when a run began.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, Any, TypeVar

from fairlead.errors import Failed, Invalid
from fairlead.export.databases import refuse_other_tables
from fairlead.export.material import Material, OnProgress, Written, exact, load
from fairlead.formatting import without_password
from fairlead.ledger.store import open_ledger
from fairlead.records import Study, TrialRow
from fairlead.settings import Settings, from_environment

Entry = TypeVar("Entry")

_STUDY, _TRIAL, _PARENT = "fairlead.study", "fairlead.trial", "mlflow.parentRunId"
_ENDED = {"FINISHED", "FAILED", "KILLED"}
_STATUS = {"running": "RUNNING", "done": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
_PAGE = 1000  # runs that one request lists
_MOST_PARAMS = 100  # that one request logs: MLflow's own bound
_MOST_METRICS = 800  # likewise: it takes 1,000 entries in all, and parameters and tags are some
_LONGEST = 5000  # characters of a tag or a parameter
_AT_ONCE = 8  # requests to a server
_SAID_EVERY = 50  # trials

# ---- asking for it ----------------------------------------------------------------------------

_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "file", "databricks")
# Without these MLflow waits 2 minutes a request, 7 times over, and reports its use to its makers.
# A request that was sent twice would make two runs of a trial. The store in files is MLflow's
# oldest, which it opens only where it is told to.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}


def write(
    study: Study, settings: Settings, *, uri: str, name: str | None, on_progress: OnProgress
) -> Written:
    """Bring the runs of a study up to date, in a process of its own.

    Args:
        study: The study.
        settings: The installation's.
        uri: Of MLflow's tracking server or store.
        name: Of the experiment; the study's if None.
        on_progress: Called as it goes on.

    Raises:
        Invalid: The URI is none of MLflow's, or a package is missing.
        Failed: MLflow did not take it.
    """
    _refuse(uri)
    job = {"study": study.id, "uri": uri, "experiment": name or study.name}
    environ = {"FAIRLEAD_LEDGER": settings.ledger_url}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            # -W ignore: MLflow's own warnings are nothing that a user of Fairlead can act on.
            [sys.executable, "-W", "ignore", "-m", "fairlead.export.mlflow_runs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**_ENVIRONMENT, **os.environ, **environ},
            text=True,
        ) as process,
    ):
        try:
            assert process.stdin is not None and process.stdout is not None  # noqa: PT018 - both are pipes
            with process.stdin as stdin:
                json.dump(job, stdin)
            written = _followed(process.stdout, uri, on_progress)
        except BaseException:
            process.kill()
            raise
        if written is None:
            raise Failed(f"exporting to {without_password(uri)!r}: {_last_line(errors)}")
        return written


def _last_line(errors: IO[bytes]) -> str:
    """What a process that came to nothing said last."""
    errors.seek(0)
    lines = without_password(errors.read().decode(errors="replace")).split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
    return f"its process ended: {last.strip()[:300]}"


def _refuse(uri: str) -> None:
    scheme = uri.split(":", 1)[0].split("+", 1)[0]
    if scheme not in _SCHEMES or (":" not in uri and scheme != "databricks"):
        raise Invalid(
            f"{without_password(uri)!r} is no URI of MLflow's tracking: such as "
            "sqlite:///mlflow.db, file:./mlruns or http://localhost:5000"
        )


def _followed(lines: Iterator[str], uri: str, on_progress: OnProgress) -> Written | None:
    """What the process came to; None where it does not say."""
    for line in lines:
        match json.loads(line):
            case {"done": done, "of": total}:
                on_progress(done, total)
            case {"written": written}:
                return Written(**written)
            case {"invalid": text}:
                raise Invalid(text)
            case {"failed": text}:
                again = "the same command goes on from there"
                raise Failed(f"exporting to {without_password(uri)!r}: {text}; {again}")
    return None


# ---- doing it ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A run that MLflow has."""

    id: str
    status: str
    logged: bool  # whether it has all that is logged of a trial


class Experiment:
    """The runs of one study in an experiment of MLflow.

    Args:
        client: An mlflow.MlflowClient.
        name: Of the experiment, which is made if it is not there.
        material: The study.
    """

    def __init__(self, client: Any, name: str, material: Material) -> None:
        self._client = client
        self._material = material
        self._tag = {_STUDY: material.study.id}
        found = client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage != "active":
            raise Invalid(f"the experiment {name!r} is deleted: restore it, or give another --name")
        self._id = found.experiment_id if found else client.create_experiment(name)

    def write(self, *, at_once: int, on_progress: OnProgress) -> tuple[int, int, int]:
        """Bring the runs up to date.

        Args:
            at_once: How many trials are written at a time.
            on_progress: Called as it goes on.

        Returns:
            Trials that were added, that were updated, and that are there now.
        """
        runs = self._runs()
        parent = self._parent(runs.pop(None, None))
        rows = [row for row in self._material.rows if row.state != "waiting"]
        to_do = [row for row in rows if _is_news(row, runs.get(row.trial.number))]
        added = sum(row.trial.number not in runs for row in to_do)
        with ThreadPoolExecutor(at_once) as pool:
            write = pool.map(lambda row: self._trial(row, parent, runs), to_do)
            try:
                for done, _ in enumerate(write):
                    if done % _SAID_EVERY == 0:
                        on_progress(len(rows) - len(to_do) + done, len(rows))
            finally:
                pool.shutdown(cancel_futures=True)
        self._end_parent(parent)
        return added, len(to_do) - added, len(rows)

    def _runs(self) -> dict[int | None, _Run]:
        """The runs of this study by the numbers of their trials; None is the study's own."""
        found: dict[int | None, _Run] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self._id],
                f"tags.`{_STUDY}` = '{self._material.study.id}'",
                max_results=_PAGE,
                page_token=token,
            )
            for run in page:
                number = run.data.tags.get(_TRIAL)
                # The end of a batch: MLflow's store in files logs one thing after another.
                logged = "fairlead.state" in run.data.tags
                found[None if number is None else int(number)] = _Run(
                    id=run.info.run_id, status=run.info.status, logged=logged
                )
            token = page.token
            if not token:
                return found

    # ---- the study's own run ------------------------------------------------------------------

    def _parent(self, there: _Run | None) -> str:
        """The id of the study's own run."""
        study = self._material.study
        run = there.id if there else self._created(study.name, study.created, self._tag)
        self._log(run, params=self._of_study(), metrics=[], tags={})
        return run

    def _of_study(self) -> Mapping[str, str]:
        search, metric = self._material.spec.search, self._material.metric.name
        return {"method": search.method, "metric": metric, "folds": str(search.folds)}

    def _end_parent(self, run: str) -> None:
        """Its best score, and its status: what it has of them already is not written again."""
        study, best = self._material.study, self._material.best
        there = self._client.get_run(run)
        tags = {"fairlead.trials": str(study.size)}
        if best is not None:
            tags |= {"fairlead.best": str(best.number), "fairlead.family": best.family}
            if there.data.metrics.get("score") != best.score:
                at = study.finished or self._material.span(self._material.rows[-1]).began
                self._log(run, params={}, metrics=[("score", best.score, 0, at)], tags={})
        self._log(run, params={}, metrics=[], tags=tags)
        if study.finished is None:
            if there.info.status != "RUNNING":
                self._client.update_run(run, status="RUNNING")
        elif there.info.status != "FINISHED" or there.info.end_time != _ms(study.finished):
            self._client.set_terminated(run, "FINISHED", end_time=_ms(study.finished))

    # ---- the trials' --------------------------------------------------------------------------

    def _trial(self, row: TrialRow, parent: str, runs: Mapping[int | None, _Run]) -> None:
        there = runs.get(row.trial.number)
        span = self._material.span(row)
        tags = {**self._tag, _TRIAL: str(row.trial.number), _PARENT: parent}
        run = there.id if there else self._created(f"trial {row.trial.number}", span.began, tags)
        ended = span.ended or span.began
        if row.result is None:
            return
        if there is None or not there.logged:
            params = {name: exact(value) for name, value in row.trial.params.items()}
            self._log(
                run,
                params={"family": row.trial.family, **params},
                metrics=[(name, value, step, ended) for name, value, step in _measured(row)],
                tags=_told(row),
            )
        self._client.set_terminated(run, _STATUS[row.state], end_time=_ms(ended))

    def _created(self, name: str, began: float, tags: Mapping[str, str]) -> str:
        run = self._client.create_run(
            self._id, start_time=_ms(began), tags=dict(tags), run_name=name
        )
        return str(run.info.run_id)

    def _log(
        self,
        run: str,
        *,
        params: Mapping[str, str],
        metrics: Sequence[tuple[str, float, int, float]],
        tags: Mapping[str, str],
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        given = [Param(name, value[:_LONGEST]) for name, value in params.items()]
        measured = [Metric(key, value, _ms(at), step) for key, value, step, at in metrics]
        *some, last_given = _batches(given, _MOST_PARAMS)
        for batch in some:
            self._client.log_batch(run, params=batch)
        *many, last_measured = _batches(measured, _MOST_METRICS)
        for batch in many:
            self._client.log_batch(run, metrics=batch)
        self._client.log_batch(
            run,
            params=last_given,
            metrics=last_measured,
            tags=[RunTag(key, value[:_LONGEST]) for key, value in tags.items()],
        )


def _batches(entries: Sequence[Entry], most: int) -> Sequence[Sequence[Entry]]:
    """The entries, so many at a time; a single empty batch where there are none."""
    return [entries[start : start + most] for start in range(0, max(1, len(entries)), most)]


def _is_news(row: TrialRow, there: _Run | None) -> bool:
    """Whether a trial has no run, or one that has not ended although the trial has."""
    return there is None or (row.result is not None and there.status not in _ENDED)


def _measured(row: TrialRow) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of what was measured."""
    assert row.result is not None
    for fold, score in enumerate(row.result.scores):
        yield "fold_score", score, fold
    for epoch, score in enumerate(row.result.curve, start=1):
        yield "epoch_score", score, epoch
    yield "seconds", row.result.seconds, 0
    if row.result.score is not None:
        yield "score", row.result.score, 0


def _told(row: TrialRow) -> Mapping[str, str]:
    """Tags of a trial that has ended; the state is last."""
    assert row.result is not None
    reason = {} if row.result.reason is None else {"fairlead.reason": row.result.reason}
    attempts = {"fairlead.attempts": str(row.result.attempts)}
    return {"fairlead.family": row.trial.family, **attempts, **reason, "fairlead.state": row.state}


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


# ---- the process ------------------------------------------------------------------------------


def main() -> int:
    """Do the job that comes in on stdin; what comes of it goes to stdout."""
    job = json.load(sys.stdin)
    settings = from_environment(os.environ)
    with _apart() as answers:
        try:
            _say(answers, written=asdict(_write(job, settings, answers)))
        except Invalid as error:
            _say(answers, invalid=str(error))
        except ImportError as error:
            lacking = f"the package {error.name!r}, which is not installed: pip install mlflow"
            _say(answers, invalid=f"exporting to {without_password(job['uri'])!r} needs {lacking}")
        except Exception as error:  # noqa: BLE001 - MLflow's stores raise whatever their drivers raise
            _say(answers, failed=_first_line(error))
    return 0


@contextmanager
def _apart() -> Iterator[IO[str]]:
    """Where stdout went; what MLflow prints, such as the address of each run, goes to stderr."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        yield answers


def _write(job: Mapping[str, str], settings: Settings, answers: IO[str]) -> Written:
    with open_ledger(settings.ledger_url, setting=settings.ledger_setting) as ledger:
        material = load(ledger.studies.get(job["study"]), ledger)
    from mlflow import MlflowClient

    uri, name = job["uri"], job["experiment"]
    if "://" in uri and not uri.startswith(("http", "file", "databricks")):
        refuse_other_tables(uri, mark="experiments")
    experiment = Experiment(MlflowClient(tracking_uri=uri), name, material)
    at_once = _AT_ONCE if uri.startswith("http") else 1
    added, updated, there = experiment.write(
        at_once=at_once, on_progress=lambda done, of: _say(answers, done=done, of=of)
    )
    return Written(name=name, added=added, updated=updated, there=there)


def _say(answers: IO[str], **what: object) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()


def _first_line(error: Exception) -> str:
    lines = without_password(str(error)).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


if __name__ == "__main__":
    sys.exit(main())
