"""Files as people have them are read as pandas reads them, or refused at the cell with a way on."""

from __future__ import annotations

import bz2
import decimal
import gzip
import io
import lzma
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from fairlead.data.dialect import Dialect
from fairlead.data.features import Features
from fairlead.data.read import read
from fairlead.data.rows import read_rows
from fairlead.data.table import Table
from fairlead.errors import InvalidData, InvalidSpec
from fairlead.records import Column
from fairlead.settings import Settings
from fairlead.spec.document import Data

LONG = "7" * 5000
FORMATS = ("csv", "parquet", "jsonl")


def written(folder: Path, frame: pd.DataFrame, form: str, **how: Any) -> str:
    """The file that pandas writes with its defaults."""
    path = folder / f"rows.{form}"
    if form == "csv":
        frame.to_csv(path, **how)
    elif form == "parquet":
        frame.to_parquet(path, **how)
    else:
        frame.to_json(path, orient="records", lines=True, date_format="iso", **how)
    return path.name


def table(
    folder: Path, content: pd.DataFrame | str | bytes, form: str = "csv", **says: Any
) -> Table:
    if isinstance(content, pd.DataFrame):
        source = written(folder, content, form)
    else:
        source = says.pop("source", f"rows.{form}")
        raw = content.encode() if isinstance(content, str) else content
        (folder / source).write_bytes(raw)
    data = Data(**({"source": source, "target": "y"} | says))
    return read(data, base=folder, settings=Settings(home=folder / "home"))


def refused(folder: Path, content: Any, form: str = "csv", **says: Any) -> str:
    with pytest.raises((InvalidData, InvalidSpec)) as caught:
        table(folder, content, form, **says)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def predicted(table: Table, content: str | bytes, **how: Any) -> Features:
    file = io.BytesIO(content.encode() if isinstance(content, str) else content)
    return read_rows(file, table.signature, **how)


def columns(table: Table) -> dict[str, list[float]]:
    return dict(zip(table.signature.numbers, table.features.numbers.T.tolist(), strict=True))


def encoded(features: Features, at: int = 0) -> list[str | None]:
    texts = [*features.categories[at], None]
    return [texts[code] for code in features.text[:, at]]


class TestIndex:
    """1: an index says nothing of a row."""

    frame = pd.DataFrame({"a": [3.0, 1.0, 2.0], "y": [1.0, 2.0, 3.0]}, index=[7, 8, 9])

    @pytest.mark.parametrize("form", ["csv", "parquet"])
    def test_the_index_that_pandas_wrote_is_left_out_and_it_is_said(
        self, tmp_path: Path, form: str
    ) -> None:
        made = table(tmp_path, self.frame, form)
        assert columns(made) == {"a": [3, 1, 2]}
        (note,) = made.notes
        assert "left out: the index of a pandas DataFrame" in note
        assert made.fingerprint == table(tmp_path, self.frame, "jsonl").fingerprint

    def test_an_index_with_a_name_is_known_by_the_metadata(self, tmp_path: Path) -> None:
        made = table(tmp_path, self.frame.rename_axis("id"), "parquet")
        assert columns(made) == {"a": [3, 1, 2]}
        assert "'id'" in made.notes[0]

    def test_it_is_used_where_the_spec_names_it(self, tmp_path: Path) -> None:
        made = table(tmp_path, self.frame.rename_axis("id"), "parquet", types={"id": "number"})
        assert columns(made) == {"id": [7, 8, 9], "a": [3, 1, 2]}
        assert made.notes == ()

    def test_an_index_that_was_written_twice_is_left_out(self, tmp_path: Path) -> None:
        text = ",Unnamed: 0,Unnamed: 0.1,a,y\n0,0,0,3,1\n1,1,1,1,2\n2,2,2,2,3\n"
        made = table(tmp_path, text)
        assert columns(made) == {"a": [3, 1, 2]}
        assert "['Unnamed: 0'" not in made.notes[0]

    def test_a_file_to_predict_may_have_one(self, tmp_path: Path) -> None:
        made = table(tmp_path, self.frame)
        assert predicted(made, ",a\n5,4\n").numbers.tolist() == [[4]]


class TestExactNumbers:
    """2: a number that float64 does not keep is refused, or kept as text."""

    @pytest.mark.parametrize("width", [(38, 0), (38, 2)])
    def test_a_decimal_beyond_2_to_the_53_is_refused(
        self, tmp_path: Path, width: tuple[int, int]
    ) -> None:
        ids = [decimal.Decimal(2**60 + at) for at in range(3)]
        frame = decimals(ids, width)
        assert "row 1, column 'a': '11529215046068469" in refused(tmp_path, frame, "parquet")

    def test_as_text_it_is_exact(self, tmp_path: Path) -> None:
        ids = [decimal.Decimal(2**60 + at) for at in range(3)]
        made = table(tmp_path, decimals(ids, (38, 0)), "parquet", encode={"a": "onehot"})
        assert made.features.categories == (tuple(map(str, ids)),)

    def test_as_classes_it_is_refused_as_int64_is(self, tmp_path: Path) -> None:
        ids = [decimal.Decimal(2**60 + at) for at in range(3)]
        for frame in (decimals(ids, (38, 0)), pd.DataFrame({"a": [int(one) for one in ids]})):
            swapped = frame[["a"]].rename(columns={"a": "y"}).assign(a=[1, 2, 3])
            says = refused(tmp_path, swapped, "parquet", task="classification")
            assert "a whole number beyond 2**53" in says

    def test_a_decimal_that_float64_keeps_is_a_number(self, tmp_path: Path) -> None:
        made = table(
            tmp_path,
            decimals([decimal.Decimal("1.5")] * 2 + [decimal.Decimal(2)], (9, 2)),
            "parquet",
        )
        assert columns(made)["a"] == [1.5, 1.5, 2]

    def test_a_decimal_as_text_has_no_zeros_behind_the_point(self, tmp_path: Path) -> None:
        frame = decimals(
            [decimal.Decimal("1.50"), decimal.Decimal("2.00"), decimal.Decimal(10)], (9, 2)
        )
        made = table(tmp_path, frame, "parquet", encode={"a": "onehot"})
        assert encoded(made.features) == ["1.5", "2", "10"]


def decimals(values: list[decimal.Decimal], width: tuple[int, int]) -> pd.DataFrame:
    import pyarrow as pa

    array = pd.arrays.ArrowExtensionArray(pa.array(values, pa.decimal128(*width)))
    return pd.DataFrame({"a": array, "y": np.arange(float(len(values)))})


