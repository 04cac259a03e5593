"""Columns of arrays in a Parquet file are columns of their elements."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from fairlead.data import layouts
from fairlead.data.arrays import shape_of
from fairlead.data.frame import Frame
from fairlead.data.parquet_folder import folder_of
from fairlead.errors import InvalidData

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def _read(column: Any) -> Frame:
    buffer = io.BytesIO()
    table = pa.table({"image": column, "label": ["a", "b"]})
    pyarrow.parquet.write_table(table, buffer)
    return layouts.parquet(buffer.getvalue(), limit=1 << 20)


def _lists(kind: pa.DataType) -> pa.Array:
    return pa.array(IMAGES.tolist(), pa.list_(pa.list_(kind, 4), 3))


@pytest.mark.parametrize(
    "column",
    [
        _lists(pa.uint8()),
        _lists(pa.float32()),
        pa.FixedShapeTensorArray.from_numpy_ndarray(IMAGES),
        pa.chunked_array([_lists(pa.uint8())[:1], _lists(pa.uint8())[1:]]),
    ],
    ids=["bytes", "floats", "tensor", "chunks"],
)
def test_an_image_is_a_column_for_each_of_its_elements(column: Any) -> None:
    frame = _read(column)
    assert frame.names[-1] == "label"
    assert shape_of(frame.names[:-1]) == (3, 4, 1)
    rows = np.stack([np.asarray(cells) for cells in frame.cells[:-1]], axis=1)
    assert np.array_equal(rows, IMAGES.reshape(2, 12))


def test_a_missing_array_has_missing_elements() -> None:
    frame = _read(pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)))
    assert frame.names == ("image_0", "image_1", "label")
    assert [cells.to_pylist() for cells in frame.cells[:-1]] == [[1.0, None], [2.0, None]]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1], [2, 3]], pa.list_(pa.int64())),
        pa.array([["a"], ["b"]], pa.list_(pa.string(), 1)),
    ],
    ids=["of any size", "of text"],
)
def test_lists_that_are_no_arrays_of_numbers_stay_what_they_are(column: Any) -> None:
    assert _read(column).names == ("image", "label")


def test_a_folder_of_files_is_read_by_the_elements_that_are_wanted(tmp_path: Path) -> None:
    table = pa.table({"image": _lists(pa.uint8()), "label": ["a", "b"]})
    for name in ("1.parquet", "2.parquet"):
        pyarrow.parquet.write_table(table, tmp_path / name)
    folder = folder_of(tmp_path)
    assert shape_of(folder.first(1 << 20).names[:-1]) == (3, 4, 1)
    frames = list(folder.frames(["label", "image_2_3"], memory=1 << 20))
    assert [frame.names for frame in frames] == [("label", "image_2_3")] * 2
    assert [cells.to_pylist() for cells in frames[1].cells] == [["a", "b"], [11, 23]]


def test_a_name_that_would_make_another_shape_is_refused() -> None:
    """Arrays of 3 x 4 in `view_0` would be columns as those of arrays of 1 x 3 x 4 in `view`."""
    table = pa.table({"view_0": _lists(pa.uint8()), "label": ["a", "b"]})
    with pytest.raises(InvalidData, match=r"column 'view_0' holds arrays of 3 x 4, .*: rename it"):
        layouts.of_arrow(table)
    vectors = pa.table({"view_0": pa.array([[1, 2], [3, 4]], pa.list_(pa.uint8(), 2))})
    assert list(layouts.of_arrow(vectors).names) == ["view_0_0", "view_0_1"]
