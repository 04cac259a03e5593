"""Which trials are one task."""

from __future__ import annotations

from pathlib import Path

from fairlead.families import catalog
from fairlead.families.family import Family
from fairlead.records import Params, Trial
from fairlead.search.grid import grid
from fairlead.search.share import tasks

BOSTON = {
    "n_estimators": (50, 100, 200, 300),
    "max_depth": (None, 10, 20),
    "min_samples_split": (2, 5, 10),
    "min_samples_leaf": (1, 2, 4),
}


def family_of(name: str) -> Family:
    return catalog.family(name, base=Path())


def trials_of(family: str, *params: Params) -> list[Trial]:
    return [Trial(number=n, family=family, params=each) for n, each in enumerate(params)]


def numbers(groups: list[tuple[Trial, ...]]) -> list[list[int]]:
    return [[trial.number for trial in group] for group in groups]


def boston() -> list[Trial]:
    search = grid([("random_forest", BOSTON)], trials=None)
    return [search.suggest(number, []) for number in range(search.size)]


def test_the_boston_grid_is_108_trials_and_24_tasks() -> None:
    groups = tasks(boston(), family_of, prune=False)
    assert sorted(trial.number for group in groups for trial in group) == list(range(108))
    assert len(groups) == 24


def test_tasks_are_ordered_by_their_first_trial_and_trials_by_number() -> None:
    order = numbers(tasks(boston(), family_of, prune=False))
    assert order == sorted(order)
    assert all(group == sorted(group) for group in order)


def test_a_task_fits_only_what_its_trials_have_in_common() -> None:
    for group in tasks(boston(), family_of, prune=False):
        settled = {(t.params["max_depth"], t.params["min_samples_leaf"], _split(t)) for t in group}
        assert len(settled) == 1


def _split(trial: Trial) -> int:
    """A node of fewer than two leaves' rows is never split."""
    return max(trial.params["min_samples_split"], 2 * trial.params["min_samples_leaf"])


def test_pruned_trials_are_tasks_of_their_own() -> None:
    assert numbers(tasks(boston()[:3], family_of, prune=True)) == [[0], [1], [2]]


def test_equal_trials_of_a_family_without_a_stage_are_one_task() -> None:
    trials = trials_of("linear", {"alpha": 1.0}, {"alpha": 2.0}, {"alpha": 1.0})
    assert numbers(tasks(trials, family_of, prune=False)) == [[0, 2], [1]]


def test_one_and_one_point_zero_are_different_parameters() -> None:
    trials = trials_of("random_forest", {"max_features": 1}, {"max_features": 1.0})
    assert numbers(tasks(trials, family_of, prune=False)) == [[0], [1]]


def test_families_never_share() -> None:
    trials = [
        Trial(number=n, family=name, params={"n_estimators": 10})
        for n, name in enumerate(["random_forest", "extra_trees", "random_forest"])
    ]
    assert numbers(tasks(trials, family_of, prune=False)) == [[0, 2], [1]]


def test_a_trial_that_does_not_name_its_stage_does_not_join_those_that_do() -> None:
    trials = trials_of("random_forest", {"n_estimators": 100}, {}, {"n_estimators": 50})
    assert numbers(tasks(trials, family_of, prune=False)) == [[0, 2], [1]]
