"""From columns of cells to a table, and what a table is known by."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.data.assemble import assemble, check_missing
from fairlead.data.delimited import parse
from fairlead.data.dialect import Dialect
from fairlead.data.features import Features
from fairlead.data.fingerprint import row_hashes
from fairlead.data.frame import Frame
from fairlead.data.read import difference
from fairlead.data.table import Table
from fairlead.errors import InvalidData, InvalidSpec
from fairlead.records import Column
from fairlead.spec.document import Data

ROWS = "a,b,city,y\n1,10,Rome,0.5\n2,20,Oslo,1.5\n3,,,2.5\n4,40,Rome,3.5\n"


def data(**says: Any) -> Data:
    return Data(**({"source": "rows.csv", "target": "y"} | says))


def table(text: str = ROWS, **says: Any) -> Table:
    frame = parse(text, Dialect(separator=","))
    wanted = data(**says)
    made = assemble(frame, wanted)
    check_missing(made, wanted)
    return made


def read(text: str = ROWS, **says: Any) -> Table:
    return table(text, **({"encode": {"city": "onehot"}, "impute": "mean"} | says))


def features(
    numbers: Any, text: Any = None, categories: tuple[tuple[str, ...], ...] = ()
) -> Features:
    codes = np.empty((len(numbers), 0), np.int32) if text is None else np.array(text, np.int32)
    return Features(numbers=np.array(numbers, float), text=codes, categories=categories)


class TestColumns:
    def test_numbers_and_texts_stand_apart_in_the_order_of_the_file(self) -> None:
        made = read()
        assert made.columns == (
            Column(name="a", kind="number"),
            Column(name="b", kind="number"),
            Column(name="city", kind="text"),
        )
        np.testing.assert_array_equal(made.features.numbers[:, 0], [1, 2, 3, 4])
        np.testing.assert_array_equal(made.features.numbers[:, 1], [10, 20, np.nan, 40])
        assert made.features.categories == (("Oslo", "Rome"),)
        assert made.features.text[:, 0].tolist() == [1, 0, -1, 1]
        assert made.features.text.dtype == np.int32

    def test_a_dropped_column_may_hold_anything(self) -> None:
        assert read(drop=["city"], encode={}).signature.numbers == ("a", "b")

    def test_a_text_in_a_number_column_is_named_with_row_column_and_advice(self) -> None:
        with pytest.raises(
            InvalidData,
            match=r"row 1, column 'city': 'Rome' is text.*data\.encode \(\{city: onehot\}\)",
        ):
            read(encode={})

    def test_every_column_of_texts_is_named_at_once(self) -> None:
        with pytest.raises(InvalidData) as caught:
            table("a,b,c,d,y\nx,1,x,z,1\n2,2,y,2,2\ny,3,x,x,3\n")
        assert str(caught.value) == (
            "data.source: row 1, column 'a': 'x' is text, not a number (so has 'c', 'd'); name the "
            "columns in data.encode ({a: onehot, c: onehot, d: onehot}) to use them as text, or "
            "in data.drop"
        )

    def test_text_and_missing_numbers_are_said_at_once(self) -> None:
        with pytest.raises(InvalidData) as caught:
            table("city,b,c,y\nRome,1,,1\nOslo,,3,2\n,1,2,3\n")
        assert str(caught.value) == (
            "data.source: row 1, column 'city': 'Rome' is text, not a number; name the column in "
            "data.encode ({city: onehot}) to use it as text, or in data.drop; and row 1, column "
            "'c' has no value (1 more cell is missing, in 'b', 'c'); say what stands for it in "
            "data.impute (mean, median, most_frequent or a number), or name the column in data.drop"
        )

    def test_text_is_said_alone_where_something_stands_for_the_missing(self) -> None:
        with pytest.raises(InvalidData) as caught:
            table("city,b,y\nRome,1,1\nOslo,,3\n,1,2\n", impute="mean")
        assert "has no value" not in str(caught.value)

    def test_the_first_text_of_a_number_column_is_the_one_that_is_named(self) -> None:
        with pytest.raises(InvalidData, match="row 3, column 'a': 'x' is text"):
            table("a,y\n1,1\n,2\nx,3\nz,4\n", impute="mean")

    def test_a_missing_number_is_named_where_nothing_stands_for_it(self) -> None:
        with pytest.raises(InvalidData, match=r"row 3, column 'b' has no value;.*data\.impute"):
            read(impute=None)

    def test_further_missing_numbers_are_counted(self) -> None:
        with pytest.raises(InvalidData, match=r"row 1, column 'a' has no value \(2 more"):
            table("a,b,y\n,1,1\n1,,2\n,3,3\n")

    def test_every_column_with_missing_numbers_is_named_at_once(self) -> None:
        with pytest.raises(InvalidData, match=r"\(2 more cells are missing, in 'a', 'c'\)"):
            table("a,b,c,y\n,1,,1\n1,1,1,2\n,3,3,3\n")

    def test_a_column_without_any_value_is_refused_even_if_imputed(self) -> None:
        with pytest.raises(InvalidData, match="column 'a' has no value in any row"):
            table("a,b,y\n,1,1\n,2,2\nNA,3,3\n", impute="mean")

    def test_a_number_column_may_be_encoded_as_it_is_written(self) -> None:
        made = table("zip,y\n02134,1\n2134,2\n02134,3\n", encode={"zip": "onehot"})
        assert made.features.categories == (("02134", "2134"),)

    @pytest.mark.parametrize("cell", ["9007199254740993", "-99999999999999999999"])
    def test_a_whole_number_that_a_float_cannot_hold_is_refused(self, cell: str) -> None:
        with pytest.raises(InvalidData, match=rf"row 2, column 'a': '{cell}' is a whole number"):
            table(f"a,y\n1,1\n{cell},2\n3,3\n")

    @pytest.mark.parametrize("cell", ["9007199254740992", "1e30", "-.5", "+5.", "1E-3"])
    def test_what_a_float_can_hold_is_a_number(self, cell: str) -> None:
        assert table(f"a,y\n1,1\n{cell},2\n3,3\n").features.numbers[1, 0] == float(cell)

    @pytest.mark.parametrize("cell", ["1e39", "-1e300"])
    def test_what_no_exported_model_can_take_is_refused(self, cell: str) -> None:
        with pytest.raises(InvalidData, match=r"row 2, column 'a': .* is beyond 3.4e38"):
            table(f"a,y\n1,1\n{cell},2\n3,3\n")

    @pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e999"])
    def test_the_infinite_is_refused(self, cell: str) -> None:
        with pytest.raises(InvalidData, match=r"row 2, column 'a': .* is not a finite number"):
            table(f"a,y\n1,1\n{cell},2\n3,3\n")

    @pytest.mark.parametrize("cell", ["", " ", "NA", "NaN", "nan", "null", "NULL"])
    def test_what_counts_as_missing(self, cell: str) -> None:
        made = table(f"a,y\n1,1\n{cell},2\n3,3\n", impute=0.0)
        assert np.isnan(made.features.numbers[1, 0])

    @pytest.mark.parametrize("cell", ["1_0", "0x10", "1,5", "1d5", "\u0661"])
    def test_what_only_looks_like_a_number_is_text(self, cell: str) -> None:
        with pytest.raises(InvalidData, match="row 2, column 'a'"):
            table(f'a,y\n1,1\n"{cell}",2\n3,3\n')

    @given(st.lists(st.floats(-3e38, 3e38), min_size=3, max_size=20))
    def test_every_float_is_read_as_it_was_written(self, values: list[float]) -> None:
        rows = "".join(f"{value!r},{row}\n" for row, value in enumerate(values))
        made = table(f"a,y\n{rows}")
        np.testing.assert_array_equal(made.features.numbers[:, 0], values)

    @pytest.mark.parametrize("key", ["drop", "encode"])
    def test_an_unknown_column_is_answered_with_the_nearest(self, key: str) -> None:
        named = ["City"] if key == "drop" else {"City": "onehot"}
        with pytest.raises(InvalidSpec, match=rf"data\.{key}: .*'City'; did you mean 'city'\?"):
            table(**{key: named})

    def test_an_unknown_target_is_answered_with_the_nearest(self) -> None:
        with pytest.raises(InvalidSpec, match=r"data\.target: .*'Y'; did you mean 'y'\?"):
            read(target="Y")

    def test_an_unknown_target_like_none_is_answered_with_the_columns(self) -> None:
        with pytest.raises(InvalidSpec, match=r"data\.target: .*'price': a, b, city, y"):
            read(target="price")

    def test_a_target_must_be_named(self) -> None:
        with pytest.raises(InvalidSpec, match=r"data\.target: name the column to predict: a, b"):
            read(target=None)

    @pytest.mark.parametrize(("key", "named"), [("drop", ("y",)), ("encode", {"y": "onehot"})])
    def test_the_target_of_the_catalog_is_neither_dropped_nor_encoded(
        self, key: str, named: Any
    ) -> None:
        wanted = Data(source="boston", **{key: named}).model_copy(update={"target": "y"})
        with pytest.raises(InvalidSpec, match=rf"data\.{key}: 'y' is the target"):
            assemble(parse("a,y\n1,1\n2,2\n3,3\n", Dialect(separator=",")), wanted)

    def test_a_column_must_be_left(self) -> None:
        with pytest.raises(InvalidSpec, match=r"data\.drop: no column is left"):
            table("a,y\n1,1\n2,2\n3,3\n", drop=["a"])

    @pytest.mark.parametrize("text", ["a,y\n", "a,y\n1,1\n2,2\n"])
    def test_too_few_rows_are_refused(self, text: str) -> None:
        with pytest.raises(InvalidData, match=r"rows; at least 3 are needed"):
            table(text)


class TestTyped:
    def frame(self, **columns: Any) -> Frame:
        arrays = {name: pa.array(cells) for name, cells in columns.items()}
        return Frame(names=tuple(arrays), cells=tuple(arrays.values()))

    def test_numbers_without_a_fraction_are_encoded_without_one(self) -> None:
        frame = self.frame(a=[1.0, 2.5, None], b=[True, False, None], y=[1, 2, 3])
        made = assemble(frame, data(encode={"a": "onehot", "b": "onehot"}))
        assert made.features.categories == (("1", "2.5"), ("False", "True"))
        assert made.features.text.tolist() == [[0, 1], [1, 0], [-1, -1]]

    def test_truth_values_are_numbers_as_features_and_classes_as_target(self) -> None:
        frame = self.frame(a=[True, False, True], y=[True, False, True])
        made = assemble(frame, data())
        assert made.features.numbers[:, 0].tolist() == [1, 0, 1]
        assert made.classes == ("False", "True")

    def test_a_whole_number_that_a_float_cannot_hold_is_refused(self) -> None:
        with pytest.raises(InvalidData, match="row 3, column 'a': '9007199254740993'"):
            assemble(self.frame(a=[1, 2, 2**53 + 1], y=[1, 2, 3]), data())


class TestTargets:
    def test_a_number_target_is_regression(self) -> None:
        made = read()
        assert made.classes is None
        np.testing.assert_array_equal(made.target, [0.5, 1.5, 2.5, 3.5])

    def test_a_text_target_is_classification(self) -> None:
        made = table("a,y\n1,no\n2,yes\n3,no\n")
        assert made.classes == ("no", "yes")
        assert made.target.tolist() == [0, 1, 0]
        assert made.target.dtype == np.int64

    def test_a_number_target_is_classes_where_the_spec_says_so(self) -> None:
        made = table("a,y\n1,5\n2,3\n3,0.5\n", task="classification")
        assert made.classes == (0.5, 3, 5)
        assert json.dumps(made.classes) == "[0.5, 3, 5]"
        assert made.target.tolist() == [2, 1, 0]

    def test_a_text_target_is_no_regression(self) -> None:
        with pytest.raises(InvalidData, match=r"data\.target: row 2, column 'y': 'x' is text"):
            table("a,y\n1,5\n2,x\n3,5\n", task="regression")

    @pytest.mark.parametrize("task", ["auto", "classification"])
    def test_a_missing_target_is_named(self, task: str) -> None:
        with pytest.raises(InvalidData, match="row 2 has no value in the target column 'y'"):
            table("a,y\n1,5\n2,\n3,4\n", task=task)

    @pytest.mark.parametrize(
        ("cells", "task"), [("55", "auto"), ("55", "classification"), ("xx", "auto")]
    )
    def test_a_constant_target_is_refused(self, cells: str, task: str) -> None:
        one, other = cells
        with pytest.raises(InvalidData, match=rf"column 'y' is '{one}' in every row"):
            table(f"a,y\n1,{one}\n2,{other}\n3,{one}\n", task=task)


class TestFingerprints:
    def test_the_same_values_written_otherwise_are_the_same_table(self) -> None:
        one = table("a,b,y\n1,-0,0.50\n2e0,,1\n3,5,2\n", impute="mean")
        other = table('"a","b",y\n1.0,0,.5\n2,NaN,1.0\n+3,5.000,2\n', impute="median")
        assert one.fingerprint == other.fingerprint

    @pytest.mark.parametrize(
        "text",
        [
            "a,b,city,y\n1,10,Rome,0.5\n2,20,Oslo,1.5\n3,,,2.5\n4,40,Rome,3.25\n",
            "a,b,city,y\n1,10,Rome,0.5\n2,20,Bern,1.5\n3,,,2.5\n4,40,Rome,3.5\n",
            "a,b,city,y\n1,10,Rome,0.5\n2,20,Oslo,1.5\n3,30,,2.5\n4,40,Rome,3.5\n",
            "a,c,city,y\n1,10,Rome,0.5\n2,20,Oslo,1.5\n3,,,2.5\n4,40,Rome,3.5\n",
            "a,b,city,y\n2,20,Oslo,1.5\n1,10,Rome,0.5\n3,,,2.5\n4,40,Rome,3.5\n",
        ],
        ids=["target", "text", "missing", "name", "order"],
    )
    def test_other_values_are_another_table(self, text: str) -> None:
        assert read(text).fingerprint != read().fingerprint

    def test_classes_are_not_amounts(self) -> None:
        rows = "a,y\n1,0\n2,1\n3,0\n"
        assert table(rows).fingerprint != table(rows, task="classification").fingerprint

    def test_a_difference_is_said_in_words(self) -> None:
        one = table("a,b,y\n1,2,3\n4,5,6\n7,8,9\n", impute="mean")
        for text, says in [
            ("a,y\n1,3\n4,6\n7,9\n", "it has 1 feature columns, not 2"),
            ("a,c,y\n1,2,3\n4,5,6\n7,8,9\n", "its column 2 is 'c', not 'b'"),
            ("a,b,y\n1,2,3\n4,5,6\n7,8,9\n1,1,1\n", "it has 4 rows, not 3"),
            ("a,b,y\n1,2,3\n4,,6\n7,8,9\n", "column 'b' is missing in 1 rows, not in 0"),
            ("a,b,y\n1,2,3\n4,5,6\n7,0,9\n", "row 3, column 'b' is 0.0, not 8.0"),
            ("a,b,y\n1,2,3\n4,5,6\n7,8,0\n", "row 3, column 'y' is 0.0, not 9.0"),
        ]:
            assert difference(table(text, impute="mean"), one) == says


class TestRowHashes:
    def test_rows_that_say_the_same_have_the_same_hash(self) -> None:
        other_nan = np.frombuffer(b"\1\0\0\0\0\0\xf8\xff", "<f8")[0]
        hashes = row_hashes(features([[0.0, np.nan], [-0.0, other_nan], [0.0, 1.0]]))
        assert hashes.dtype == np.uint64
        assert hashes[0] == hashes[1] != hashes[2]

    def test_a_text_counts_by_its_value_not_by_its_code(self) -> None:
        small = row_hashes(features([[1.0], [1.0]], [[0], [-1]], (("Rome",),)))
        large = row_hashes(features([[1.0], [1.0]], [[1], [-1]], (("Oslo", "Rome"),)))
        assert (small == large).all()
        assert small[0] != small[1]

    def test_values_that_change_places_are_another_row(self) -> None:
        hashes = row_hashes(features([[1.0, 2.0], [2.0, 1.0]]))
        assert hashes[0] != hashes[1]

    def test_hashes_never_change(self) -> None:
        made = row_hashes(features([[1.5, np.nan]], [[0]], (("Rome",),)))
        assert made.tolist() == [7779869895980428483]

    def test_no_rows_have_no_hashes(self) -> None:
        assert row_hashes(features(np.empty((0, 2)))).tolist() == []


def test_the_catalog_and_records_load_no_library_of_arrays() -> None:
    code = (
        "import sys, fairlead.data.catalog, fairlead.data.table, fairlead.data.download;"
        "print(sorted({'numpy', 'pyarrow', 'sklearn', 'urllib3', 'pandas'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
