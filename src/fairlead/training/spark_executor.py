"""Fits as executors of Spark open them: by what their environment says of the artefact store."""

from __future__ import annotations

import os
from functools import lru_cache

from fairlead import settings
from fairlead.artifacts import Artifacts
from fairlead.gang.network import Network
from fairlead.gang.work import FitJob
from fairlead.training.computation import FitOpener


def open_fit(job: FitJob) -> Network:
    """What computes the parts of this fit; raises as `FitOpener` does."""
    return _opener()(job)


@lru_cache(maxsize=1)  # it keeps the table of a study for the folds that follow
def _opener() -> FitOpener:
    configured = settings.from_environment(os.environ)
    return FitOpener(Artifacts(configured.artifacts_url, cache=configured.artifacts_cache))
