"""A folder of Parquet files: the table of the same rows in one file, or what is at fault."""

from __future__ import annotations

import datetime as dt
import io
import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.artifacts import Artifacts
from fairlead.data import fingerprint, parquet_folder, split, store
from fairlead.data.read import read
from fairlead.data.table import Table
from fairlead.errors import InvalidData, InvalidSpec
from fairlead.settings import Settings
from fairlead.spec.document import Data, Holdout

ENCODED = {"city": "onehot", "day": "date", "floor": "onehot"}

PLACES = ("0_0", "0_1", "1_0", "1_1")
TASKS: list[dict[str, Any]] = [
    {},
    {"target": "grade", "drop": ("price",)},
    {"target": "sold", "drop": ("price", "grade")},
    {"target": "rooms", "task": "classification", "drop": ("price", "grade")},
    {"drop": ("city", "day", "floor", "grade"), "encode": {}},
]


def rows_of(count: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=int(d)) for d in range(count)]
    cities = rng.choice(["Rome", "Oslo", " Bonn", ""], count).tolist()
    return pa.table(
        {
            "area": rng.normal(size=count),
            "rooms": pa.array(rng.integers(1, 9, count), pa.int16()),
            "city": [None if at % 7 == 0 else city for at, city in enumerate(cities)],
            "day": pa.array(days, pa.date32()),
            "floor": rng.integers(0, 4, count).astype(float),
            "sold": pa.array(rng.integers(0, 2, count) > 0),
            "price": rng.normal(size=count),
            "grade": rng.choice(["a", "b", "c"], count),
        }
    )


def parted(rows: pa.Table, folder: Path, cuts: Sequence[int], group: int = 4) -> Path:
    folder.mkdir()
    ends = [0, *sorted(cuts), len(rows)]
    for at, (start, end) in enumerate(itertools.pairwise(ends)):
        pq.write_table(rows[start:end], folder / f"part-{at:03}.parquet", row_group_size=group)
    return folder


def table(source: Path, base: Path, memory: int = 4096, **says: Any) -> Table:
    data = Data(source=str(source), **({"target": "price", "drop": ("grade",)} | says))
    home = Settings(home=base / "home", data_memory=memory)
    return read(data, base=base, settings=home)


def given_by(source: Path | str, base: Path, memory: int, **says: Any) -> Table | str:
    """The table, or why there is none."""
    try:
        return table(base / source, base, memory, **says)
    except InvalidData as error:
        return str(error)


def kept(one: Table, artifacts: Artifacts) -> str:
    return store.save(one, artifacts)


def same(one: Table, other: Table) -> None:
    assert one.fingerprint == other.fingerprint
    assert (one.columns, one.classes, one.missing) == (other.columns, other.classes, other.missing)
    assert one.features.categories == other.features.categories
    for of_one, of_other in (
        (one.features.numbers, other.features.numbers),
        (one.features.text, other.features.text),
        (one.target, other.target),
        (one.row_hashes, fingerprint.row_hashes(other.features)),
    ):
        assert of_one.dtype == of_other.dtype
        assert of_one.tobytes() == of_other.tobytes()


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


class TestTheSameTable:
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        count=st.integers(3, 60),
        cuts=st.lists(st.integers(0, 60), max_size=4),
        group=st.integers(1, 20),
        memory=st.sampled_from([1, 3000, 1 << 20]),
        task=st.sampled_from(TASKS),
    )
    def test_however_the_rows_are_parted(
        self,
        tmp_path: Path,
        *,
        count: int,
        cuts: list[int],
        group: int,
        memory: int,
        task: dict[str, Any],
    ) -> None:
        shutil.rmtree(tmp_path / "parts", ignore_errors=True)
        rows = rows_of(count)
        parts = parted(rows, tmp_path / "parts", [min(cut, count) for cut in cuts], group)
        pq.write_table(rows, tmp_path / "whole.parquet")
        says = {"encode": ENCODED, "impute": "mean"} | task
        one, whole = (given_by(p, tmp_path, memory, **says) for p in (parts, "whole.parquet"))
        if isinstance(one, Table) and isinstance(whole, Table):
            same(one, whole)
        else:  # such as that of three rows two are of one city and one of none
            assert one == whole

    def test_its_artefacts_are_the_same_bytes(
        self, tmp_path: Path, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "LARGE", 1000)
        rows = rows_of(500)
        parts = parted(rows, tmp_path / "parts", [200, 300])
        pq.write_table(rows, tmp_path / "whole.parquet")
        says = {"encode": ENCODED, "impute": "mean"}
        one, whole = (table(p, tmp_path, **says) for p in (parts, tmp_path / "whole.parquet"))
        assert kept(one, artifacts) == kept(whole, Artifacts(tmp_path / "others"))
        loaded = store.load(kept(one, artifacts), artifacts)
        same(loaded, whole)
        assert loaded.hashes is not None

    def test_the_holdout_is_the_same_rows(self, tmp_path: Path) -> None:
        rows = rows_of(300)
        parts = parted(rows, tmp_path / "parts", [100])
        pq.write_table(rows, tmp_path / "whole.parquet")
        says = {"encode": ENCODED, "impute": "mean"}
        by = Holdout(share=0.2, by="hash")
        one, whole = (
            split.holdout(table(p, tmp_path, **says), by, seed=3)
            for p in (parts, tmp_path / "whole.parquet")
        )
        assert all(np.array_equal(a, b) for a, b in zip(one, whole, strict=True))

    def test_a_dictionary_in_one_file_is_text_in_another(self, tmp_path: Path) -> None:
        rows = rows_of(40)
        parts = parted(rows, tmp_path / "parts", [20])
        coded = rows[20:].set_column(2, "city", rows["city"][20:].dictionary_encode())
        pq.write_table(coded, parts / "part-001.parquet")
        pq.write_table(rows, tmp_path / "whole.parquet")
        says = {"encode": ENCODED, "impute": "mean"}
        same(table(parts, tmp_path, **says), table(tmp_path / "whole.parquet", tmp_path, **says))

    def test_files_in_order_of_their_names_and_hidden_ones_not(self, tmp_path: Path) -> None:
        rows = rows_of(30)
        parts = parted(rows, tmp_path / "parts", [10])
        for name in ("_SUCCESS", "._SUCCESS.crc", ".part-000.parquet.crc", "_metadata"):
            (parts / name).write_bytes(b"")
        says = {"encode": ENCODED, "impute": "mean"}
        whole = table(parts, tmp_path, **says)
        assert whole.target.tolist() == rows["price"].to_pylist()


