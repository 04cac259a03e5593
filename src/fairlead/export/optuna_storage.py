"""A study in a storage of Optuna: a database by its URL, or a JournalStorage's file.

A trial is known there by the attribute `fairlead.trial`, its study by `fairlead.study`: exporting
again adds what is new, gives trials that had not ended their end, and leaves the rest alone.

Optuna adds trials one by one, each in a transaction and with a query for each of its attributes;
10,000 trials take it many minutes. So a database whose tables are of a revision that is known here
gets them by the thousand, in Optuna's own models, each thousand in one transaction under the lock
of the study's row. All else goes through Optuna's own methods.
"""

from __future__ import annotations

import fcntl
import json
import math
import statistics
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import sqlalchemy as sa
from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.orm import Session

from fairlead.errors import Failed, Invalid
from fairlead.export.databases import refuse_other_tables
from fairlead.export.material import Material, OnProgress, Written
from fairlead.export.optuna_space import OptunaSpace, space_of
from fairlead.formatting import without_password
from fairlead.records import Result, TrialRow

if TYPE_CHECKING:
    from types import ModuleType

BATCH = 1000  # trials of a transaction
_STUDY, _TRIAL = "fairlead.study", "fairlead.trial"
_REVISIONS = {"v3.2.0.a"}
"""Revisions of Optuna's tables that are written directly."""