class TestTextThatLooksLikeNumbers:
    """3: a string column is text, and digits with a leading zero are text."""

    ids = ("007", "07", "7", "007")

    @pytest.mark.parametrize("form", FORMATS)
    def test_as_a_target_they_are_classes_as_written(self, tmp_path: Path, form: str) -> None:
        frame = pd.DataFrame({"a": [1, 2, 3, 4], "y": self.ids})
        made = table(tmp_path, frame, form)
        assert made.classes == ("007", "07", "7")
        assert made.target.tolist() == [0, 1, 2, 0]

    @pytest.mark.parametrize("form", FORMATS)
    def test_encoded_they_are_texts_as_written(self, tmp_path: Path, form: str) -> None:
        frame = pd.DataFrame({"a": self.ids, "y": [1.0, 2.0, 3.0, 4.0]})
        made = table(tmp_path, frame, form, encode={"a": "onehot"})
        assert encoded(made.features) == list(self.ids)
        assert made.columns == (Column(name="a", kind="text"),)

    @pytest.mark.parametrize("form", FORMATS)
    def test_as_a_feature_they_are_refused_with_both_ways_on(
        self, tmp_path: Path, form: str
    ) -> None:
        frame = pd.DataFrame({"a": self.ids, "y": [1.0, 2.0, 3.0, 4.0]})
        says = refused(tmp_path, frame, form)
        assert "row 1, column 'a': '007' is text" in says
        assert "data.encode ({a: onehot})" in says
        assert "data.types ({a: number})" in says
        assert columns(table(tmp_path, frame, form, types={"a": "number"}))["a"] == [7, 7, 7, 7]

    @pytest.mark.parametrize("form", ["parquet", "jsonl"])
    def test_a_string_target_of_a_typed_file_is_no_regression(
        self, tmp_path: Path, form: str
    ) -> None:
        frame = pd.DataFrame({"a": [1, 2, 3], "y": ["1", "2", "1"]})
        assert table(tmp_path, frame, form).classes == ("1", "2")
        says = refused(tmp_path, frame, form, task="regression")
        assert "data.types ({y: number}) reads its numbers" in says
        made = table(tmp_path, frame, form, task="regression", types={"y": "number"})
        assert made.target.tolist() == [1, 2, 1]

    def test_types_make_text_of_what_looks_like_numbers(self, tmp_path: Path) -> None:
        made = table(
            tmp_path, "a,y\n1.0,1\n1,2\n2,3\n", encode={"a": "onehot"}, types={"a": "text"}
        )
        assert encoded(made.features) == ["1.0", "1", "2"]
        assert "too" in refused(tmp_path, "a,y\n1,1\n1,2\n2,3\n", types={"a": "text"})

    @pytest.mark.parametrize("cells", ["0,1,2", "0.5,0.25,00.5", "0,0,1", "-01,2,3"])
    def test_a_zero_before_a_point_or_alone_is_a_number(self, tmp_path: Path, cells: str) -> None:
        rows = "".join(f"{cell},{at}\n" for at, cell in enumerate(cells.split(",")))
        made = table(tmp_path, f"a,y\n{rows}")
        assert columns(made)["a"] == [float(cell) for cell in cells.split(",")]


class TestMissing:
    """4: null is not the text NA where a file has both; elsewhere data.missing decides."""

    frame = pd.DataFrame({"a": ["NA", None, "DE"], "y": [1.0, 2.0, 3.0]})

    @pytest.mark.parametrize("form", ["parquet", "jsonl"])
    def test_in_a_typed_file_na_is_a_text(self, tmp_path: Path, form: str) -> None:
        made = table(tmp_path, self.frame, form, encode={"a": "onehot"})
        assert encoded(made.features) == ["NA", None, "DE"]
        assert made.signature.missing == ("",)
        again = predicted(made, 'a\nNA\n""\nDE\n', dialect=Dialect(missing=made.missing))
        assert encoded(again) == ["NA", None, "DE"]

    def test_in_a_text_file_the_list_decides(self, tmp_path: Path) -> None:
        once = table(tmp_path, self.frame, encode={"a": "onehot"})
        assert encoded(once.features) == [None, None, "DE"]
        other = table(tmp_path, self.frame, encode={"a": "onehot"}, missing=[""])
        assert encoded(other.features) == ["NA", None, "DE"]
        assert other.signature.missing == ("",)

    @pytest.mark.parametrize("text", sorted({"", "None", "n/a", "#N/A", "<NA>", "nan", "NULL"}))
    def test_the_default_list_is_that_of_pandas(self, tmp_path: Path, text: str) -> None:
        content = f"a,y\n1,1\n{text},2\n3,3\n"
        assert pd.read_csv(io.StringIO(content))["a"].isna().tolist() == [False, True, False]
        made = table(tmp_path, content, impute=0.0)
        assert np.isnan(made.features.numbers[:, 0]).tolist() == [False, True, False]

    def test_a_number_is_missing_however_it_is_written(self, tmp_path: Path) -> None:
        rows = "a,y\n1,1\n999,2\n999.0,3\n9.99e2,4\n"
        wanted = pd.read_csv(io.StringIO(rows), na_values=["999"])["a"].isna()
        made = table(tmp_path, rows, missing=["999"], impute=0.0)
        assert np.isnan(made.features.numbers[:, 0]).tolist() == wanted.tolist()
        dialect = Dialect(missing=("999",))
        again = predicted(made, rows, dialect=dialect)
        np.testing.assert_array_equal(again.numbers, made.features.numbers)
        codes = table(tmp_path, rows, missing=["999"], encode={"a": "onehot"})
        assert encoded(codes.features) == ["1", None, None, None]
        assert encoded(predicted(codes, rows, dialect=dialect)) == ["1", None, None, None]

    def test_no_text_is_missing_where_the_list_is_empty(self, tmp_path: Path) -> None:
        says = refused(tmp_path, "a,y\n1,1\nNA,2\n3,3\n", missing=[])
        assert "row 2, column 'a': 'NA' is text" in says
        assert "data.missing" in says


class TestOneOddCell:
    """5: a cell that is no number in a column of numbers is named, with the key that reads it."""

    @pytest.mark.parametrize(
        ("cell", "key"),
        [
            ("unknown", "data.missing with 'unknown' in it"),
            ("?", "data.missing with '?' in it"),
            ("1,137", "data.thousands: ','"),
            ("1,5", "data.decimal: ','"),
            ("1.137,5", "data.thousands: '.' with data.decimal: ','"),
            ("1 137", "data.thousands: ' '"),
        ],
    )
    @pytest.mark.parametrize("column", ["a", "y"])
    def test_the_first_such_cell_is_named(
        self, tmp_path: Path, cell: str, key: str, column: str
    ) -> None:
        cells = ["10", "20", cell, "30", cell]
        other = "y" if column == "a" else "a"
        rows = "".join(f"{one}|{at}\n" for at, one in enumerate(cells))
        says = refused(tmp_path, f"{column}|{other}\n{rows}")
        assert f"row 3, column {column!r}: {cell!r} is text" in says
        assert key in says

    def test_what_the_key_says_is_so(self, tmp_path: Path) -> None:
        rows = "a|y\n10|1\n1,137|2\n1,000,000|3\n"
        made = table(tmp_path, rows, thousands=",")
        assert (
            columns(made)["a"]
            == pd.read_csv(io.StringIO(rows), sep="|", thousands=",")["a"].tolist()
        )
        rows = "a|y\n10|1\n1.137,5|2\n-,5|3\n"
        made = table(tmp_path, rows, thousands=".", decimal=",")
        of_pandas = pd.read_csv(io.StringIO(rows), sep="|", thousands=".", decimal=",")["a"]
        assert columns(made)["a"] == of_pandas.tolist()

    def test_a_separator_of_thousands_in_the_wrong_place_is_no_number(self, tmp_path: Path) -> None:
        says = refused(tmp_path, "a|y\n10|1\n1,5|2\n3|3\n", thousands=",")
        assert "row 2, column 'a': '1,5' is text" in says
        assert "data.decimal" in says

    def test_with_a_decimal_comma_a_point_is_no_number(self, tmp_path: Path) -> None:
        assert "'1.5' is text" in refused(tmp_path, "a|y\n1,0|1\n1.5|2\n3|3\n", decimal=",")

    def test_said_to_be_classes_they_are(self, tmp_path: Path) -> None:
        made = table(tmp_path, "a,y\n1,5\n2,x\n3,5\n", task="classification")
        assert made.classes == ("5", "x")