class TestScratch:
    def test_it_goes_with_the_table(self, tmp_path: Path) -> None:
        parts = parted(rows_of(30), tmp_path / "parts", [10])
        one = table(parts, tmp_path, encode=ENCODED, impute="mean")
        folder = tmp_path / "home" / "reading"
        assert len(list(folder.iterdir())) == 1
        assert isinstance(one.features.numbers, np.memmap)
        del one
        assert list(folder.iterdir()) == []

    def test_it_goes_where_the_data_is_refused(self, tmp_path: Path) -> None:
        parts = parted(rows_of(30), tmp_path / "parts", [10])
        with pytest.raises(InvalidData):
            table(parts, tmp_path, encode=ENCODED | {"sold": "onehot"}, encoded=1, impute="mean")
        assert list((tmp_path / "home" / "reading").iterdir()) == []

    def test_what_a_killed_process_left_goes_with_the_next(self, tmp_path: Path) -> None:
        left = tmp_path / "home" / "reading" / "0123456789abcdef"
        left.mkdir(parents=True)
        (left / "numbers").write_bytes(b"\0" * 100)
        parts = parted(rows_of(30), tmp_path / "parts", [10])
        one = table(parts, tmp_path, encode=ENCODED, impute="mean")
        assert not left.exists()
        assert len(one.features) == 30

    def test_the_store_takes_the_very_files(self, tmp_path: Path, artifacts: Artifacts) -> None:
        parts = parted(rows_of(30), tmp_path / "parts", [10])
        one = table(parts, tmp_path, encode=ENCODED, impute="mean")
        assert isinstance(one.features.numbers, np.memmap)
        assert one.features.numbers.filename is not None
        scratch = Path(one.features.numbers.filename)
        kept(one, artifacts)
        assert artifacts.path(scratch.name).stat().st_ino == scratch.stat().st_ino


def spoilt(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + 64] = b"\xff" * 64
    path.write_bytes(content)


