"""Arrays as number columns: an image is a row of columns such as `pixel_0_0`, `pixel_0_1`, ...

The name of a column says which element of the array it is, from (0, 0) on in row-major order. So
a table of arrays is a table as any other, in its fingerprint and in what a server takes, and its
shape is read off the names of its columns.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

_ELEMENT = re.compile(r"(.*?)((?:_(?:0|[1-9]\d*)){2,3})", re.DOTALL)
_IMAGE = 3
"""Axes of an image: height, width, channels."""


def names_of(column: str, shape: Sequence[int]) -> list[str]:
    """Names of the columns of an array's elements.

    Args:
        column: What the array is called.
        shape: Its own; of no more than 3 axes if it is to be recognised again.
    """
    return ["_".join((column, *map(str, place))) for place in itertools.product(*map(range, shape))]


def shape_of(names: Sequence[str]) -> tuple[int, int, int] | None:
    """Height, width and channels of the array whose elements these columns are.

    Args:
        names: Of all number columns, in order.

    Returns:
        None where they are not all elements of one array of two or three axes.
    """
    match = _ELEMENT.fullmatch(names[-1]) if names else None
    if match is None:
        return None
    shape = [int(place) + 1 for place in match[2].split("_")[1:]]
    if list(names) != names_of(match[1], shape):
        return None
    height, width, channels = [*shape, 1][:_IMAGE]
    return height, width, channels
