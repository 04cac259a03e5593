"""The parts of a fit's steps, for a process that has nothing of it but the artefact store.

Rows, preparation, parameters and seeds are those of the driver: a part has the same bits in every
process that opens the fit.
"""

from __future__ import annotations

from itertools import islice

from fairlead.artifacts import Artifacts
from fairlead.errors import Failed
from fairlead.families.family import Array, Matrix, Stepwise
from fairlead.gang.network import Network
from fairlead.gang.work import FitJob
from fairlead.training.fit import given_to
from fairlead.training.study_context import StudyContext


class FitOpener:
    """Opens fits one after another; those of one study share its table and folds.

    Args:
        artifacts: Where tables and sources are.
        memory: Bytes of features that may be in memory as a whole; any number if None.
    """

    def __init__(self, artifacts: Artifacts, *, memory: int | None = None) -> None:
        self._artifacts = artifacts
        self._memory = memory
        self._open: tuple[FitJob, StudyContext] | None = None

    def __call__(self, job: FitJob) -> Network:
        """What computes the parts of this fit.

        Raises:
            Failed: Fits of its family are no series of steps.
            Corrupt: The table or a source is damaged.
            InvalidSpec: The family refuses the parameters.
            Unreachable: The artefact store did not answer.
        """
        context = self.study(job)
        family, recipe = context.family(job.trial.family), context.recipe
        if not isinstance(family, Stepwise):
            raise Failed(
                f"family {job.trial.family!r} is not fitted in steps, so processes cannot share a "
                "fit of it; leave out `train`"
            )
        x, y = _rows(context, job.fold)
        given = given_to(family, job.trial.params, x)
        return family.network(
            recipe.build(job.trial.params, family),
            given,
            y,
            classes=recipe.classes,
            train=context.spec.train,
        )

    def study(self, job: FitJob) -> StudyContext:
        """The study of this fit.

        Raises:
            Corrupt: The table is damaged.
            Unreachable: The artefact store did not answer.
        """
        if self._open is not None and _of_study(self._open[0]) == _of_study(job):
            return self._open[1]
        self._open = None  # so that two tables are never in memory
        context = StudyContext(
            spec=job.spec,
            table=job.table,
            sources=job.sources,
            artifacts=self._artifacts,
            study=job.study,
            memory=self._memory,
        )
        self._open = job, context
        return context


def _of_study(job: FitJob) -> tuple[object, ...]:
    return job.study, job.spec, job.table, dict(job.sources)


def _rows(context: StudyContext, fold: int | None) -> tuple[Matrix, Array]:
    """The training rows of the fold, prepared; those of the refit for None."""
    if fold is not None:
        rows = next(islice(context.folds(), fold, None))
        return rows.x_train, rows.y_train
    _, x, y = context.refit_rows()
    return x, y
