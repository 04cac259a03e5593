"""The provenance of a candidate: study.json and best.json, which are kept beside it."""

from __future__ import annotations

import json
import statistics
from typing import Any

from fairlead.records import Candidate, Digest, Study, TrialRow
from fairlead.study.outcome import Best, Trials, metric_of, trial_json


def study_json(study: Study, fingerprint: Digest, trials: Trials) -> bytes:
    """Every trial: its parameters, the score of each fold, their mean and spread, its seconds.

    Args:
        study: Finished.
        fingerprint: Of its table.
        trials: All of them.
    """
    return _json(
        {
            "study": study.id,
            "name": study.name,
            "spec": json.loads(study.spec),
            "fingerprint": fingerprint,
            "metric": metric_of(study).name,
            "best": study.best,
            "trials": [_trial(row) for row in trials],
        }
    )


def best_json(best: Best, candidate: Candidate) -> bytes:
    """The best trial, and what its candidate scored on the holdout."""
    return _json(
        {
            "trial": best.number,
            "family": best.family,
            "params": dict(best.params),
            "metric": candidate.metric,
            "cross_validated": best.score,
            "holdout": candidate.holdout_score,
        }
    )


def _trial(row: TrialRow) -> dict[str, Any]:
    fields = trial_json(row)
    scores = fields["scores"]
    spread = statistics.pstdev(scores) if scores else None
    mean = fields.pop("score")
    if not fields["curve"]:  # as in the files of before there were any: a version is known by them
        del fields["curve"]
    return {**fields, "mean": mean, "spread": spread}


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode()