class TestLongCells:
    """A cell that is refused is shown in a few characters."""

    @pytest.mark.parametrize(
        ("head", "cells", "says"),
        [
            ("x,y", f"1,{LONG}", {}),
            ("x,y", f"1,{LONG}.5", {}),
            ("x,y", f"{LONG},1", {}),
            ("x,y", f"{LONG}.5,1", {}),
            ("x,y", f"q{LONG},1", {}),
            ("x,y", f"1,q{LONG}", {}),
            ("x,y", f"q{LONG},1", {"types": {"x": "number"}}),
            ("x,y", f"q{LONG},1", {"types": {"x": "boolean"}}),
            ("x,y", f"q{LONG},1", {"encode": {"x": "date"}}),
            ("x,y", f"1,q{LONG}", {"task": "regression"}),
            ("x,y", f"1,q{LONG}", {"types": {"y": "boolean"}}),
            ("x,y", f"1,{LONG},3", {}),
            ("x,y", f"0{LONG},1", {}),
            (f"1,{LONG}", "1,2", {}),
        ],
    )
    def test_it_is_cut_in_every_message(
        self, tmp_path: Path, head: str, cells: str, says: dict[str, Any]
    ) -> None:
        rows = [f"{i},{i * 2}" for i in range(2, 9)]
        message = refused(tmp_path, "\n".join([head, cells, *rows, ""]), **says)
        assert len(message) < 500
        assert "7777" in message

    def test_a_target_of_one_long_text_is_cut(self, tmp_path: Path) -> None:
        message = refused(tmp_path, "x,y\n" + f"1,q{LONG}\n" * 5)
        assert len(message) < 200

    def test_a_text_that_is_cut_is_no_advice(self, tmp_path: Path) -> None:
        rows = "".join(f"{i},{i}\n" for i in range(9))
        message = refused(tmp_path, f"x,y\n{rows}q{LONG},1\n")
        assert "data.missing with its whole text in it" in message


class TestCodes:
    """6: a code is the same however the number is written."""

    @pytest.mark.parametrize("form", FORMATS)
    @pytest.mark.parametrize("last", [None, 3])
    def test_a_gap_does_not_change_the_codes(
        self, tmp_path: Path, form: str, last: int | None
    ) -> None:
        frame = pd.DataFrame({"a": [1, 2, last], "y": [1.0, 2.0, 3.0]})
        made = table(tmp_path, frame, form, encode={"a": "onehot"})
        assert encoded(made.features) == ["1", "2", None if last is None else "3"]
        assert made.columns == (Column(name="a", kind="text", type="number"),)

    @pytest.mark.parametrize(
        "rows",
        ["a\n1\n", "a\n1.0\n", "a\n01\n", 'a\n"1"\n', '{"a": 1}\n', '{"a": 1.0}\n', '{"a": "1"}\n'],
    )
    def test_nor_does_the_way_to_predict(self, tmp_path: Path, rows: str) -> None:
        made = table(tmp_path, "a,y\n1,1\n2,2\n1,3\n", encode={"a": "onehot"})
        assert encoded(predicted(made, rows)) == ["1"]


class TestOtherTypes:
    """7: what is not used may be anything; a date is used by its parts."""

    frame = pd.DataFrame(
        {
            "a": [1.0, 2.0, 3.0],
            "when": pd.to_datetime(
                ["2020-01-31", "1969-12-31T23:59:59.5", "2024-02-29T18:30"], format="ISO8601"
            ),
            "list": [[1], [2, 3], []],
            "y": [1.0, 2.0, 3.0],
        }
    )

    @pytest.mark.parametrize("form", ["parquet", "jsonl"])
    def test_columns_that_are_dropped_may_have_any_type(self, tmp_path: Path, form: str) -> None:
        made = table(tmp_path, self.frame, form, drop=["when", "list"])
        assert columns(made) == {"a": [1, 2, 3]}

    @pytest.mark.parametrize("form", ["parquet", "jsonl"])
    def test_what_is_used_is_refused_by_its_name(self, tmp_path: Path, form: str) -> None:
        says = refused(tmp_path, self.frame.drop(columns="when"), form)
        assert "column 'list'" in says
        assert "data.drop" in says
        says = refused(tmp_path, self.frame, form, drop=["list"])
        assert "column 'when'" in says
        assert "data.encode ({when: date})" in says

    @pytest.mark.parametrize("form", FORMATS)
    def test_a_date_has_the_parts_that_pandas_gives(self, tmp_path: Path, form: str) -> None:
        frame = self.frame.drop(columns="list")
        made = table(tmp_path, frame, form, encode={"when": "date"})
        at = frame["when"].dt
        days = (at.normalize() - pd.Timestamp(0)).dt.days
        wanted = {"year": at.year, "month": at.month, "dayofweek": at.day_of_week, "hour": at.hour}
        for part, values in (wanted | {"days": days}).items():
            assert columns(made)[f"when.{part}"] == values.tolist()

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    def test_of_every_unit_and_zone(self, tmp_path: Path, unit: str) -> None:
        at = pd.to_datetime(
            ["2020-01-01T00:30", "1960-05-05T12:00", "2024-02-29"], format="ISO8601"
        )
        local = at.tz_localize("Europe/Berlin")
        frame = pd.DataFrame(
            {"when": local.astype(f"datetime64[{unit}, Europe/Berlin]"), "y": [1.0, 2, 3]}
        )
        made = table(tmp_path, frame, "parquet", encode={"when": "date"})
        utc = local.tz_convert("UTC")
        assert columns(made)["when.hour"] == utc.hour.tolist()
        assert columns(made)["when.year"] == utc.year.tolist()

    def test_a_moment_beyond_the_years_of_dates_is_refused(self, tmp_path: Path) -> None:
        at = np.array([0, 10**18, 1], dtype="datetime64[ms]")
        frame = pd.DataFrame({"when": pd.Series(at), "y": [1.0, 2.0, 3.0]})
        says = refused(tmp_path, frame, "parquet", encode={"when": "date"})
        assert "row 2, column 'when': '" in says
        assert "is beyond the years 1 to 9999" in says

    def test_a_missing_date_is_a_missing_number(self, tmp_path: Path) -> None:
        rows = "when,y\n2020-01-31,1\n,2\n2021-01-31,3\n"
        assert "row 2, column 'when' has no value" in refused(
            tmp_path, rows, encode={"when": "date"}
        )
        made = table(tmp_path, rows, encode={"when": "date"}, impute="mean")
        assert np.isnan(made.features.numbers[1]).all()

    @pytest.mark.parametrize("cell", ["31.01.2020", "2020-02-30", "1577836800000"])
    def test_what_is_no_date_is_refused_at_the_cell(self, tmp_path: Path, cell: str) -> None:
        rows = f"when,y\n2020-01-31,1\n{cell},2\n2021-01-31,3\n"
        says = refused(tmp_path, rows, encode={"when": "date"})
        assert f"row 2, column 'when': '{cell}' is no date of ISO 8601" in says

    def test_a_file_to_predict_may_have_columns_of_any_type(self, tmp_path: Path) -> None:
        made = table(tmp_path, self.frame[["a", "y"]], "parquet")
        frame = self.frame.assign(z=[{"b": 1}] * 3)
        file = (tmp_path / written(tmp_path, frame, "parquet")).read_bytes()
        assert predicted(made, file).numbers[:, 0].tolist() == [1, 2, 3]
        lines = '{"a": 1, "z": {"b": [1]}}\n'
        assert predicted(made, lines).numbers.tolist() == [[1]]

    def test_dates_are_predicted_from_every_format(self, tmp_path: Path) -> None:
        frame = self.frame.drop(columns=["list", "a"])
        made = table(tmp_path, frame, encode={"when": "date"})
        for form in FORMATS:
            file = (tmp_path / written(tmp_path, frame, form)).read_bytes()
            np.testing.assert_array_equal(predicted(made, file).numbers, made.features.numbers)


