"""Tables of public bug reports on other tools, as docs/compatibility.md says they are read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet
import pytest

from fairlead.data.read import read
from fairlead.data.rows import read_rows
from fairlead.data.table import Table
from fairlead.errors import Invalid, InvalidData
from fairlead.settings import Settings
from fairlead.spec.document import Data

TEXT = {"b": "onehot"}


def table(folder: Path, content: str | bytes, name: str = "rows.csv", **says: Any) -> Table:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    data = Data(**({"source": name, "target": "y"} | says))
    return read(data, base=folder, settings=Settings(home=folder / "home"))


def refused(folder: Path, content: str | bytes, name: str = "rows.csv", **says: Any) -> str:
    with pytest.raises(Invalid) as caught:
        table(folder, content, name, **says)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def texts(table: Table) -> list[str]:
    (known,) = table.features.categories
    return [known[code] for code in table.features.text[:, 0]]


class TestQuotes:
    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    @pytest.mark.parametrize("rest", ['"red', '"red\n4,5,blue', '"red\r\n4,5,x', '"', '"a ""b""'])
    def test_a_last_quote_that_nothing_closes_is_named(
        self, tmp_path: Path, rest: str, end: str
    ) -> None:
        rows = f"a,y,b\n1,1,red\n2,2,blue\n3,3,{rest}{end}"
        with pytest.raises(pd.errors.ParserError, match="EOF inside string starting at row 3"):
            pd.read_csv(io.StringIO(rows))
        says = refused(tmp_path, rows, encode=TEXT)
        assert "row 3, column 'b': nothing closes the quote before" in says

    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    @pytest.mark.parametrize(
        "cell", ['"red"', '"r,d"', '"two\nlines"', '"ends\n"', '""""', '"a ""b"""', 're"d', '"re"d']
    )
    def test_one_that_is_closed_is_read(self, tmp_path: Path, cell: str, end: str) -> None:
        rows = f"a,y,b\n1,1,red\n2,2,blue\n3,3,{cell}{end}"
        read_by_pandas = pd.read_csv(io.StringIO(rows))["b"].str.strip().tolist()
        assert texts(table(tmp_path, rows, encode=TEXT)) == read_by_pandas

    def test_within_a_row_it_is_what_the_ragged_row_may_come_of(self, tmp_path: Path) -> None:
        says = refused(tmp_path, 'a,b,y\n1,x,1\n2,"x,2\n3,x,3\n')
        assert "row 2 has 2 cells" in says
        assert "a quote that opens a cell there may not be closed" in says

    def test_closed_by_the_next_quote_the_text_is_noted(self, tmp_path: Path) -> None:
        rows = 'a,b,y\n1,x,1\n2,"x,2\n3,x,3\n4,"z,4\n5,x,5\n6,x,6\n'
        assert len(pd.read_csv(io.StringIO(rows))) == 4
        (note,) = table(tmp_path, rows, encode=TEXT).notes
        assert note.startswith("row 2, column 'b': 'x,2\\n3,x,3\\n4,z' holds the end of a line")
        assert table(tmp_path, rows.replace('"', ""), encode=TEXT).notes == ()

    def test_in_a_class_it_is_noted_as_well(self, tmp_path: Path) -> None:
        rows = 'a,y\n1,x\n2,"x\n3,z\n4,"\n5,z\n6,x\n'
        (note,) = table(tmp_path, rows).notes
        assert note.startswith("row 2, column 'y': 'x\\n3,z\\n4,' holds the end of a line")

    def test_in_the_header_it_is_the_first_line(self, tmp_path: Path) -> None:
        assert "the first line: nothing closes the quote" in refused(tmp_path, 'y,"a\n1,2\n2,3\n')

    def test_in_rows_to_predict_it_is_named_as_well(self, tmp_path: Path) -> None:
        known = table(tmp_path, "a,y,b\n1,1,x\n2,2,z\n3,3,x\n", encode=TEXT).signature
        with pytest.raises(InvalidData, match="row 2, column 'b': nothing closes the quote"):
            read_rows(io.BytesIO(b'a,b\n1,x\n2,"x\n3,z\n'), known)


class TestLines:
    def test_a_separator_at_the_end_of_rows_alone_is_said_to_be_one(self, tmp_path: Path) -> None:
        rows = "a,b,y\n1,4,7,\n2,5,8,\n3,6,9,\n"
        assert pd.read_csv(io.StringIO(rows))["a"].tolist() == [4, 5, 6]  # shifted by one
        says = refused(tmp_path, rows)
        assert "row 1 has 4 cells, and the first has 3" in says
        assert "a separator at the end of a line" in says

    def test_with_one_at_the_end_of_the_first_line_it_is_read(self, tmp_path: Path) -> None:
        made = table(tmp_path, "a,b,y,\n1,4,7,\n2,5,8,\n3,6,9,\n")
        assert made.features.numbers.T.tolist() == [[1, 2, 3], [4, 5, 6]]
        assert made.target.tolist() == [7, 8, 9]

    @pytest.mark.parametrize("first", ["# made by; a tool", "sep=;", "Report;2024"])
    def test_lines_above_the_names_are_asked_to_be_left_out(
        self, tmp_path: Path, first: str
    ) -> None:
        says = refused(tmp_path, f"{first}\na;b;y\n1;4;7\n2;5;8\n3;6;9\n")
        assert "if lines stand above those of the table, leave them out" in says

    def test_a_file_of_one_column_asks_for_its_separator(self, tmp_path: Path) -> None:
        rows = "a~b~y\n1~4~7\n2~5~8\n3~6~9\n"
        assert "it has one, 'a~b~y'; data.separator says" in refused(tmp_path, rows)
        made = table(tmp_path, rows, separator="~")
        assert made.target.tolist() == [7, 8, 9]

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_every_line_end_ends_a_line(self, tmp_path: Path, end: str) -> None:
        made = table(tmp_path, end.join(["a,y", "1,7", "2,8", "3,9", ""]))
        assert made.target.tolist() == [7, 8, 9]

    def test_a_mark_of_utf_8_is_no_part_of_the_first_name(self, tmp_path: Path) -> None:
        made = table(tmp_path, b'\xef\xbb\xbf"a","y"\n1,7\n2,8\n3,9\n')
        assert made.signature.numbers == ("a",)


class TestOtherFiles:
    @pytest.mark.parametrize("name", ["FEA1", "ORC", "ORCHARD", "%PDF_share"])
    def test_a_column_may_be_named_as_another_format_begins(
        self, tmp_path: Path, name: str
    ) -> None:
        made = table(tmp_path, f"{name},y\n1,7\n2,8\n3,9\n")
        assert made.signature.numbers == (name,)

    def test_feather_and_orc_are_named(self, tmp_path: Path) -> None:
        frame = pa.table({"a": [1, 2, 3], "y": [1, 2, 3]})
        (tmp_path / "one").write_bytes(b"FEA1" + bytes(100) + b"FEA1")
        pyarrow.feather.write_feather(frame, tmp_path / "two")
        pyarrow.orc.write_table(frame, tmp_path / "three")
        for name, says in (("one", "a Feather"), ("two", "an Arrow"), ("three", "an ORC")):
            assert f"is {says}" in refused(tmp_path, (tmp_path / name).read_bytes())

    def test_a_pointer_of_git_lfs_is_named(self, tmp_path: Path) -> None:
        text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
        for name in ("rows.csv", "rows.parquet", "rows.jsonl"):
            assert "is a pointer of Git LFS" in refused(tmp_path, text, name)

    @pytest.mark.parametrize(
        "page", ["<!DOCTYPE html>\n<p>gone", "\n<html><body>404</body></html>"]
    )
    def test_a_web_page_is_named(self, tmp_path: Path, page: str) -> None:
        assert "is a web page (HTML), not a table" in refused(tmp_path, page)

    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
    def test_utf_16_without_a_mark_is_named_and_read(self, tmp_path: Path, encoding: str) -> None:
        rows = "a,y\n1,7\n2,8\n3,9\n".encode(encoding)
        assert "it looks like UTF-16: say data.encoding" in refused(tmp_path, rows)
        assert table(tmp_path, rows, encoding=encoding).target.tolist() == [7, 8, 9]


class TestNumbers:
    def test_a_whole_number_of_a_text_file_that_is_too_large_may_be_text(
        self, tmp_path: Path
    ) -> None:
        rows = "id,b,y\n1582218195625938945,1,1\n,2,3\n1582218195625938945,2,4\n"
        read_by_pandas = pd.read_csv(io.StringIO(rows))["id"].tolist()
        assert int(read_by_pandas[0]) != 1582218195625938945
        says = refused(tmp_path, rows)
        assert "row 1, column 'id': '1582218195625938945' is a whole number beyond 2**53" in says
        assert "data.encode ({id: onehot}) to use it as text" in says
        made = table(tmp_path, rows, encode={"id": "onehot"})
        assert made.features.categories == (("1582218195625938945",),)

    def test_a_number_of_the_last_rows_is_read_as_the_first_are(self, tmp_path: Path) -> None:
        rows = "a,y\n" + "".join(f"{at},{at}\n" for at in range(20_000)) + "2.5,3\n"
        assert table(tmp_path, rows).features.numbers[-1].tolist() == [2.5]

    def test_the_double_that_is_nearest_is_read(self, tmp_path: Path) -> None:
        cells = [f"0.{at}1234567890123456789" for at in range(1, 200)]
        made = table(tmp_path, "a,y\n" + "".join(f"{c},{i}\n" for i, c in enumerate(cells)))
        assert made.features.numbers[:, 0].tolist() == [float(cell) for cell in cells]

    @pytest.mark.parametrize(
        "cell", ["1_000", "0x1F", "12%", "(12)", "\u221212", "\u0661\u0662", "inf", "1e400"]
    )
    def test_what_only_python_or_a_person_takes_for_a_number_is_named(
        self, tmp_path: Path, cell: str
    ) -> None:
        says = refused(tmp_path, f"a,y\n1,1\n2,2\n3,3\n{cell},4\n")
        assert f"row 4, column 'a': '{cell}' is " in says

    def test_text_of_digits_and_an_e_is_a_number_unless_types_say_text(
        self, tmp_path: Path
    ) -> None:
        rows = "b,y\n1E1,1\n10,2\n2E1,3\n"
        assert pd.read_csv(io.StringIO(rows))["b"].tolist() == [10, 10, 20]
        assert texts(table(tmp_path, rows, encode=TEXT)) == ["10", "10", "20"]
        kept = table(tmp_path, rows, encode=TEXT, types={"b": "text"})
        assert texts(kept) == ["1E1", "10", "2E1"]

    def test_ids_that_look_like_numbers_beyond_any_are_not_one_text(self, tmp_path: Path) -> None:
        rows = "b,y\n39e1804,1\n12e999,2\n1e-400,3\n0e5,4\n"
        assert pd.read_csv(io.StringIO(rows))["b"].tolist() == [np.inf, np.inf, 0, 0]
        made = table(tmp_path, rows, encode=TEXT)
        assert texts(made) == ["39e1804", "12e999", "1e-400", "0"]
        asked = read_rows(io.BytesIO(b"b\n39e1804\n"), made.signature)
        assert asked.categories == (("39e1804",),)

    @pytest.mark.parametrize("digits", [400, 5000])
    def test_a_number_of_many_digits_is_named(self, tmp_path: Path, digits: int) -> None:
        says = refused(tmp_path, f"a,y\n1,1\n2,2\n{'9' * digits},3\n")
        assert "row 3, column 'a': '999" in says
        assert "a whole number beyond 2**53" in says


class TestJson:
    def test_a_key_that_is_there_twice_is_refused(self, tmp_path: Path) -> None:
        rows = '{"a": 1, "y": 1}\n{"a": 2, "a": 3, "y": 2}\n{"a": 3, "y": 3}\n'
        says = refused(tmp_path, rows, "rows.jsonl")
        assert "line 2 is not JSON: an object has the key 'a' 2 times" in says

    @pytest.mark.parametrize("orient", ["records", "columns", "index", "split", "table"])
    @pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows"])
    def test_other_forms_of_pandas_ask_for_an_object_a_line(
        self, tmp_path: Path, orient: Any, name: str
    ) -> None:
        frame = pd.DataFrame({"a": [1, 2, 3], "y": [1, 2, 3]})
        says = refused(tmp_path, frame.to_json(orient=orient), name)
        assert "write one object a line (to_json(orient='records', lines=True))" in says

    def test_digits_between_quotes_are_text(self, tmp_path: Path) -> None:
        rows = "".join(f'{{"b": "{b}", "y": {at}}}\n' for at, b in enumerate(["01", "1", "3_4"]))
        changed = pd.read_json(io.StringIO(rows), lines=True)["b"].tolist()
        assert changed != ["01", "1", "3_4"]
        assert texts(table(tmp_path, rows, "rows.jsonl", encode=TEXT)) == ["01", "1", "3_4"]


class TestParquet:
    def test_categories_are_their_values_whatever_their_order(self, tmp_path: Path) -> None:
        frame = pd.DataFrame({"b": ["lo", "hi", "mid"], "y": [1.0, 2.0, 3.0]})
        kind = pd.CategoricalDtype(["never", "lo", "mid", "hi"], ordered=True)
        frame.astype({"b": kind}).to_parquet(tmp_path / "rows.parquet")
        made = table(
            tmp_path, (tmp_path / "rows.parquet").read_bytes(), "rows.parquet", encode=TEXT
        )
        assert texts(made) == ["lo", "hi", "mid"]
        assert made.features.categories == (("hi", "lo", "mid"),)

    @pytest.mark.parametrize(
        ("index", "way_on"),
        [
            (pd.Index([7, 8, 9], name="k"), "data.types ({k: number})"),
            (pd.Index(["p", "q", "p"], name="k"), "data.encode ({k: onehot})"),
            (pd.date_range("2020-01-01", periods=3, name="k"), "data.encode ({k: date})"),
        ],
        ids=["numbers", "texts", "dates"],
    )
    def test_an_index_that_is_left_out_has_a_way_in(
        self, tmp_path: Path, index: pd.Index, way_on: str
    ) -> None:
        frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]}, index=index)
        frame.to_parquet(tmp_path / "rows.parquet")
        content = (tmp_path / "rows.parquet").read_bytes()
        (note,) = table(tmp_path, content, "rows.parquet").notes
        assert way_on in note
        key, _, said = way_on.removeprefix("data.").partition(" ")
        says: dict[str, Any] = {key: dict([said.strip("({})").split(": ")])}
        used = table(tmp_path, content, "rows.parquet", **says)
        assert used.columns[0].name == "k" or used.columns[-1].name == "k"

    def test_a_number_of_16_bits_is_a_number(self, tmp_path: Path) -> None:
        file = io.BytesIO()
        columns = {"a": pa.array(np.array([1, 2, 3], np.float16)), "y": pa.array([1.0, 2.0, 3.0])}
        pa.parquet.write_table(pa.table(columns), file)
        assert table(tmp_path, file.getvalue(), "rows.parquet").features.numbers.tolist() == [
            [1],
            [2],
            [3],
        ]
