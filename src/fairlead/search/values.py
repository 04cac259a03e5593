"""The values of a parameter, numbered from 0: of a list, of a stepped range, or a fixed one.

Grids and draws both go by these numbers.
"""

from __future__ import annotations

import math

from fairlead.records import Scalar
from fairlead.spec.space import Range, Space, Values


def count(values: Values) -> int:
    """How many values there are; a range must have a step."""
    if isinstance(values, Range):
        return values.count
    return len(values) if isinstance(values, tuple) else 1


def combinations(space: Space) -> int | None:
    """How many parameter sets can be drawn from a space; None where they are endless."""
    known = [_drawn(values) for values in space.values()]
    return None if None in known else math.prod(one for one in known if one is not None)


def at(values: Values, index: int) -> Scalar:
    """The value with this index, in the order in which the user wrote them."""
    if isinstance(values, Range):
        return values.at(index)
    return values[index] if isinstance(values, tuple) else values


def first(values: Values) -> Scalar:
    """One of the values: the first that was written, or the lowest."""
    return values.low if isinstance(values, Range) else at(values, 0)


def texts(values: Values) -> tuple[str, ...]:
    """Those of the values that are text: names of objectives, of solvers."""
    listed = values if isinstance(values, tuple) else (values,)
    return tuple(value for value in listed if isinstance(value, str))


def whole_ends(values: Values) -> tuple[int, int] | None:
    """Both ends of a range of whole numbers without a step; None of all else."""
    if isinstance(values, Range) and values.whole and values.step is None:
        return int(values.low), int(values.high)
    return None


def index_of(values: Values, value: Scalar) -> int | None:
    """Index of the first value that is this one, in type too (1, 1.0 and True are three)."""
    if isinstance(values, Range):
        return _step_of(values, value)
    listed = values if isinstance(values, tuple) else (values,)
    same = (i for i, known in enumerate(listed) if type(known) is type(value) and known == value)
    return next(same, None)


def _step_of(values: Range, value: Scalar) -> int | None:
    if not isinstance(value, int | float) or not values.low <= value <= values.high:
        return None
    assert values.step is not None
    index = round((value - values.low) / values.step)
    near = values.at(index)
    return index if type(near) is type(value) and near == value else None


def _drawn(values: Values) -> int | None:
    """How many values can be drawn; None from a range of numbers with fractions."""
    if not isinstance(values, Range) or values.step is not None:
        return count(values)
    return int(values.high) - int(values.low) + 1 if values.whole else None
