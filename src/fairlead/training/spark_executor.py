"""Fits as executors of Spark open them: by what their environment says of the artefact store."""

from __future__ import annotations

import os
from functools import lru_cache

from fairlead import settings
from fairlead.artifacts import Artifacts
from fairlead.engines.spark_parts import decoded
from fairlead.families.family import Array
from fairlead.gang.network import Network
from fairlead.gang.work import FitJob
from fairlead.training.computation import FitOpener
from fairlead.training.prepare import Preparation, PreparedRows


def open_fit(job: FitJob) -> Network:
    """What computes the parts of this fit; raises as `FitOpener` does."""
    return _opener()(job)


def read_rows(job: bytes, preparation: Preparation, part: slice) -> tuple[PreparedRows, Array]:
    """Some of the rows of a fit, as `StudyContext.fit_rows` gives them.

    Args:
        job: The fit, as `spark_parts.encoded` gives it.
        preparation: Of the fit.
        part: Which of its rows.

    Raises:
        Corrupt: The table is not in the artefact store, or is damaged.
        Unreachable: The artefact store did not answer.
    """
    fit = decoded(job)
    return _opener().study(fit).fit_rows(fit.fold, preparation, part)


@lru_cache(maxsize=1)  # it keeps the table of a study for the folds that follow
def _opener() -> FitOpener:
    configured = settings.from_environment(os.environ)
    store = Artifacts(configured.artifacts_url, cache=configured.artifacts_cache)
    return FitOpener(store, memory=configured.memory_for_data)