class TestTruthValues:
    """8: true is the same value however it is written."""

    frame = pd.DataFrame({"a": [True, False, True], "b": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]})

    @pytest.mark.parametrize("form", FORMATS)
    def test_as_a_feature_it_is_1_and_0(self, tmp_path: Path, form: str) -> None:
        made = table(tmp_path, self.frame, form)
        assert columns(made)["a"] == [1, 0, 1]
        assert made.columns[0] == Column(name="a", kind="number", type="boolean")

    @pytest.mark.parametrize("words", ["True,False", "true,false", "TRUE,FALSE"])
    def test_in_text_it_is_what_pandas_takes_for_it(self, tmp_path: Path, words: str) -> None:
        one, other = words.split(",")
        rows = f"a,y\n{one},1\n{other},2\n{one},3\n"
        assert pd.read_csv(io.StringIO(rows))["a"].tolist() == [True, False, True]
        assert columns(table(tmp_path, rows))["a"] == [1, 0, 1]

    @pytest.mark.parametrize("form", FORMATS)
    def test_as_a_target_it_is_two_classes(self, tmp_path: Path, form: str) -> None:
        made = table(tmp_path, self.frame.rename(columns={"a": "y", "y": "a"}), form)
        assert made.classes == ("False", "True")
        assert made.target.tolist() == [1, 0, 1]

    @pytest.mark.parametrize("form", FORMATS)
    def test_encoded_it_is_two_texts(self, tmp_path: Path, form: str) -> None:
        made = table(tmp_path, self.frame, form, encode={"a": "onehot"})
        assert encoded(made.features) == ["True", "False", "True"]

    @pytest.mark.parametrize("form", FORMATS)
    def test_with_a_gap_it_is_still_one(self, tmp_path: Path, form: str) -> None:
        frame = self.frame.assign(a=[True, None, False])
        made = table(tmp_path, frame, form, impute="most_frequent")
        np.testing.assert_array_equal(columns(made)["a"], [1, np.nan, 0])

    @pytest.mark.parametrize("cell", ["true", "True", "TRUE", "1", "1.0"])
    def test_to_predict_it_is_true_however_it_is_written(self, tmp_path: Path, cell: str) -> None:
        made = table(tmp_path, self.frame)
        assert predicted(made, f"a,b\n{cell},1\n").numbers.tolist() == [[1, 1]]
        if cell not in {"True", "TRUE"}:
            assert predicted(made, f'{{"a": {cell}, "b": 1}}\n').numbers.tolist() == [[1, 1]]

    def test_what_is_no_truth_value_is_refused(self, tmp_path: Path) -> None:
        made = table(tmp_path, self.frame)
        for cell in ("2", "yes"):
            with pytest.raises(InvalidData, match=f"column 'a': '{cell}' is no truth value"):
                predicted(made, f"a,b\n{cell},1\n")

    def test_a_truth_value_is_no_number(self, tmp_path: Path) -> None:
        made = table(tmp_path, self.frame)
        file = (tmp_path / written(tmp_path, self.frame.assign(b=True), "parquet")).read_bytes()
        with pytest.raises(InvalidData, match="column 'b': 'True' is a truth value, not a number"):
            predicted(made, file)

    def test_types_make_truth_values_of_1_and_0(self, tmp_path: Path) -> None:
        made = table(tmp_path, "a,y\n1,1\n0,2\n1,3\n", types={"a": "boolean"})
        assert made.columns[0].type == "boolean"
        says = refused(tmp_path, "a,y\n1,1\n2,2\n1,3\n", types={"a": "boolean"})
        assert "row 2, column 'a': '2' is no truth value" in says


AUTO_MPG = (
    '18.0   8   307.0      130.0      3504.      12.0   70  1\t"chevrolet chevelle malibu"\n'
    '25.0   4   98.00      ?          2046.      19.0   71  1\t"ford pinto"\n'
    '15.0   8   350.0      165.0      3693.      11.5   70  1\t"buick skylark 320"\n'
)
AUTO_MPG_NAMES = ["y", "cylinders", "displacement", "hp", "weight", "acceleration", "year"]
AUTO_MPG_NAMES += ["origin", "car"]
AUTO_MPG_TO_PREDICT = (
    "cylinders,displacement,hp,weight,acceleration,year,origin\n4,98,?,2046,19,71,1\n"
)
IRIS = "5.1,3.5,1.4,0.2,Iris-setosa\n4.9,3.0,1.4,0.2,Iris-setosa\n6.3,3.3,6.0,2.5,Iris-virginica\n"
MUSHROOM = "p,x,s,n\ne,x,s,y\ne,b,s,w\np,x,y,w\n"


class TestUci:
    """9: the layouts of the UCI repository."""

    def test_runs_of_blanks_with_quoted_text_at_the_end(self, tmp_path: Path) -> None:
        names = AUTO_MPG_NAMES
        made = table(tmp_path, AUTO_MPG, "data", columns=names, drop=["car"], impute="mean")
        wanted = pd.read_csv(io.StringIO(AUTO_MPG), sep=r"\s+", names=names, na_values="?")
        np.testing.assert_array_equal(columns(made)["hp"], wanted["hp"])
        np.testing.assert_array_equal(columns(made)["weight"], wanted["weight"])
        assert np.isnan(predicted(made, AUTO_MPG_TO_PREDICT).numbers[0]).tolist() == [
            name == "hp" for name in made.signature.numbers
        ]
        cars = table(
            tmp_path, AUTO_MPG, "data", columns=names, encode={"car": "onehot"}, impute="mean"
        )
        assert encoded(cars.features) == wanted["car"].tolist()

    def test_a_question_mark_among_numbers_has_its_key(self, tmp_path: Path) -> None:
        rows = "1000025,5,?,2\n1002945,5,4,2\n1015425,3,1,4\n"
        says = refused(tmp_path, rows, columns=["id", "a", "b", "y"])
        assert "row 1, column 'b': '?' is text" in says
        made = table(tmp_path, rows, columns=["id", "a", "b", "y"], missing=["", "?"], impute=0)
        assert np.isnan(columns(made)["b"][0])

    @pytest.mark.parametrize("rows", [IRIS, MUSHROOM], ids=["iris", "mushroom"])
    def test_a_first_row_of_data_is_noticed(self, tmp_path: Path, rows: str) -> None:
        says = refused(tmp_path, rows)
        assert "the first row" in says
        assert "data.header: false" in says

    def test_without_a_header_columns_have_numbers(self, tmp_path: Path) -> None:
        made = table(tmp_path, IRIS, header=False, target="column_5")
        assert made.signature.numbers == ("column_1", "column_2", "column_3", "column_4")
        assert made.classes == ("Iris-setosa", "Iris-virginica")
        assert len(made.features) == 3

    @pytest.mark.parametrize(
        "rows",
        [
            "2019,2020,y\n1,2,3\n4,5,6\n7,8,9\n",
            "a,b,y\nx,1,p\ny,2,q\nx,3,p\n",
            "a,y\nx,p\nz,q\nb,p\n",
        ],
    )
    def test_a_header_is_a_header(self, tmp_path: Path, rows: str) -> None:
        names = rows.split("\n", 1)[0].split(",")
        made = table(tmp_path, rows, encode={} if "2019" in names else {"a": "onehot"})
        assert [column.name for column in made.columns] == names[:-1]

    def test_names_of_numbers_alone_need_a_word(self, tmp_path: Path) -> None:
        rows = "0,1,2\n1,2,3\n4,5,6\n7,8,9\n"
        assert "data.header: true" in refused(tmp_path, rows, target="2")
        made = table(tmp_path, rows, target="2", header=True)
        assert made.signature.numbers == ("0", "1")

    def test_rows_to_predict_may_lie_as_the_data_did(self, tmp_path: Path) -> None:
        names = ("a", "b", "c", "d", "y")
        made = table(tmp_path, IRIS, columns=list(names))
        dialect = Dialect(columns=names)
        for rows in ("1,2,3,4\n", "1,2,3,4,x\n", "d,c,b,a\n4,3,2,1\n"):
            assert predicted(made, rows, dialect=dialect).numbers.tolist() == [[1, 2, 3, 4]]

    @pytest.mark.parametrize("form", ["auto", "uci"])
    def test_rows_to_predict_may_lie_between_blanks(self, tmp_path: Path, form: str) -> None:
        names = AUTO_MPG_NAMES
        made = table(
            tmp_path, AUTO_MPG, "data", columns=names, encode={"car": "onehot"}, impute="mean"
        )
        dialect = Dialect(columns=tuple(names))
        wanted = pd.read_csv(io.StringIO(AUTO_MPG), sep=r"\s+", names=names, na_values="?")
        without = "".join(f"{line.split(maxsplit=1)[1]}\n" for line in AUTO_MPG.splitlines())
        headed = f"{' '.join(names)}\n{AUTO_MPG}"
        mixed = wanted[names[::-1]].to_csv(index=False)
        for rows in (AUTO_MPG, without, headed, AUTO_MPG.splitlines()[0]):
            found = predicted(made, rows, dialect=dialect, format=form)
            count = len(found)
            np.testing.assert_array_equal(found.numbers, made.features.numbers[:count])
            assert encoded(found) == wanted["car"].tolist()[:count]
        found = predicted(made, mixed, dialect=dialect)
        np.testing.assert_array_equal(found.numbers, made.features.numbers)

    def test_rows_to_predict_may_lie_between_blanks_under_a_header(self, tmp_path: Path) -> None:
        rows = "a  b y\n1 2 3\n4  5 6\n7 8  9\n"
        made = table(tmp_path, rows, "data", header=True, format="uci")
        dialect = Dialect(header=True)
        for content in (rows, "b a\n2 1\n5 4\n8 7\n", "y,b,a\n0,2,1\n0,5,4\n0,8,7\n"):
            found = predicted(made, content, dialect=dialect)
            np.testing.assert_array_equal(found.numbers, made.features.numbers)

    def test_rows_to_predict_may_lie_over_two_lines(self, tmp_path: Path) -> None:
        rows = "Prose.\n\n 1 2 3\n 4 5\n 6 7 8\n 9 10\n 11 12 13\n 14 15\n"
        names = ("a", "b", "c", "d", "y")
        made = table(tmp_path, rows, "data", columns=names)
        found = predicted(made, rows, dialect=Dialect(columns=names))
        np.testing.assert_array_equal(found.numbers, made.features.numbers)

    def test_rows_to_predict_may_have_the_header_that_other_names_replace(
        self, tmp_path: Path
    ) -> None:
        rows = "n 1,n 1,t\n1,2,3\n4,5,6\n7,8,9\n"
        made = table(tmp_path, rows, header=True, columns=["a", "b", "y"])
        dialect = Dialect(header=True, columns=("a", "b", "y"))
        for content in (rows, "n 1,n 1\n1,2\n4,5\n7,8\n", "b,a\n2,1\n5,4\n8,7\n"):
            again = predicted(made, content, dialect=dialect)
            np.testing.assert_array_equal(again.numbers, made.features.numbers)