_DIGITS = 8  # of a study's id, in a name that tells it from another study
_STATES = {
    "waiting": TrialState.WAITING,
    "running": TrialState.RUNNING,
    "done": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def write(
    material: Material,
    storage: BaseStorage,
    *,
    name: str | None = None,
    on_progress: OnProgress,
) -> Written:
    """Bring the storage's study up to date.

    Args:
        material: The study.
        storage: Where to.
        name: What the study is called there; its own name, or that and the beginning of its id
            where another study has the name.
        on_progress: Called after each batch.

    Raises:
        Invalid: Another study has the name that was given.
    """
    study = _study(material, storage, name)
    trials = list(_frozen(material, space_of(material)))
    writer = _writer(storage, study)
    added = updated = 0
    for done in range(0, len(trials), BATCH):
        on_progress(done, len(trials))
        more, changed = writer.put(trials[done : done + BATCH])
        added, updated = added + more, updated + changed
    return Written(
        name=storage.get_study_name_from_id(study), added=added, updated=updated, there=len(trials)
    )


# ---- storages ---------------------------------------------------------------------------------


@contextmanager
def opened(url: str) -> Iterator[BaseStorage]:
    """The storage with this URL, or of this file.

    Raises:
        Invalid: It is none, or lacks a package.
        Failed: It could not be reached.
    """
    # Optuna announces every study at level INFO on stderr, and warns of what it calls experimental.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _faults(url), _database(url) if "://" in url else _journal(Path(url)) as storage:
            yield storage


@contextmanager
def _faults(url: str) -> Iterator[None]:
    """What Optuna and its databases raise, as errors of one line."""
    where = f"exporting to {without_password(url)!r}"
    try:
        yield
    except (optuna.exceptions.OptunaError, sa.exc.SQLAlchemyError, OSError) as error:
        raise Failed(
            f"{where}: {_first_line(error)}; the same command goes on from there"
        ) from error


@contextmanager
def _database(url: str) -> Iterator[BaseStorage]:
    refuse_other_tables(url, mark="version_info")
    storage = RDBStorage(url)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def _journal(path: Path) -> Iterator[BaseStorage]:
    """A JournalStorage, which one export at a time writes to."""
    if not path.parent.is_dir():
        raise Invalid(f"{str(path)!r}: there is no folder {str(path.parent)!r}")
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            storage = JournalStorage(JournalFileBackend(str(path)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Invalid(f"{str(path)!r} is no file of a JournalStorage") from error
        yield storage


def _first_line(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, optuna.exceptions.OptunaError) else None
    lines = without_password(str(getattr(cause or error, "orig", None) or cause or error))
    return f"{type(error).__name__}: {' '.join(lines.split(chr(10), 1)[0].split())}"[:300]


# ---- the study --------------------------------------------------------------------------------


def _study(material: Material, storage: BaseStorage, name: str | None) -> int:
    """Optuna's id of the study, which is made if it is not there."""
    study = material.study
    other = f"{study.name}-{study.id[:_DIGITS]}"
    for wanted in (name,) if name else (study.name, other, f"{study.name}-{study.id}"):
        found = _ours(material, storage, wanted)
        if found is not None:
            return found
    raise Invalid(f"another study of that storage is called {name!r}: give another --name")


def _ours(material: Material, storage: BaseStorage, name: str) -> int | None:
    """The study of this name where it is this one or can be; None where it is another."""
    direction = (
        StudyDirection.MAXIMIZE if material.metric.greater_is_better else StudyDirection.MINIMIZE
    )
    try:
        number = storage.create_new_study([direction], name)
    except optuna.exceptions.DuplicatedStudyError:
        number = storage.get_study_id_from_name(name)
        attributes = storage.get_study_user_attrs(number)
        if attributes.get(_STUDY) != material.study.id and not _is_blank(
            storage, number, direction
        ):
            return None
    _describe(material, storage, number)
    return number


def _is_blank(storage: BaseStorage, study: int, direction: StudyDirection) -> bool:
    """Whether nothing is in it: an export ended before it could say whose it is."""
    return (
        storage.get_study_directions(study) == [direction]
        and not storage.get_study_user_attrs(study)
        and not storage.get_all_trials(study, deepcopy=False)
    )


def _describe(material: Material, storage: BaseStorage, study: int) -> None:
    known = storage.get_study_user_attrs(study)
    wanted = {
        _STUDY: material.study.id,
        "fairlead.name": material.study.name,
        "metric": material.metric.name,
        "method": material.spec.search.method,
        "best": material.best.number if material.best else None,
    }
    for key, value in wanted.items():
        if key not in known or known[key] != value:
            storage.set_study_user_attr(study, key, value)
    names = [material.metric.name]
    if storage.get_study_system_attrs(study).get("study:metric_names") != names:
        optuna.load_study(
            study_name=storage.get_study_name_from_id(study), storage=storage
        ).set_metric_names(names)


# ---- trials -----------------------------------------------------------------------------------


def _frozen(material: Material, space: OptunaSpace) -> Iterator[FrozenTrial]:
    for row in material.rows:
        params, distributions = space.of(row.trial)
        state = _state(row)
        span = material.span(row)
        began, ended = datetime.fromtimestamp(span.began), span.ended or span.began  # noqa: DTZ006 - Optuna's are naive and local
        on_the_way = _on_the_way(row.result)
        yield FrozenTrial(
            number=row.trial.number,
            state=state,
            value=_value(row.result, state, on_the_way),
            datetime_start=None if state is TrialState.WAITING else began,
            datetime_complete=datetime.fromtimestamp(ended) if state.is_finished() else None,  # noqa: DTZ006 - as above
            params=params,
            distributions=distributions,
            user_attrs=_attributes(material, row),
            system_attrs={},
            intermediate_values=on_the_way,
            trial_id=-1,
        )


def _state(row: TrialRow) -> TrialState:
    """As Optuna has it; a score that is not a number is none."""
    score = row.result.score if row.result else None
    none = row.state == "done" and (score is None or math.isnan(score))
    return TrialState.FAIL if none else _STATES[row.state]


def _on_the_way(result: Result | None) -> dict[int, float]:
    """What trials are pruned by: scores by epoch, or the mean of the first k folds for each k."""
    scores, curve = (result.scores, result.curve) if result else ((), ())
    if curve:
        return dict(enumerate(curve, start=1))
    return {done: statistics.fmean(scores[:done]) for done in range(1, len(scores) + 1)}


def _value(
    result: Result | None, state: TrialState, on_the_way: Mapping[int, float]
) -> float | None:
    if state is TrialState.PRUNED:  # as Optuna gives one that it pruned itself
        last = on_the_way[max(on_the_way)] if on_the_way else None
        return None if last is None or math.isnan(last) else last
    return result.score if result and state is TrialState.COMPLETE else None


def _attributes(material: Material, row: TrialRow) -> dict[str, Any]:
    result = row.result
    named = {
        _STUDY: material.study.id,
        _TRIAL: row.trial.number,
        "family": row.trial.family,
    }
    if result is None:
        return named
    ended = {"fold_scores": [_in_json(score) for score in result.scores], "seconds": result.seconds}
    reason = {} if result.reason is None else {"reason": result.reason}
    return {**named, **ended, "attempts": result.attempts, **reason}


def _in_json(score: float) -> float | str:
    """JSON has neither NaN nor infinities, and a page that reads it stops at them."""
    return score if math.isfinite(score) else repr(score)


@dataclass(frozen=True, kw_only=True)
class _There:
    """A trial that the storage has; `id` is Optuna's."""

    id: int
    state: TrialState


def _is_news(trial: FrozenTrial, there: _There) -> bool:
    """Whether a trial went on since it was exported; what has ended stays as it is."""
    return not there.state.is_finished() and there.state is not trial.state


def _writer(storage: BaseStorage, study: int) -> _Tables | _Methods:
    if isinstance(storage, RDBStorage) and storage.get_current_version() in _REVISIONS:
        return _Tables(storage, study)
    return _Methods(storage, study)


# ---- through Optuna's methods -----------------------------------------------------------------


class _Methods:
    """Puts trials into any storage, each by itself."""

    def __init__(self, storage: BaseStorage, study: int) -> None:
        self._storage = storage
        self._study = study
        self._there = {
            trial.user_attrs[_TRIAL]: _There(id=trial._trial_id, state=trial.state)  # noqa: SLF001 - a storage's methods want it
            for trial in storage.get_all_trials(study, deepcopy=False)
            if _TRIAL in trial.user_attrs
        }

    def put(self, trials: Sequence[FrozenTrial]) -> tuple[int, int]:
        """Add and update; returns how many were added, and how many updated."""
        added = updated = 0
        for trial in trials:
            there = self._there.get(trial.number)
            if there is None:
                self._storage.create_new_trial(self._study, template_trial=trial)
                added += 1
            elif _is_news(trial, there):
                self._update(trial, there)
                updated += 1
        return added, updated

    def _update(self, trial: FrozenTrial, there: _There) -> None:
        """The state last: until it is there, another export does all of it again."""
        if there.state is TrialState.WAITING and trial.state is not TrialState.WAITING:
            self._storage.set_trial_state_values(there.id, TrialState.RUNNING)
        for key, value in trial.user_attrs.items():
            self._storage.set_trial_user_attr(there.id, key, value)
        for step, value in trial.intermediate_values.items():
            self._storage.set_trial_intermediate_value(there.id, step, value)
        if trial.state is not TrialState.RUNNING:
            self._storage.set_trial_state_values(there.id, trial.state, trial.values)


# ---- into Optuna's tables ---------------------------------------------------------------------


class _Tables:
    """Puts trials into the tables of a database, a batch in a transaction."""

    def __init__(self, storage: RDBStorage, study: int) -> None:
        self._engine = storage.engine
        self._study = study
        self._json: dict[int, str] = {}  # of a distribution by its identity: trials share them

    def put(self, trials: Sequence[FrozenTrial]) -> tuple[int, int]:
        """Add and update; returns how many were added, and how many updated."""
        with Session(self._engine) as session, session.begin():
            self._lock(session)
            there = self._known(session)
            new = [trial for trial in trials if trial.number not in there]
            changed = [
                (trial, there[trial.number].id)
                for trial in trials
                if trial.number in there and _is_news(trial, there[trial.number])
            ]
            for trial, number in changed:
                self._replace(session, trial, number)
            self._fill(session, [*self._add(session, new), *changed])
        return len(new), len(changed)

    def _lock(self, session: Session) -> None:
        """Take the lock that Optuna takes when it numbers a trial; on SQLite that of the file."""
        models = _models()
        row = models.StudyModel.study_id == self._study
        same = {"study_name": models.StudyModel.study_name}
        session.execute(sa.update(models.StudyModel).where(row).values(same))

    def _known(self, session: Session) -> dict[int, _There]:
        models = _models()
        attribute = models.TrialUserAttributeModel
        query = (
            sa.select(attribute.value_json, models.TrialModel.trial_id, models.TrialModel.state)
            .join(models.TrialModel, models.TrialModel.trial_id == attribute.trial_id)
            .where(models.TrialModel.study_id == self._study, attribute.key == _TRIAL)
        )
        return {
            json.loads(number): _There(id=identity, state=state)
            for number, identity, state in session.execute(query)
        }

    def _add(
        self, session: Session, trials: Sequence[FrozenTrial]
    ) -> Sequence[tuple[FrozenTrial, int]]:
        """Rows of the trials themselves, numbered after those that are there."""
        models = _models()
        model = models.TrialModel
        of = sa.select(sa.func.count()).where(model.study_id == self._study)
        first = session.execute(of.select_from(model)).scalar_one()
        rows = [
            self._timed(model(study_id=self._study, number=number, state=trial.state), trial)
            for number, trial in enumerate(trials, start=first)
        ]
        session.add_all(rows)
        session.flush()
        return [(trial, row.trial_id) for trial, row in zip(trials, rows, strict=True)]

    def _replace(self, session: Session, trial: FrozenTrial, number: int) -> None:
        models = _models()
        row = self._timed(session.get_one(models.TrialModel, number), trial)
        row.state = trial.state
        for child in (
            models.TrialParamModel,
            models.TrialUserAttributeModel,
            models.TrialIntermediateValueModel,
            models.TrialValueModel,
        ):
            session.execute(sa.delete(child).where(child.trial_id == number))

    def _timed(self, row: Any, trial: FrozenTrial) -> Any:
        row.datetime_start = trial.datetime_start
        row.datetime_complete = trial.datetime_complete
        return row

    def _fill(self, session: Session, trials: Sequence[tuple[FrozenTrial, int]]) -> None:
        """Rows of all that belongs to a trial."""
        models = _models()
        for model, of in (
            (models.TrialParamModel, self._params),
            (models.TrialUserAttributeModel, _attribute_rows),
            (models.TrialIntermediateValueModel, _intermediate_rows),
            (models.TrialValueModel, _value_rows),
        ):
            rows = [{"trial_id": number, **row} for trial, number in trials for row in of(trial)]
            if rows:
                session.execute(sa.insert(model), rows)

    def _params(self, trial: FrozenTrial) -> Iterator[dict[str, Any]]:
        for name, value in trial.params.items():
            distribution = trial.distributions[name]
            text = self._json.get(id(distribution)) or distribution_to_json(distribution)
            self._json[id(distribution)] = text
            yield {
                "param_name": name,
                "param_value": distribution.to_internal_repr(value),
                "distribution_json": text,
            }


def _attribute_rows(trial: FrozenTrial) -> Iterator[dict[str, Any]]:
    for key, value in trial.user_attrs.items():
        yield {"key": key, "value_json": json.dumps(value)}


def _intermediate_rows(trial: FrozenTrial) -> Iterator[dict[str, Any]]:
    model = _models().TrialIntermediateValueModel
    for step, value in trial.intermediate_values.items():
        number, kind = model.intermediate_value_to_stored_repr(value)
        yield {"step": step, "intermediate_value": number, "intermediate_value_type": kind}


def _value_rows(trial: FrozenTrial) -> Iterator[dict[str, Any]]:
    model = _models().TrialValueModel
    if trial.value is not None:
        number, kind = model.value_to_stored_repr(trial.value)
        yield {"objective": 0, "value": number, "value_type": kind}


def _models() -> ModuleType:
    from optuna.storages._rdb import models  # private: see _REVISIONS

    return models
