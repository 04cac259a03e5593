"""Arrays as number columns: an image is a row of columns such as `pixel_0_0`, `pixel_0_1`, ...

The name of a column says which element of the array it is, from (0, 0) on in row-major order. So
a table of arrays is a table as any other, in its fingerprint and in what a server takes, and its
shape is read off the names of its columns.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from fairlead.errors import InvalidData

_ELEMENT = re.compile(r"(.*?)((?:_(?:0|[1-9]\d*)){2,3})", re.DOTALL)
_PLACED = re.compile(r"_(?:0|[1-9]\d*)\Z")
_IMAGE = 3
"""Axes of an image: height, width, channels."""


def names_of(column: str, shape: Sequence[int]) -> list[str]:
    """Names of the columns of an array's elements.

    Args:
        column: What the array is called: if it is to be recognised again, no name that ends as
            those of elements do.
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


def spread(table: pa.Table) -> pa.Table:
    """The table with a column for each element where it had one of arrays of one size.

    Arrays are fixed-size lists of numbers, also of such lists, and Arrow's tensors; a missing one
    has missing elements.

    Raises:
        InvalidData: The name of a column of images would be taken for that of one axis more.
    """
    if not any(_shape(kind) for kind in table.schema.types):
        return table
    columns = [
        one
        for name, column in zip(table.column_names, table.columns, strict=True)
        for one in _elements(name, column)
    ]
    names, cells = zip(*columns, strict=True)
    return pa.table(list(cells), names=list(names)).replace_schema_metadata(table.schema.metadata)


def holding(schema: pa.Schema, names: Sequence[str]) -> list[str]:
    """The columns of a file that have these once arrays are spread."""
    wanted = set(names)
    return [
        field.name
        for field in schema
        if wanted.intersection(names_of(field.name, _shape(field.type) or ()))
    ]


def _elements(name: str, column: pa.ChunkedArray) -> Iterator[tuple[str, pa.ChunkedArray]]:
    shape = _shape(column.type)
    if shape is None:
        yield name, column
        return
    if len(shape) > 1 and _PLACED.search(name):
        raise InvalidData(
            f"data.source: column {name!r} holds arrays of {' x '.join(map(str, shape))}, and its "
            "name ends with a number, by which their shape would be read as another one: rename it"
        )
    flat = column.combine_chunks()
    if isinstance(column.type, pa.FixedShapeTensorType):
        yield from zip(names_of(name, shape), _flat(flat.storage), strict=True)
    else:
        yield from zip(names_of(name, shape), _flat(flat), strict=True)


def _flat(array: pa.Array) -> Iterator[pa.Array]:
    """A column for each element, in row-major order."""
    if not pa.types.is_fixed_size_list(array.type):
        yield array
        return
    for place in range(array.type.list_size):
        yield from _flat(pc.list_element(array, place))


def _shape(kind: pa.DataType) -> tuple[int, ...] | None:
    """The shape of the arrays of a type; None where it has none, or is not of numbers."""
    if isinstance(kind, pa.FixedShapeTensorType):
        axes = list(range(len(kind.shape)))
        straight = list(kind.permutation or axes) == axes
        return tuple(kind.shape) if straight and _is_number(kind.value_type) else None
    shape: tuple[int, ...] = ()
    while pa.types.is_fixed_size_list(kind):
        shape, kind = (*shape, kind.list_size), kind.value_type
    return shape if shape and _is_number(kind) else None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
