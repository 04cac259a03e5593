"""The study that a worker's child has open.

It holds in memory what tasks of one study share: its spec, families, table, split and prepared
folds. Each is loaded when it is first needed, or ahead of the first task by `prepare`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlead.artifacts import Artifacts
from fairlead.data import split, store
from fairlead.data.arrays import shape_of
from fairlead.data.features import FeatureRows, Rows, taken
from fairlead.data.table import Table
from fairlead.errors import FairleadError
from fairlead.families import catalog
from fairlead.families.family import Family, Matrix, Shaped, Task
from fairlead.families.imported import Imported
from fairlead.gang.work import FitJob
from fairlead.metrics import metric_for
from fairlead.records import Digest, Result, Trial
from fairlead.spec.document import Spec, canonical, parse_canonical
from fairlead.training.fit import Fold, Recipe, prepared_folds, score
from fairlead.training.prepare import Preparation, PreparedRows
from fairlead.training.task_fits import FitChannel, FitOnSpark, OpenGang, TaskFits, TaskSetting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COPIES = 4  # of the features: all, those of the training rows, a fold's, the family's own
KEPT_FOLDS = 256 << 20
"""Bytes of prepared folds that a child keeps; larger ones are made anew for each task."""


class StudyContext:
    """One study, loaded for its tasks.

    Args:
        spec: Canonical JSON of its spec.
        table: The artefact of its table.
        sources: The artefacts of its `./file.py:Name` families.
        artifacts: Where they are.
        study: Its id, where it has one.
        memory: Bytes of features that may be in memory as a whole; any number if None.

    `gang` opens the processes that share its fits, `spark` those of a library of Spark's; while
    they are None, this process fits alone.
    """

    def __init__(  # noqa: PLR0913 - what a study is made of
        self,
        *,
        spec: str,
        table: Digest,
        sources: Mapping[str, Digest],
        artifacts: Artifacts,
        study: str = "",
        memory: int | None = None,
    ) -> None:
        self.spec: Spec = parse_canonical(spec)
        self._study = study
        self.gang: OpenGang | None = None
        self.spark: FitOnSpark | None = None
        self._memory = _least(memory, self.spec.search.task_memory)
        self.table_digest = table
        self.table: Table = store.load(table, artifacts)
        self._sources = sources
        self.artifacts = artifacts
        self._families: dict[str, Family] = {}
        self._kept: dict[int | None, dict[Any, Any]] = {}
        self._fitted_on: tuple[int | None, NDArray[np.intp]] | None = None

    @cached_property
    def recipe(self) -> Recipe:
        """How every fit is made."""
        classes = self.table.classes
        task: Task = "regression" if classes is None else "classification"
        return Recipe(
            classes=None if classes is None else len(classes),
            metric=metric_for(self.spec.search.metric, task),
            seed=self.spec.seed,
            threads=self.spec.search.threads,
        )

    def family(self, name: str) -> Family:
        """The family of this name."""
        if name not in self._families:
            digest = self._sources.get(name)
            source = None if digest is None else self.artifacts.get(digest)
            found = catalog.family(name, base=Path(), source=source)
            self._families[name] = self._for_the_table(found)
        return self._families[name]

    def _for_the_table(self, family: Family) -> Family:
        """The family as these rows, and as its own class, have it."""
        shape = shape_of(self.table.signature.numbers)
        if isinstance(family, Shaped) and shape is not None:
            return family.shaped(shape)
        return family.in_steps() if isinstance(family, Imported) else family

    @cached_property
    def rows(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Indexes of the training rows and of the holdout rows."""
        data = self.spec.data
        return split.holdout(self.table, data.holdout, seed=data.seed)

    @cached_property
    def training(self) -> tuple[Rows, NDArray[Any]]:
        """Features and target of the training rows."""
        return self._taken(self.rows[0])

    @cached_property
    def holdout(self) -> tuple[Rows, NDArray[Any]]:
        """Features and target of the holdout rows."""
        return self._taken(self.rows[1])

    def _taken(self, rows: NDArray[np.intp]) -> tuple[Rows, NDArray[Any]]:
        return taken(self.table.features, rows, memory=self._memory), self.table.target[rows]

    def folds(self) -> Iterator[Fold]:
        """The prepared folds of the training rows; one task may write into them."""
        return (
            map(Fold.copy, self._kept_folds) if self._kept_folds is not None else self._prepared()
        )

    def refit_rows(self) -> tuple[Preparation, Matrix, NDArray[Any]]:
        """What a refit is made of: the preparation, and all training rows as it makes them.

        One task may write into the rows.
        """
        features, target = self.training
        preparation = Preparation.fit(features, self.spec.data)
        return preparation, preparation.transform(features).copy(), target.copy()

    def fit_rows(
        self, fold: int | None, preparation: Preparation, part: slice
    ) -> tuple[PreparedRows, NDArray[Any]]:
        """Some of the rows that a fit is made of, and their targets; rows are read as asked for.

        Args:
            fold: Number of the fold whose training rows are fitted on; None for all of the study's.
            preparation: Of that fit.
            part: Which of its rows, in their order.
        """
        if self._fitted_on is None or self._fitted_on[0] != fold:
            self._fitted_on = fold, self._rows_of(fold)
        rows = self._fitted_on[1][part]
        features = FeatureRows(features=self.table.features, rows=rows)
        return PreparedRows(preparation=preparation, rows=features), self.table.target[rows]

    def _rows_of(self, fold: int | None) -> NDArray[np.intp]:
        """Indexes of the rows that a fit is made of."""
        rows, _ = self.rows
        if fold is None:
            return rows
        classes = self.table.classes is not None
        folds = split.folds(self.table.target[rows], self.spec.search.folds, classes=classes)
        return rows[folds[fold][0]]

    @cached_property
    def _kept_folds(self) -> tuple[Fold, ...] | None:
        features, target = self.training
        if isinstance(features, FeatureRows):
            return None
        size = (features.size + target.nbytes) * self.spec.search.folds
        return tuple(self._prepared()) if size <= KEPT_FOLDS else None

    def _prepared(self) -> Iterator[Fold]:
        features, target = self.training
        return prepared_folds(features, target, self.spec, classes=self.table.classes is not None)

    def prepare(self, *, folds: bool = True) -> None:
        """Load now what tasks need: the table, the split, the folds that are kept, the libraries.

        Families named by an import path are loaded by the tasks that need them, so that the time
        and faults of importing the user's code are counted for those tasks only.
        """
        _ = self.recipe, self.rows
        if folds:
            _ = self._kept_folds
        for name in {space.family for space in self.spec.search.over} & set(catalog.NAMES):
            with contextlib.suppress(FairleadError):  # reported by the task that needs it
                self.family(name).check({}, self.recipe.task)

    def score(self, trials: Sequence[Trial], channel: FitChannel | None = None) -> list[Result]:
        """Score the trials of one task.

        Args:
            trials: As `fit.score` takes them.
            channel: How the attempt is told of, and what it goes on from.
        """
        family = self.family(trials[0].family)
        return score(trials, family, self.folds, self.recipe, self.fits(channel))

    def fits(self, channel: FitChannel | None = None) -> TaskFits:
        """The fits of one task."""
        setting = TaskSetting(
            study=self._study,
            recipe=self.recipe,
            train=self.spec.train,
            job=self.job,
            gang=self.gang,
            spark=self.spark,
            artifacts=self.artifacts,
            by_epoch=self.spec.search.prune is not None,
            kept=self._kept,
        )
        return TaskFits(setting, channel or FitChannel())

    def job(self, trial: Trial, fold: int | None) -> FitJob:
        """A fit of this study, for processes that have nothing of it."""
        return FitJob(
            study=self._study,
            spec=canonical(self.spec),
            table=self.table_digest,
            sources=self._sources,
            trial=trial,
            fold=fold,
        )


def _least(memory: int | None, of_task: int | None) -> int | None:
    """What features may take: of the task's limit a part, for what is made of them."""
    share = None if of_task is None else of_task // _COPIES
    known = [bound for bound in (memory, share) if bound is not None]
    return min(known, default=None)
