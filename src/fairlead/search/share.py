"""Which trials share a fit, and so a task.

That the prefixes of one fit score as separate fits would is the family's promise (`Family.stage`).
A task costs its longest fit whatever the number of its trials, so tasks need no upper bound: to
split one would fit the same prefix twice.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from fairlead.families.family import Family
from fairlead.records import Trial


def tasks(
    trials: Sequence[Trial], family_of: Callable[[str], Family], *, prune: bool
) -> list[tuple[Trial, ...]]:
    """Group trials that one fit serves: equal but for how far training goes, or equal altogether.

    Args:
        trials: In their order.
        family_of: The family of a trial's `family`.
        prune: Whether trials may be stopped between folds; then each is a task of its own, since
            one that stops must not take others with it.

    Returns:
        The groups, by their first trial; trials within one in their order.
    """
    if prune:
        return [(trial,) for trial in trials]
    groups: dict[Hashable, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(_fit(trial, family_of(trial.family)), []).append(trial)
    return [tuple(group) for group in groups.values()]


def _fit(trial: Trial, family: Family) -> Hashable:
    """What tells this trial's fit from others.

    Values are told apart by how they are written: to an estimator 1 and 1.0 may be a number of
    features and a share of them.
    """
    params = family.canonical(trial.params)
    stage = family.stage(params)
    settled = tuple(
        (name, "" if name == stage else repr(value)) for name, value in sorted(params.items())
    )
    return trial.family, settled