class TestEuropean:
    """10: separators, marks and encodings."""

    def test_a_comma_in_the_header_of_a_file_of_semicolons(self, tmp_path: Path) -> None:
        rows = "area, m2;price, EUR;y\n1,5;2,5;3\n2,5;3,5;4\n3,5;1.000,5;5\n"
        made = table(tmp_path, rows, decimal=",", thousands=".")
        wanted = pd.read_csv(io.StringIO(rows), sep=";", decimal=",", thousands=".")
        assert columns(made) == {name: wanted[name].tolist() for name in ("area, m2", "price, EUR")}

    @pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
    def test_the_separator_is_found(self, tmp_path: Path, separator: str) -> None:
        rows = "a,b,y\n1,2,3\n4,5,6\n7,8,9\n".replace(",", separator)
        assert columns(table(tmp_path, rows)) == {"a": [1, 4, 7], "b": [2, 5, 8]}

    def test_any_other_is_given(self, tmp_path: Path) -> None:
        made = table(tmp_path, "a:b:y\n1:2:3\n4:5:6\n7:8:9\n", separator=":")
        assert columns(made) == {"a": [1, 4, 7], "b": [2, 5, 8]}

    @pytest.mark.parametrize(
        ("encoding", "hint"),
        [
            ("utf-16", "data.encoding: utf-16"),
            ("utf-16-le", "utf-16-le"),
            ("latin-1", "data.encoding: latin-1"),
            ("cp1252", "cp1252"),
        ],
    )
    def test_another_encoding_is_named_and_read(
        self, tmp_path: Path, encoding: str, hint: str
    ) -> None:
        rows = "Größe,Ort,y\n1,Zürich,1\n2,Köln,2\n3,Zürich,3\n"
        says = refused(tmp_path, rows.encode(encoding), encode={"Ort": "onehot"})
        assert "is not UTF-8" in says
        assert hint in says
        made = table(tmp_path, rows.encode(encoding), encode={"Ort": "onehot"}, encoding=encoding)
        assert encoded(made.features) == ["Zürich", "Köln", "Zürich"]
        again = predicted(made, rows.encode(encoding), dialect=Dialect(encoding=encoding))
        assert encoded(again) == ["Zürich", "Köln", "Zürich"]

    @pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
    def test_utf_8_is_not_read_as_another(self, tmp_path: Path, encoding: str) -> None:
        rows = "Ort,y\nZürich,1\nKöln,2\nZürich,3\n"
        says = refused(tmp_path, rows, encode={"Ort": "onehot"}, encoding=encoding)
        assert "is UTF-8" in says
        assert "data.encoding: utf-8" in says
        made = table(tmp_path, rows.encode(encoding), encode={"Ort": "onehot"}, encoding=encoding)
        with pytest.raises(InvalidData, match="is UTF-8, and read as"):
            predicted(made, rows, dialect=Dialect(encoding=encoding))
        plain = rows.replace("ü", "u").replace("ö", "o")
        assert encoded(predicted(made, plain, dialect=Dialect(encoding=encoding)))[1] == "Koln"

    def test_rows_to_predict_are_read_in_the_dialect(self, tmp_path: Path) -> None:
        made = table(tmp_path, "a;y\n1,5;1\n2,5;2\n3,5;3\n", decimal=",")
        assert predicted(made, "a;b\n4,5;x\n", dialect=Dialect(decimal=",")).numbers.tolist() == [
            [4.5]
        ]


ROWS = b"a,y\n1,1\n2,2\n3,3\n"


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name.replace("__", "/").replace("_", "."))  # of no time
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


class TestArchives:
    """11: archives of one file are read, and workbooks are named."""

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("rows.csv.gz", gzip.compress(ROWS, mtime=0)),
            ("rows.csv.bz2", bz2.compress(ROWS)),
            ("rows.csv.xz", lzma.compress(ROWS)),
            ("rows.zip", zipped(rows_csv=ROWS)),
            ("rows.zip", zipped(data__rows_csv=ROWS, readme_md=b"hello")),
        ],
    )
    def test_one_file_is_read(self, tmp_path: Path, name: str, content: bytes) -> None:
        made = table(tmp_path, content, source=name)
        assert columns(made) == {"a": [1, 2, 3]}
        assert predicted(made, content).numbers[:, 0].tolist() == [1, 2, 3]

    @pytest.mark.parametrize("compressed", [bz2.compress(ROWS * 9), lzma.compress(ROWS * 9)])
    def test_one_that_is_cut_short_is_said_to_be(self, tmp_path: Path, compressed: bytes) -> None:
        assert "cut short" in refused(tmp_path, compressed[:-10], source="rows.csv.x")

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (zipped(a_csv=ROWS, b_csv=ROWS), "must hold one data file"),
            (zipped(readme_md=ROWS), "must hold one data file"),
            (zipped(rows_csv=ROWS)[:60], "damaged or cut short"),
            (zipped(xl__workbook_xml=b"<x/>"), "is an Excel workbook"),
            (zipped(content_xml=b"<x/>"), "is an OpenDocument spreadsheet"),
            (b"\xd0\xcf\x11\xe0" + b"0" * 99, "is an Excel workbook of before 2007"),
            (b"ARROW1\0\0" + b"0" * 99, "is an Arrow"),
        ],
    )
    def test_others_are_refused_by_what_they_are(
        self, tmp_path: Path, content: bytes, says: str
    ) -> None:
        assert says in refused(tmp_path, content, source="rows.xlsx")

    def test_a_path_that_climbs_out_is_refused(self, tmp_path: Path) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("../rows.csv", ROWS)
        assert "climbs out" in refused(tmp_path, file.getvalue(), source="rows.zip")

    def test_one_that_grows_beyond_the_limit_is_refused(self, tmp_path: Path) -> None:
        content = zipped(rows_csv=ROWS + b"1,1\n" * 100_000)
        (tmp_path / "rows.zip").write_bytes(content)
        small = Settings(home=tmp_path / "home", max_download=10_000)
        with pytest.raises(InvalidData, match="unpacks to more than 40000 bytes"):
            read(Data(source="rows.zip", target="y"), base=tmp_path, settings=small)


