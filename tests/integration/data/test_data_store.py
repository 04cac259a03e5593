"""Tables that are kept and mapped again, and rows to predict."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairlead.artifacts import Artifacts
from fairlead.data import store
from fairlead.data.features import Features
from fairlead.data.read import read
from fairlead.data.rows import read_rows
from fairlead.data.table import Table
from fairlead.errors import Corrupt, InvalidData
from fairlead.records import Column, Signature
from fairlead.settings import Settings
from fairlead.spec.document import Data

SIGNATURE = Signature(
    columns=(
        Column(name="rooms", kind="number"),
        Column(name="city", kind="text"),
        Column(name="age", kind="number"),
    ),
    target="price",
)


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def mixed(folder: Path, **says: Any) -> Table:
    (folder / "rows.csv").write_text("a,city,y\n1,Rome,no\n,,yes\n3,Oslo,no\n")
    wanted = {"target": "y", "impute": "mean", "encode": {"city": "onehot"}} | says
    data = Data(source="rows.csv", **wanted)
    return read(data, base=folder, settings=Settings(home=folder / "home"))


def rows_of(text: str | bytes, **options: Any) -> Features:
    content = text.encode() if isinstance(text, str) else text
    return read_rows(io.BytesIO(content), SIGNATURE, **options)


def said(features: Features) -> list[list[Any]]:
    texts = [*features.categories[0], None]
    pairs = zip(features.numbers.tolist(), features.text[:, 0].tolist(), strict=True)
    return [[*map(str, numbers), texts[code]] for numbers, code in pairs]


class TestStore:
    @pytest.mark.parametrize("says", [{}, {"encode": {}, "drop": ("city",)}, {"drop": ("a",)}])
    def test_a_table_comes_back_equal_and_mapped_read_only(
        self, says: dict[str, Any], artifacts: Artifacts, tmp_path: Path
    ) -> None:
        table = mixed(tmp_path, **says)
        kept = store.load(store.save(table, artifacts), artifacts)
        for one, other in (
            (kept.features.numbers, table.features.numbers),
            (kept.features.text, table.features.text),
            (kept.target, table.target),
        ):
            np.testing.assert_array_equal(one, other)
            assert (one.dtype, one.shape) == (other.dtype, other.shape)
            assert not one.flags.writeable
            assert isinstance(one, np.memmap)
        assert kept.features.categories == table.features.categories
        assert (kept.columns, kept.classes) == (table.columns, table.classes)
        assert (kept.target_name, kept.fingerprint) == (table.target_name, table.fingerprint)

    def test_the_same_table_is_kept_once(self, artifacts: Artifacts, tmp_path: Path) -> None:
        digests = {store.save(mixed(tmp_path), artifacts) for _ in range(2)}
        assert len(digests) == 1

    def test_all_parts_of_a_table_are_named(self, artifacts: Artifacts, tmp_path: Path) -> None:
        digest = store.save(mixed(tmp_path), artifacts)
        parts = store.parts(digest, artifacts)
        assert parts[0] == digest
        assert len(set(parts)) == 4
        assert all(hashlib.sha256(artifacts.get(part)).hexdigest() == part for part in parts)

    def test_a_flipped_bit_is_noticed(self, artifacts: Artifacts, tmp_path: Path) -> None:
        digest = store.save(mixed(tmp_path), artifacts)
        path = artifacts.path(store.parts(digest, artifacts)[1])
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.chmod(0o644)
        path.write_bytes(content)
        with pytest.raises(Corrupt):
            store.load(digest, artifacts)


class TestRows:
    expected = (["3.0", "10.0", "Rome"], ["4.5", "nan", "Oslo"], ["5.0", "2.0", None])

    def parquet(self) -> bytes:
        file = io.BytesIO()
        columns = {"age": [10, None, 2], "city": ["Rome", "Oslo", None], "rooms": [3.0, 4.5, 5.0]}
        pq.write_table(pa.table(columns), file)
        return file.getvalue()

    def test_columns_are_found_by_name_in_every_format(self) -> None:
        text = "age,extra,city,rooms\n10,x,Rome,3\n,y,Oslo,4.5\n2,z,,5\n"
        rows = [
            {"age": 10, "city": "Rome", "rooms": 3},
            {"city": "Oslo", "age": None, "rooms": 4.5, "extra": True},
            {"age": 2, "city": None, "rooms": "5"},
        ]
        lines = "\n".join(map(json.dumps, rows))
        for content in (text, text.replace(",", ";"), lines, self.parquet()):
            assert said(rows_of(content)) == list(self.expected)
        assert said(rows_of(text.replace(",", "\t"), format="tsv")) == list(self.expected)

    @pytest.mark.parametrize("name", ["rows.tsv", "rows.csv", "rows.jsonl", "rows.parquet"])
    def test_a_files_format_is_told(self, name: str, tmp_path: Path) -> None:
        contents = {
            "rows.csv": b"\xef\xbb\xbfrooms,city,age\n1,a,2\n",
            "rows.tsv": b"rooms\tcity\tage\n1\ta\t2\n",
            "rows.jsonl": b'{"rooms": 1, "city": "a", "age": 2}\n\n',
            "rows.parquet": self.parquet(),
        }
        (tmp_path / name).write_bytes(contents[name])
        assert read_rows(tmp_path / name, SIGNATURE).numbers[0].tolist()[0] in {1, 3}

    def test_a_number_used_as_text_stays_as_it_was_written(self) -> None:
        lines = '{"rooms": 1, "city": 2.50, "age": 2}\n{"rooms": 1, "city": true, "age": NaN}\n'
        assert rows_of(lines).categories == (("2.50", "True"),)

    @pytest.mark.parametrize("odd", ["\u2028", "\u0085", "\x1c"])
    def test_only_a_line_feed_ends_a_line_of_json(self, odd: str) -> None:
        lines = json.dumps({"rooms": 1, "city": f"a{odd}b", "age": 2}, ensure_ascii=odd == "\x1c")
        assert rows_of(lines).categories == ((f"a{odd}b",),)

    def test_no_rows_are_no_rows(self) -> None:
        assert len(rows_of("rooms,city,age\n")) == 0

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ("rooms\n1\n", "the model needs the columns 'city', 'age', which are not there"),
            ("rooms,city,age\n1,a,2\n1,a,old\n", "row 2, column 'age': 'old' is text"),
            ("rooms,city,age\n1,a,inf\n", "row 1, column 'age': 'inf' is not a finite number"),
            ("rooms,city,age\n1,a\n", "row 1 has 2 cells, and the first has 3"),
            ('{"rooms": 1}\n{"rooms"\n', "line 2 is not JSON"),
            (
                '{"rooms": [1], "city": "a", "age": 3}\n',
                "row 1, column 'rooms': \"['1']\" is an array or an object",
            ),
            ('{"rooms": 1}\n[1]\n', "line 2 is not a JSON object"),
            (b"\xff\xfe", "is not UTF-8"),
            ("", "the file is empty"),
        ],
    )
    def test_rows_that_cannot_be_predicted_are_refused_in_one_line(
        self, content: str | bytes, says: str
    ) -> None:
        with pytest.raises(InvalidData) as caught:
            rows_of(content)
        assert says in str(caught.value)
        assert "data.source" not in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_row_without_a_column_that_others_have_is_a_missing_value(self) -> None:
        lines = '{"rooms": 1, "city": "a", "age": 2}\n{"rooms": 1, "city": "a"}\n'
        assert np.isnan(rows_of(lines).numbers[1, 1])

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidData, match=r"none\.csv: cannot be read: No such file"):
            read_rows(tmp_path / "none.csv", SIGNATURE)
