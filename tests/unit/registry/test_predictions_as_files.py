"""Promises of predictions as files: columns, order, and numbers that are none."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.cli.row_files import Block, Form, block, write
from fairlead.errors import InvalidData
from fairlead.records import Signature

CLASSES = Signature(columns=(), target="kind", classes=("no", "yes, or so"))
NUMBERS = Signature(columns=(), target="price")
SHARES = np.array([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]])


def written(form: Form, *blocks: Any) -> bytes:
    stream = io.BytesIO()
    write(iter(blocks), stream, form)
    return stream.getvalue()


def as_lists(columns: Block) -> dict[str, list[Any]]:
    return {name: list(values) for name, values in columns.items()}


def test_a_class_comes_with_the_probability_of_each() -> None:
    assert as_lists(block(SHARES, CLASSES)) == {
        "prediction": ["no", "no", "yes, or so"],
        "probability_no": [0.75, 0.5, 0.125],
        "probability_yes, or so": [0.25, 0.5, 0.875],
    }


def test_classes_that_are_numbers_stay_numbers() -> None:
    signature = Signature(columns=(), target="digit", classes=(3, 7))
    assert block(SHARES, signature)["prediction"] == [3, 3, 7]


def test_blocks_follow_one_another_under_one_header() -> None:
    blocks = block(SHARES[:1], CLASSES), block(SHARES[1:], CLASSES)
    assert written("csv", *blocks).decode() == (
        'prediction,probability_no,"probability_yes, or so"\n'
        'no,0.75,0.25\nno,0.5,0.5\n"yes, or so",0.125,0.875\n'
    )
    assert len(written("jsonl", *blocks).splitlines()) == 3
    assert [row["prediction"] for row in json.loads(written("json", *blocks))] == [
        "no",
        "no",
        "yes, or so",
    ]
    table = pyarrow.parquet.read_table(io.BytesIO(written("parquet", *blocks)))
    assert table.to_pydict() == as_lists(block(SHARES, CLASSES))


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_a_prediction_that_is_no_number_is_null_in_json(form: Form) -> None:
    content = json.loads(written(form, block(np.array([np.nan]), NUMBERS)))
    row = content[0] if form == "json" else content
    assert row == {"prediction": None}


def test_a_prediction_is_written_in_its_shortest_exact_form() -> None:
    predicted = np.array([np.float32(28.917278)], dtype=float)
    assert written("csv", block(predicted, NUMBERS)) == b"prediction\n28.917278\n"
    assert written("jsonl", block(predicted, NUMBERS)) == b'{"prediction": 28.917278}\n'
    table = pyarrow.parquet.read_table(io.BytesIO(written("parquet", block(predicted, NUMBERS))))
    assert table.to_pydict() == {"prediction": [28.917278289794922]}


@given(values=st.lists(st.floats(width=32), min_size=1))
def test_what_is_written_reads_back_as_the_number_predicted(values: list[float]) -> None:
    lines = written("csv", block(np.array(values), NUMBERS)).decode().splitlines()[1:]
    read = np.array([float(line) for line in lines], dtype=np.float32)
    np.testing.assert_array_equal(read, np.array(values, dtype=np.float32))


def test_numbers_that_float32_does_not_hold_and_labels_keep_every_digit() -> None:
    predicted = np.array([0.1234567890123, 1e300])
    lines = written("csv", block(predicted, NUMBERS)).decode().splitlines()[1:]
    assert [float(line) for line in lines] == predicted.tolist()
    label = 28.917278289794922
    signature = Signature(columns=(), target="size", classes=(label,))
    assert f"\n{label}," in written("csv", block(np.array([[1.0]]), signature)).decode()


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "parquet"])
def test_the_stream_stays_open_whatever_happens(form: Form) -> None:
    def blocks() -> Iterator[Block]:
        yield block(SHARES, CLASSES)
        raise InvalidData("row 4 is no row")

    stream = io.BytesIO()
    with pytest.raises(InvalidData):
        write(blocks(), stream, form)
    gc.collect()
    assert not stream.closed