class TestAdvice:
    """12: onehot is advised where it is right, and is bounded."""

    def test_names_of_rows_are_dropped(self, tmp_path: Path) -> None:
        rows = "".join(f"name {at},{at}\n" for at in range(100))
        says = refused(tmp_path, f"a,y\n{rows}")
        assert "100 different texts in 100 rows" in says
        assert "data.drop" in says
        assert "{a: onehot}" not in says

    def test_of_several_columns_each_has_its_advice(self, tmp_path: Path) -> None:
        rows = "".join(f"name {at},{'fm'[at % 2]},{'xyz'[at % 3]},{at}\n" for at in range(100))
        says = refused(tmp_path, f"name,sex,port,y\n{rows}")
        assert "data.encode ({sex: onehot, port: onehot})" in says
        assert "and 'name' in data.drop" in says

    def test_too_many_texts_are_refused_with_the_bound(self, tmp_path: Path) -> None:
        rows = "".join(f"t{at},{at}\n" for at in range(2001))
        says = refused(tmp_path, f"a,y\n{rows}", encode={"a": "onehot"})
        assert "2001 different texts" in says
        assert "data.encoded: 2001" in says
        made = table(tmp_path, f"a,y\n{rows}", encode={"a": "onehot"}, encoded=2001)
        assert len(made.features.categories[0]) == 2001


# ---- any table --------------------------------------------------------------------------------

_NUMBERS = st.integers(-(10**9), 10**9).map(lambda thousandths: thousandths / 1000)
_TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")),
    min_size=1,
    max_size=8,
)


def _is_text(text: str) -> bool:
    """Whether pandas' CSV reader takes it for a text, as well."""
    try:
        float(text)
    except ValueError:
        return text.lower() not in {"true", "false"} and text == text.strip()
    return False


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(4, 12))
    some = {"min_size": rows, "max_size": rows}
    words = draw(
        st.lists(_TEXTS.filter(_is_text).map("t".__add__), min_size=2, max_size=4, unique=True)
    )
    when = st.datetimes(
        pd.Timestamp("1900-01-01").to_pydatetime(), pd.Timestamp("2200-01-01").to_pydatetime()
    )
    return pd.DataFrame(
        {
            "number": draw(st.lists(_NUMBERS, **some)),
            "whole": draw(st.lists(st.integers(-(2**50), 2**50), **some)),
            "gap": pd.Series(
                draw(st.lists(st.one_of(st.none(), st.integers(0, 9)), **some)), dtype="Int64"
            ),
            "truth": draw(st.lists(st.booleans(), **some)),
            "code": draw(st.lists(st.integers(1, 5), **some)),
            "text": draw(st.lists(st.one_of(st.none(), st.sampled_from(words)), **some)),
            "when": pd.to_datetime(
                [str(one) for one in draw(st.lists(when, **some))], format="ISO8601"
            ).astype("datetime64[us]"),
            "y": [float(at) for at in range(rows)],
        }
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(frame=frames())
def test_a_table_is_the_same_table_in_every_format(tmp_path: Path, frame: pd.DataFrame) -> None:
    encode = {"code": "onehot", "text": "onehot", "when": "date"}
    drop = [name for name in ("gap", "text") if frame[name].isna().all()]
    says: dict[str, Any] = {
        "encode": {name: how for name, how in encode.items() if name not in drop},
        "drop": drop,
        "impute": "mean",
    }
    made = {form: table(tmp_path, frame, form, **says) for form in FORMATS}
    assert len({one.fingerprint for one in made.values()}) == 1
    for form in FORMATS:
        file = (tmp_path / written(tmp_path, frame, form)).read_bytes()
        for one in made.values():
            again = predicted(one, file)
            np.testing.assert_array_equal(again.numbers, one.features.numbers)
            for at in range(again.text.shape[1]):
                assert encoded(again, at) == encoded(one.features, at)


_CELLS = st.sampled_from(
    ["1", "2.5", "", "NA", "True", "007", "1,5", "x", "2020-01-31", "é", "?", '"q"', "1e400", "-0"]
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.lists(_CELLS, min_size=2, max_size=2), min_size=3, max_size=6),
    odd=st.binary(max_size=3),
    separator=st.sampled_from([",", ";", "\t"]),
    form=st.sampled_from(["csv", "data", "jsonl", "parquet"]),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
)
def test_any_file_is_read_or_refused_in_one_line(  # noqa: PLR0917 - each is drawn
    tmp_path: Path,
    rows: list[list[str]],
    odd: bytes,
    separator: str,
    form: str,
    encoding: str,
) -> None:
    text = "\n".join(separator.join(row) for row in [["a", "y"], *rows])
    assert "\n" not in outcome(tmp_path, text.encode(encoding) + odd, form)


def outcome(folder: Path, content: bytes, form: str) -> str:
    """Why it is refused, or what it is known by."""
    try:
        return table(folder, content, form).fingerprint
    except (InvalidData, InvalidSpec) as error:
        return str(error)


