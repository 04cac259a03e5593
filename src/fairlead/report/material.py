"""What a report is made from.

Belongs here: the record that pictures and words are drawn from, and questions about it that
several of them ask. Does not: where it comes from (load.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fairlead.metrics import Metric
from fairlead.records import Candidate, Judgement, Study, TrialRow, Version
from fairlead.spec.document import Spec


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """What the refitted model predicts for the rows kept from the search.

    Args:
        true: [rows]: the target, or indexes of classes.
        predicted: [rows] values, or [rows][classes] probabilities.
    """

    true: Sequence[float]
    predicted: Sequence[Any]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A trial with a score."""

    row: TrialRow
    score: float

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.row.trial.number


@dataclass(frozen=True, kw_only=True)
class Material:
    """All that a report says, before it is put into words and pictures.

    Args:
        study: The study.
        spec: What it searches.
        metric: What its trials are scored with.
        rows: Its trials by number.
        candidate: Its best trial refitted, if it came to that.
        holdout: The candidate's predictions, where there are any.
        version: The candidate in the registry.
        champion: Number of the version that is champion now.
        judgement: The last one of this version.
        environment: The candidate's environment.json.
    """

    study: Study
    spec: Spec
    metric: Metric
    rows: Sequence[TrialRow]
    candidate: Candidate | None = None
    holdout: Holdout | None = None
    version: Version | None = None
    champion: int | None = None
    judgement: Judgement | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def scored(self) -> tuple[Scored, ...]:
        """The trials with a finite score, by number."""
        return tuple(
            Scored(row=row, score=row.result.score)
            for row in self.rows
            if row.result and row.result.score is not None and math.isfinite(row.result.score)
        )

    @cached_property
    def ranked(self) -> tuple[Scored, ...]:
        """The same, the best first, and the earlier of equals."""
        sign = -1 if self.metric.greater_is_better else 1
        return tuple(sorted(self.scored, key=lambda scored: (sign * scored.score, scored.number)))

    @cached_property
    def families(self) -> tuple[str, ...]:
        """The families that trials were made of, in the spec's order."""
        used = {row.trial.family for row in self.rows}
        named = dict.fromkeys(space.family for space in self.spec.search.over)
        return tuple(family for family in named if family in used)

    def ended(self, state: str) -> tuple[TrialRow, ...]:
        """The trials in this state."""
        return tuple(row for row in self.rows if row.state == state)
