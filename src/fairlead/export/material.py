"""What is exported of a study, and what came of it; each target writes it in its own form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fairlead.ledger.interface import Ledger
from fairlead.metrics import Metric
from fairlead.records import Scalar, Span, Study, TrialRow
from fairlead.spec.document import Spec, parse_canonical
from fairlead.study.outcome import Best, Trials, best_of, metric_of

OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the trials that are written, and how many there are."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """A study with its trials.

    Args:
        study: The study.
        spec: What it searches.
        metric: What its trials are scored with.
        rows: Its trials by number.
        spans: When the last attempt at a trial was, by its number.
        best: Its best trial, or the best so far.
    """

    study: Study
    spec: Spec
    metric: Metric
    rows: Sequence[TrialRow]
    spans: Mapping[int, Span]
    best: Best | None

    def span(self, row: TrialRow) -> Span:
        """When the trial was tried; where that is not known, when its study began."""
        return self.spans.get(row.trial.number) or Span(began=self.study.created)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What an export changed.

    Args:
        name: What the target calls the study; None of a file.
        added: Trials that were not there.
        updated: Trials that were there and had not ended.
        there: Trials that are there now.
    """

    name: str | None = None
    added: int
    updated: int = 0
    there: int


def load(study: Study, ledger: Ledger) -> Material:
    """Read a study, finished or not."""
    rows = ledger.studies.trials(study.id)
    return Material(
        study=study,
        spec=parse_canonical(study.spec),
        metric=metric_of(study),
        rows=rows,
        spans=ledger.studies.spans(study.id),
        best=best_of(study, Trials(rows)),
    )


def exact(value: Scalar) -> str:
    """A parameter's value as a text, to the last digit; true, false and null as YAML has them."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return value if isinstance(value, str) else repr(value)