class TestNothingIsTakenForSomethingElse:
    """What was read as something else without a word."""

    prices = "a;y\n" + "".join(f"{n};{n},5\n" for n in range(30))

    @pytest.mark.parametrize(
        "rows",
        ["p,q\nu,x\nv,z\nu,x\n", "p,q\n1,x\n2,z\n3,x\n", "p,q\nu,1\nv,2\nw,1\n"],
        ids=["texts", "numbers and texts", "texts and numbers"],
    )
    def test_a_header_under_other_names_is_no_row(self, tmp_path: Path, rows: str) -> None:
        only = {"columns": ["a", "y"], "encode": {"a": "onehot"}}
        says = refused(tmp_path, rows, **only)
        assert "the first row (p, q) looks like names, and data.columns gives others" in says
        assert len(table(tmp_path, rows, header=True, **only).features) == 3
        made = table(tmp_path, "u,x\nv,z\nu,x\n", **only)
        with pytest.raises(InvalidData, match=r"looks like names.*; write 'a', 'y' there"):
            predicted(made, rows, dialect=Dialect(columns=("a", "y")))

    @pytest.mark.parametrize("rows", ["p,q\nu,x\nv,z\n", "p,q\nu,x\np,z\n", "p,1\nu,2\nv,3\n"])
    def test_a_first_row_is_a_row_where_the_spec_or_the_others_show_it(
        self, tmp_path: Path, rows: str
    ) -> None:
        says = {"header": False} if "p,z" not in rows and "p,1" not in rows else {}
        made = table(tmp_path, rows, columns=["a", "y"], encode={"a": "onehot"}, **says)
        assert len(made.features) == 3

    def test_numbers_are_not_predicted_of_what_is_to_be_text(self, tmp_path: Path) -> None:
        rows = "a,y\n1,1\n2,2\n3,5\n"
        says = refused(tmp_path, rows, types={"y": "text"}, task="regression")
        assert says.startswith("data.types: 'y' is the target, and data.task: regression")
        assert table(tmp_path, rows, types={"y": "text"}).classes == ("1", "2", "5")

    def test_amounts_with_a_decimal_comma_are_no_classes(self, tmp_path: Path) -> None:
        says = refused(tmp_path, self.prices)
        assert "data.target: row 1, column 'y': '0,5' is text, not a number" in says
        assert "data.decimal: ','" in says
        made = table(tmp_path, self.prices, decimal=",")
        assert made.classes is None
        assert made.target.tolist() == [n + 0.5 for n in range(30)]
        assert table(tmp_path, self.prices, task="classification").classes is not None

    @pytest.mark.parametrize(
        ("cells", "key", "reads"),
        [
            ([f"{n},5" for n in range(30)], "data.decimal: ','", {"decimal": ","}),
            ([f"{n % 3},5" for n in range(30)], "data.decimal: ','", {"decimal": ","}),
            ([f"1,{n:03}.5" for n in range(30)], "data.thousands: ','", {"thousands": ","}),
            (
                [f"1.{n:03},5" for n in range(30)],
                "data.thousands: '.' with data.decimal: ','",
                {"thousands": ".", "decimal": ","},
            ),
        ],
        ids=["decimal", "few", "thousands", "both"],
    )
    def test_a_column_of_numbers_in_another_dialect_is_no_text(
        self, tmp_path: Path, cells: list[str], key: str, reads: dict[str, str]
    ) -> None:
        text = "a;y\n" + "".join(f"{cell};{n}\n" for n, cell in enumerate(cells))
        says = refused(tmp_path, text)
        assert f"{key} reads it as a number" in says or f"{key} (or" in says
        assert "onehot" not in says
        frame = pd.read_csv(io.StringIO(text), sep=";", **({"decimal": "."} | reads))
        assert columns(table(tmp_path, text, **reads)) == {"a": frame["a"].tolist()}

    @pytest.mark.parametrize("blank", ["\u00a0", "\u202f", "\u2019"])
    def test_a_mark_that_cannot_be_seen_is_named_as_yaml_has_it(
        self, tmp_path: Path, blank: str
    ) -> None:
        text = f"a,y\n1{blank}137,1\n20,2\n30,3\n"
        says = refused(tmp_path, text)
        (key,) = re.findall(r'data\.(thousands: "[^"]*")', says)
        made = table(tmp_path, text, **YAML(typ="safe").load(key))
        assert columns(made) == {"a": [1137, 20, 30]}

    @pytest.mark.parametrize("form", FORMATS)
    def test_dates_are_no_classes(self, tmp_path: Path, form: str) -> None:
        frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "y": pd.date_range("2020-01-31", periods=3)})
        assert "which cannot be predicted" in refused(tmp_path, frame, form)

    @pytest.mark.parametrize("cells", ["yes,no,yes", "1,2,1"])
    def test_a_target_of_truth_values_holds_no_others(self, tmp_path: Path, cells: str) -> None:
        text = "a,y\n" + "".join(f"{n},{cell}\n" for n, cell in enumerate(cells.split(",")))
        says = refused(tmp_path, text, types={"y": "boolean"})
        assert "is no truth value (true, false, 1 or 0)" in says

    @pytest.mark.parametrize(
        ("cells", "says"),
        [
            (
                "True,true,0,False",
                (
                    "row 3, column 'y': '0' is 0 or 1, and other cells are true or false; "
                    "data.types ({y: boolean}) takes both for truth values; or write them alike"
                ),
            ),
            (
                "1,0,0,true,1",
                (
                    "row 4, column 'y': 'true' is true or false, and other cells are 0 or 1; "
                    "data.types ({y: boolean}) takes both for truth values; or write them alike"
                ),
            ),
            (
                "True,False,true,2",
                (
                    "row 4, column 'y': '2' is no truth value (true, false, 1 or 0), and other "
                    "cells are; correct the cell, or say data.task: classification if all of "
                    "them are classes"
                ),
            ),
        ],
        ids=["a digit", "a word", "another number"],
    )
    def test_a_target_of_truth_values_that_are_not_alike_is_refused_at_the_odd_cell(
        self, tmp_path: Path, cells: str, says: str
    ) -> None:
        text = "a,y\n" + "".join(f"{n},{cell}\n" for n, cell in enumerate(cells.split(",")))
        assert refused(tmp_path, text) == f"data.target: {says}"

    def test_truth_values_that_are_not_alike_are_read_as_is_advised(self, tmp_path: Path) -> None:
        made = table(tmp_path, "a,y\n1,True\n2,true\n3,0\n", types={"y": "boolean"})
        assert made.classes == ("False", "True")

    def test_two_texts_are_no_truth_values_and_are_used_as_texts(self, tmp_path: Path) -> None:
        text = "a,y\n" + "".join(f"{('ja', 'nein')[n % 2]},{n}\n" for n in range(8))
        says = refused(tmp_path, text, types={"a": "boolean"})
        assert says == (
            "data.source: row 1, column 'a': 'ja' is no truth value (true, false, 1 or 0); its "
            "cells are texts: leave 'a' out of data.types; name the column in data.encode "
            "({a: onehot}) to use it as text, or in data.drop"
        )
        assert table(tmp_path, text, encode={"a": "onehot"}).columns[0].kind == "text"

    def test_as_a_target_they_are_classes_without_a_type(self, tmp_path: Path) -> None:
        text = "a,y\n" + "".join(f"{n},{('ja', 'nein')[n % 2]}\n" for n in range(8))
        says = refused(tmp_path, text, types={"y": "boolean"})
        assert says.endswith("leave 'y' out of data.types: its texts are classes then")
        assert table(tmp_path, text).classes == ("ja", "nein")

    def test_an_odd_cell_among_truth_values_is_to_be_corrected(self, tmp_path: Path) -> None:
        text = "a,y\n" + "".join(f"{cell},{n}\n" for n, cell in enumerate(["true"] * 5 + ["ja"]))
        says = refused(tmp_path, text, types={"a": "boolean"})
        assert says.endswith("correct the cell, or name the column in data.drop")

    @pytest.mark.parametrize("cell", ["31.01.2020", "01/31/2020"])
    def test_dates_in_another_form_are_to_be_written_as_iso_8601_does(
        self, tmp_path: Path, cell: str
    ) -> None:
        says = refused(tmp_path, f"a,y\n{cell},1\n{cell},2\n{cell},3\n", encode={"a": "date"})
        assert says == (
            f"data.source: row 1, column 'a': '{cell}' is no date of ISO 8601 (2020-01-31, "
            "2020-01-31T18:30); write the dates of the column in this form, or name it in data.drop"
        )

    def test_nan_is_missing_only_where_the_spec_says_so(self, tmp_path: Path) -> None:
        text = "a,y\nnan,1\n2,2\n-,3\n4,4\n"
        says = refused(tmp_path, text, missing=["-"], impute="mean")
        assert "row 1, column 'a': 'nan' is text, not a number; data.missing" in says
        made = table(tmp_path, text, missing=["-", "nan"], impute="mean")
        np.testing.assert_array_equal(made.features.numbers[:, 0], [np.nan, 2, np.nan, 4])
        lines = '{"a": 1, "y": 1}\n{"a": "nan", "y": 2}\n{"a": 3, "y": 3}\n'
        assert "'nan' is text, not a number" in refused(tmp_path, lines, "jsonl", impute="mean")

    def test_a_number_that_is_missing_is_one_of_the_dialect(self, tmp_path: Path) -> None:
        text = "a;y\n-9,90;1\n-9,9;2\n1,5;3\n2;4\n"
        made = table(tmp_path, text, decimal=",", missing=["-9,9", "1.5"], impute="mean")
        np.testing.assert_array_equal(made.features.numbers[:, 0], [np.nan, np.nan, 1.5, 2])

    def test_a_decimal_beyond_what_is_kept_is_refused(self, tmp_path: Path) -> None:
        amounts = [decimal.Decimal("12345678901234567.89"), decimal.Decimal(2), decimal.Decimal(3)]
        frame = pd.DataFrame({"a": amounts, "y": [1.0, 2.0, 3.0]})
        says = refused(tmp_path, frame, "parquet")
        assert "'12345678901234567.89' is a decimal beyond 2**53" in says
        assert encoded(table(tmp_path, frame, "parquet", encode={"a": "onehot"}).features) == [
            "12345678901234567.89", "2", "3",
        ]  # fmt: skip

    def test_a_number_too_large_for_classes_is_one_as_text(self, tmp_path: Path) -> None:
        text = "a,y\n1,9007199254740993\n2,9007199254740992\n3,9007199254740993\n"
        says = refused(tmp_path, text, task="classification")
        assert "data.types ({y: text})" in says
        made = table(tmp_path, text, types={"y": "text"})
        assert made.classes == ("9007199254740992", "9007199254740993")

    @pytest.mark.parametrize("cells", [[[1], [2], [1]], [{"x": 1}, {"x": 2}, {"x": 1}]])
    @pytest.mark.parametrize("form", ["parquet", "jsonl"])
    def test_lists_are_no_classes_whatever_their_type_is_said_to_be(
        self, tmp_path: Path, form: str, cells: list[Any]
    ) -> None:
        frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "y": cells})
        says = refused(tmp_path, frame, form, types={"y": "text"})
        assert "column 'y'" in says
        assert "cannot be predicted" in says

    @pytest.mark.parametrize(
        "cells",
        [[1.0, 0.0, None], [decimal.Decimal(1), decimal.Decimal(0), None], [True, False, None]],
    )
    def test_a_truth_value_used_as_text_is_one_text_in_rows_to_predict(
        self, tmp_path: Path, cells: list[Any]
    ) -> None:
        made = table(tmp_path, "a,y\nTrue,1\nFalse,2\nTrue,3\n", encode={"a": "onehot"})
        rows = tmp_path / "rows.parquet"
        pd.DataFrame({"a": cells}).to_parquet(rows)
        assert encoded(read_rows(rows, made.signature)) == ["True", "False", None]

    def test_dates_may_all_be_missing_in_rows_to_predict(self, tmp_path: Path) -> None:
        text = "a,y\n2020-01-31,1\n2020-02-01,2\n2020-02-01,3\n"
        made = table(tmp_path, text, encode={"a": "date"})
        rows = tmp_path / "rows.parquet"
        pd.DataFrame({"a": [None, None]}).to_parquet(rows)
        assert np.isnan(read_rows(rows, made.signature).numbers).all()