class TestFaults:
    """Each names the file, and the row group or the row where there is one."""

    @pytest.fixture
    def parts(self, tmp_path: Path) -> Path:
        return parted(rows_of(40), tmp_path / "parts", [20])

    def refused(self, parts: Path, **says: Any) -> str:
        wanted = {"encode": ENCODED, "impute": "mean"} | says
        with pytest.raises((InvalidData, InvalidSpec)) as error:
            table(parts, parts.parent, **wanted)
        return str(error.value)

    def rewritten(self, parts: Path, change: Any) -> None:
        path = parts / "part-001.parquet"
        pq.write_table(change(pq.read_table(path)), path, row_group_size=4)

    def test_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "none").mkdir()
        (tmp_path / "none" / "_SUCCESS").touch()
        assert "holds no Parquet file" in self.refused(tmp_path / "none")

    def test_a_folder_within(self, parts: Path) -> None:
        (parts / "year=2020").mkdir()
        assert "holds the folder 'year=2020'" in self.refused(parts)

    def test_a_file_of_another_kind(self, parts: Path) -> None:
        (parts / "notes.txt").touch()
        said = self.refused(parts)
        assert "holds 'notes.txt', which does not end with .parquet" in said
        assert said.endswith("name another file itself")

    def test_a_format_or_a_digest(self, parts: Path) -> None:
        assert "data.format: 'csv' is of a file" in self.refused(parts, format="csv")
        assert "data.digest: it is of a file" in self.refused(parts, digest="sha256:" + "0" * 64)

    def test_a_column_less(self, parts: Path) -> None:
        self.rewritten(parts, lambda rows: rows.drop_columns(["rooms"]))
        said = self.refused(parts)
        assert "'part-001.parquet' has no column 'rooms', which 'part-000.parquet' has" in said

    def test_a_column_more(self, parts: Path) -> None:
        self.rewritten(parts, lambda rows: rows.append_column("more", rows["area"]))
        assert "'part-001.parquet' has a column 'more', which" in self.refused(parts)

    def test_a_column_of_another_type(self, parts: Path) -> None:
        self.rewritten(parts, lambda rows: rows.set_column(0, "area", rows["rooms"]))
        said = self.refused(parts)
        assert "column 'area' is int16 in 'part-001.parquet' and double in 'part-000" in said

    def test_a_file_that_is_cut_short(self, parts: Path) -> None:
        path = parts / "part-001.parquet"
        path.write_bytes(path.read_bytes()[:-100])
        assert "'part-001.parquet' cannot be read as Parquet" in self.refused(parts)

    def test_a_file_that_is_damaged_inside(self, parts: Path) -> None:
        path = parts / "part-001.parquet"
        start = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
        spoilt(path, start)
        said = self.refused(parts)
        assert "'part-001.parquet', row group 2 cannot be read as Parquet" in said

    def test_a_file_that_is_written_to_meanwhile(
        self, parts: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        batches = parquet_folder.ParquetFile.batches

        def slowly(file: Any, names: Any, at_once: int) -> Iterator[Any]:
            for batch in batches(file, names, at_once):
                os.utime(parts / "part-001.parquet", ns=(1, 1))
                yield batch

        monkeypatch.setattr(parquet_folder.ParquetFile, "batches", slowly)
        assert "'part-001.parquet' was written to while it was read" in self.refused(parts)

    def test_a_cell_beyond_what_is_exact(self, parts: Path) -> None:
        big = pa.array([*range(9), 2**53 + 1, *range(10)], pa.int64())
        for path in sorted(parts.iterdir()):
            rows = pq.read_table(path)
            pq.write_table(rows.append_column("id", big), path, row_group_size=4)
        said = self.refused(parts)
        assert (
            "'part-000.parquet', row 10, column 'id': '9007199254740993' is a whole number" in said
        )

    def test_a_missing_number(self, parts: Path) -> None:
        def change(rows: pa.Table) -> pa.Table:
            area = [None if at in {13, 14} else 0.5 for at in range(len(rows))]
            return rows.set_column(0, "area", pa.array(area, pa.float64()))

        self.rewritten(parts, change)
        said = self.refused(parts, impute=None)
        assert said.startswith(
            "data.source: 'part-001.parquet', row 14, column 'area' has no value"
        )

    def test_a_missing_target(self, parts: Path) -> None:
        def change(rows: pa.Table) -> pa.Table:
            price = [None if at == 5 else 0.5 for at in range(len(rows))]
            return rows.set_column(6, "price", pa.array(price, pa.float64()))

        self.rewritten(parts, change)
        assert "'part-001.parquet', row 6 has no value in the target column" in self.refused(parts)

    def test_too_many_texts(self, parts: Path) -> None:
        assert "at most 3 may be" in self.refused(parts, encoded=3)


def test_only_wanted_columns_are_read(tmp_path: Path) -> None:
    """A damaged column that is dropped does no harm: nobody reads it."""
    parts = parted(rows_of(40), tmp_path / "parts", [])
    path = parts / "part-000.parquet"
    for group in range(1, 10):
        about = pq.ParquetFile(io.BytesIO(path.read_bytes())).metadata.row_group(group).column(7)
        start = about.dictionary_page_offset or about.data_page_offset
        content = bytearray(path.read_bytes())
        content[start : start + about.total_compressed_size] = b"\xff" * about.total_compressed_size
        path.write_bytes(content)
    assert len(table(parts, tmp_path, encode=ENCODED, impute="mean").features) == 40


def test_tensors_of_arrow_are_the_arrays_that_they_are_in_one_file(tmp_path: Path) -> None:
    pixels = np.arange(80, dtype=np.float32).reshape(20, 2, 2)
    images = pa.FixedShapeTensorArray.from_numpy_ndarray(pixels)
    rows = pa.table({"view": images, "price": np.arange(20.0)})
    pq.write_table(rows, tmp_path / "one.parquet", row_group_size=4)
    one, parts = (
        table(source, tmp_path, drop=())
        for source in (tmp_path / "one.parquet", parted(rows, tmp_path / "many", [7]))
    )
    assert one.fingerprint == parts.fingerprint
    assert [column.name for column in parts.columns] == [f"view_{at}" for at in PLACES]
