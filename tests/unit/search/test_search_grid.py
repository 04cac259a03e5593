"""What a grid promises: scikit-learn's points in scikit-learn's order, whatever its size."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import ParameterGrid

from fairlead.errors import InvalidSpec
from fairlead.records import Scalar
from fairlead.search.grid import MAX_POINTS, grid
from fairlead.spec.space import Range, Space

NAMES = st.text("abcXYZ_", min_size=1, max_size=4)
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["sqrt", "log2", 0.5])
CHOICES = st.lists(SCALARS, min_size=1, max_size=4).map(tuple)
SPACES = st.dictionaries(NAMES, CHOICES, max_size=4)


def points(*spaces: Space, trials: int | None = None) -> list[tuple[str, dict[str, Scalar]]]:
    search = grid([(f"family {i}", space) for i, space in enumerate(spaces)], trials=trials)
    suggested = [search.suggest(number, []) for number in range(search.size)]
    assert [trial.number for trial in suggested] == list(range(search.size))
    return [(trial.family, dict(trial.params)) for trial in suggested]


@given(st.lists(SPACES, min_size=1, max_size=3))
def test_points_come_in_the_order_of_scikit_learns_parameter_grid(spaces: list[Space]) -> None:
    expected = list(ParameterGrid(spaces))
    got = [params for _, params in points(*spaces)]
    assert repr(got) == repr(expected)  # repr: 1, 1.0 and True are three values


def test_families_follow_each_other_in_the_order_of_the_spec() -> None:
    assert points({"z": (1, 2)}, {}, {"a": (3,)}) == [
        ("family 0", {"z": 1}),
        ("family 0", {"z": 2}),
        ("family 1", {}),
        ("family 2", {"a": 3}),
    ]


def test_parameters_are_sorted_by_name() -> None:
    [(_, params)] = points({"b": 1, "a": (2,), "c": None})
    assert list(params) == ["a", "b", "c"]


def test_a_range_with_a_step_has_the_values_that_were_written() -> None:
    space = {"rate": Range(low=0.1, high=0.7, step=0.1), "depth": Range(low=2, high=9, step=3)}
    assert [tuple(params.values()) for _, params in points(space)] == list(
        itertools.product((2, 5, 8), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
    )


def test_fewer_trials_are_the_first_of_the_grid() -> None:
    space = {"a": (1, 2, 3), "b": (1, 2)}
    assert points(space, trials=4) == points(space)[:4]
    assert points(space, trials=99) == points(space)


def test_a_grid_of_a_million_points_is_numbered_without_being_listed() -> None:
    search = grid([("f", {name: Range(low=0, high=9, step=1) for name in "abcdef"})], trials=None)
    assert search.size == MAX_POINTS
    assert search.suggest(123_456, []).params == dict(zip("abcdef", range(1, 7), strict=True))


@pytest.mark.parametrize(
    "space",
    [
        {"a": tuple(range(1001)), "b": tuple(range(1000))},
        {"a": Range(low=0, high=2**62, step=1)},
        {"a": Range(low=-1e308, high=1e308, step=1e-300)},
    ],
)
def test_a_larger_grid_is_refused(space: Space) -> None:
    with pytest.raises(InvalidSpec, match=r"^search\.over: this grid has [\d,]+ points, over the"):
        grid([("f", space)], trials=10)


def test_a_range_without_a_step_is_refused_by_its_name() -> None:
    with pytest.raises(
        InvalidSpec, match=r"^search\.over\[0\]\.params\.depth: it is searched from 2"
    ):
        grid([("forest", {"depth": Range(low=2, high=9)})], trials=None)