class TestFollowedAdvice:
    """What a refusal advises is tried: it reads the file, or is another thing that is true."""

    @pytest.mark.parametrize(
        ("text", "advice", "tried", "read"),
        [
            (
                "a,y\nTrue,1\n0,2\n1,3\n",
                "data.types ({a: boolean})",
                {"types": {"a": "boolean"}},
                [1, 0, 1],
            ),
            ("p,q\n1,2\n2,3\n3,4\n", "data.header: true", {"header": True}, [1, 2, 3]),
            (
                "a,,y\n1,2,3\n1,3,4\n2,3,5\n",
                "data.columns with data.header: true",
                {"columns": ("a", "b", "y"), "header": True, "drop": ("b",)},
                [1, 1, 2],
            ),
            ("1,5;2,5\n2,5;3,5\n1,5;4,5\n", "data.decimal: ','", {"decimal": ","}, [1.5, 2.5, 1.5]),
        ],
        ids=["truths", "header", "no name", "decimal"],
    )
    def test_it_reads_the_file(
        self, tmp_path: Path, text: str, advice: str, tried: dict[str, Any], read: list[float]
    ) -> None:
        says: dict[str, Any] = {} if "y\n" in text else {"columns": ("a", "y")}
        assert advice in refused(tmp_path, text, **says)
        assert columns(table(tmp_path, text, **(says | tried))) == {"a": read}

    def test_a_first_row_with_a_number_is_no_header(self, tmp_path: Path) -> None:
        says = refused(tmp_path, "n/k,1\n2,3\n3,4\n", columns=("a", "y"))
        assert "data.missing with 'n/k'" in says

    def test_dates_in_another_form_are_neither_text_nor_names(self, tmp_path: Path) -> None:
        rows = "".join(f"{day:02}/01/2020,{day}\n" for day in range(1, 31))
        says = refused(tmp_path, f"a,y\n{rows}")
        assert "write dates as ISO 8601 does (2020-01-31)" in says
        assert "onehot" not in says

    @pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
    def test_json_in_another_encoding_is_to_be_saved(self, tmp_path: Path, encoding: str) -> None:
        content = '{"a": "é", "y": 1}\n'.encode(encoding)
        assert "JSON is UTF-8: save it so" in refused(tmp_path, content, "jsonl")
        made = table(tmp_path, "a,y\n1,1\n2,2\n3,3\n")
        with pytest.raises(InvalidData, match="JSON is UTF-8: save it so"):
            predicted(made, b'{"a": 1, "b": "\xe9"}')

    def test_rows_in_another_encoding_are_to_be_saved_as_the_training_data(
        self, tmp_path: Path
    ) -> None:
        made = table(tmp_path, "a,y\n1,1\n2,2\n3,3\n")
        with pytest.raises(InvalidData, match="save it as UTF-8, as the training data was"):
            predicted(made, "a,b\n1,é\n".encode("latin-1"))

    def test_utf_32_is_named(self, tmp_path: Path) -> None:
        content = "a,y\n1,1\n2,2\n3,3\n".encode("utf-32")
        assert "data.encoding: utf-32" in refused(tmp_path, content)
        assert columns(table(tmp_path, content, encoding="utf-32")) == {"a": [1, 2, 3]}

    def test_a_mark_of_utf_8_says_more_than_the_spec(self, tmp_path: Path) -> None:
        content = "ä,y\n1,1\n2,2\n3,3\n".encode("utf-8-sig")
        assert columns(table(tmp_path, content, encoding="latin-1")) == {"ä": [1, 2, 3]}

    @pytest.mark.parametrize("first", ["NA,3.5,u", "?,3.5,u"])
    def test_a_missing_value_is_no_name(self, tmp_path: Path, first: str) -> None:
        rows = f"{first}\n" + "1.0,2.5,v\n3,4.5,u\n" * 3
        says = refused(tmp_path, rows, target="u", missing=["?", "NA"])
        assert "looks like data, not like names" in says

    @pytest.mark.parametrize(
        "line", ['{"a": "\\ud800", "y": 1}', '{"a": 1, "b": ' + "[" * 100_000 + "}"]
    )
    def test_json_that_no_text_can_hold_is_refused_in_a_line(
        self, tmp_path: Path, line: str
    ) -> None:
        assert "line 1" in refused(tmp_path, line + "\n", "jsonl")
        made = table(tmp_path, "a,y\n1,1\n2,2\n3,3\n")
        with pytest.raises(InvalidData, match="line 1"):
            predicted(made, line)


class TestBlanksBetween:
    """The keys of files without separators."""

    @pytest.mark.parametrize("end", ["", '  "ford pinto"'])
    def test_a_first_record_may_miss_a_number(self, tmp_path: Path, end: str) -> None:
        text = f"? 2.0{end}\n1 3.0{end}\n2 4{end}\n"
        names = ["a", "y", "name"][: 3 if end else 2]
        says: dict[str, Any] = {"columns": names, "drop": names[2:], "impute": "mean"}
        made = table(tmp_path, text, source="r.data", **says)
        frame = pd.read_csv(io.StringIO(text), sep=r"\s+", names=names, na_values="?")
        np.testing.assert_array_equal(made.features.numbers[:, 0], frame["a"])

    def test_a_header_is_read_where_the_spec_has_one(self, tmp_path: Path) -> None:
        text = "a   b  y\n1   2  3\n2   3  4\n3   4  5\n"
        says: dict[str, Any] = {"source": "r.data", "format": "uci"}
        frame = pd.read_csv(io.StringIO(text), sep=r"\s+")
        made = table(tmp_path, text, header=True, **says)
        assert columns(made) == frame[["a", "b"]].to_dict("list")
        assert made.target.tolist() == frame["y"].tolist()

    def test_columns_have_names_where_there_is_no_header(self, tmp_path: Path) -> None:
        says: dict[str, Any] = {"source": "r.data", "target": "column_2"}
        assert "data.header: false" in refused(tmp_path, "1 2\n2 3\n3 4\n", **says)
        made = table(tmp_path, "1 2\n2 3\n3 4\n", header=False, **says)
        assert columns(made) == {"column_1": [1, 2, 3]}
