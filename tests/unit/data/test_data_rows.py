"""Rows to predict, and what is said of a file that has other columns."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet
import pytest

from fairlead.data.dialect import Dialect
from fairlead.data.rows import read_rows
from fairlead.errors import InvalidData
from fairlead.records import Column, Signature


def test_a_few_of_many_missing_columns_are_named() -> None:
    columns = tuple(Column(name=f"pixel_{number}", kind="number") for number in range(64))
    with pytest.raises(InvalidData) as caught:
        read_rows(io.BytesIO(b"x\n1\n"), Signature(columns=columns, target="digit"))
    named = ", ".join(f"'pixel_{number}'" for number in range(20))
    assert str(caught.value) == (
        f"rows: the model needs the columns {named} and 44 more, which are not there"
    )


SIGNATURE = Signature(
    columns=tuple(Column(name=name, kind="number") for name in ("age", "bmi", "sex")),
    target="y",
)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            b"age,BMI,sex",
            (
                "the model needs the column 'bmi', which is not there; the file has 'BMI': did you "
                "mean 'bmi'?"
            ),
        ),
        (b"age,weight,sex", "the model needs the column 'bmi', which is not there"),
        (
            b"ages,bmi_,sex",
            (
                "the model needs the columns 'age', 'bmi', which are not there; the file has "
                "'ages' and 'bmi_': did you mean 'age' and 'bmi'?"
            ),
        ),
    ],
    ids=["one", "nothing like it", "two"],
)
def test_a_column_of_another_spelling_is_pointed_out(header: bytes, said: str) -> None:
    with pytest.raises(InvalidData) as caught:
        read_rows(io.BytesIO(header + b"\n1,2,3\n"), SIGNATURE)
    assert str(caught.value) == f"rows: {said}"


def test_columns_that_the_model_does_not_know_may_have_any_name() -> None:
    rows = b"age,x,x,bmi,,sex\n1,8,9,2,7,3\n"
    assert read_rows(io.BytesIO(rows), SIGNATURE).numbers.tolist() == [[1, 2, 3]]
    cells = [pa.array([value]) for value in (1, 8, 9, 2, 3)]
    file = io.BytesIO()
    names = ["age", "x", "x", "bmi", "sex"]
    pyarrow.parquet.write_table(pa.Table.from_arrays(cells, names=names), file)
    file.seek(0)
    assert read_rows(file, SIGNATURE).numbers.tolist() == [[1, 2, 3]]
    with pytest.raises(InvalidData, match="2 columns are named 'age'"):
        read_rows(io.BytesIO(b"age,age,bmi,sex\n1,1,2,3\n"), SIGNATURE)


def test_a_file_with_another_separator_is_told_of_it() -> None:
    with pytest.raises(InvalidData, match="one column, 'age,bmi,sex', where ';' parts cells"):
        read_rows(io.BytesIO(b"age,bmi,sex\n1,2,3\n"), SIGNATURE, dialect=Dialect(separator=";"))


def refused(rows: bytes, dialect: Dialect | None = None) -> str:
    with pytest.raises(InvalidData) as caught:
        read_rows(io.BytesIO(rows), SIGNATURE, dialect=dialect)
    assert "data." not in str(caught.value), "a key of the spec is no way on for the rows' file"
    return str(caught.value)


def test_a_wanted_name_that_two_columns_have_is_to_be_left_out_of_the_file() -> None:
    said = "rows: 2 columns are named 'age'; names must differ: leave one out of the file"
    assert refused(b"age,age,bmi,sex\n1,1,2,3\n") == said
    file = io.BytesIO()
    cells = [pa.array([value]) for value in (1, 1, 2, 3)]
    pyarrow.parquet.write_table(
        pa.Table.from_arrays(cells, names=["age", "age", "bmi", "sex"]), file
    )
    assert refused(file.getvalue()) == said


def test_json_may_have_a_key_that_is_empty_where_the_model_does_not_know_it() -> None:
    rows = read_rows(io.BytesIO(b'{"": 0, "age": 1, "bmi": 2, "sex": 3}\n'), SIGNATURE)
    assert rows.numbers.tolist() == [[1, 2, 3]]


NAMED = Dialect(columns=("age", "bmi", "sex", "y"))


def test_rows_of_another_width_than_the_data_that_had_no_names_are_told_of_theirs() -> None:
    assert refused(b"1,2\n", NAMED) == (
        "rows: the first line has 2 cells and does not name the model's columns; write their names "
        "there, or as many cells as the training data has, with its target or without: age, bmi, "
        "sex, y"
    )


def test_a_first_line_with_some_of_the_names_is_a_header_that_lacks_others() -> None:
    assert refused(b"bmi,sex\n1,2\n", NAMED) == (
        "rows: the model needs the column 'age', which is not there"
    )


def test_a_long_cell_is_cut_where_it_is_refused() -> None:
    message = refused(b"age,bmi,sex\n1,2," + b"7" * 5000 + b"\n")
    assert message.startswith("rows: row 1, column 'sex': '777")
    assert "777...777" in message
    assert len(message) < 200


def test_a_header_of_other_names_is_to_have_those_of_the_training_data() -> None:
    assert refused(b"a,b,c\n1,2,3\n4,5,6\n", NAMED) == (
        "rows: the first row (a, b, c) looks like names, and not those of the training data; "
        "write 'age', 'bmi', 'sex' there"
    )
