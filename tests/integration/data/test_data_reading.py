"""Real files: every mirror of a data set is the same data, and anything else is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sklearn.datasets

from fairlead.data.catalog import ENTRIES
from fairlead.data.read import read
from fairlead.data.table import Table
from fairlead.errors import Invalid, InvalidData, InvalidSpec
from fairlead.settings import Settings
from fairlead.spec.document import Data

ROOT = Path(__file__).parents[3]
BOSTON = ROOT / "examples" / "data" / "boston.data"
CALIFORNIA = ROOT / "examples" / "data" / "california.tgz"
NAMES = list(ENTRIES["boston"].columns)
ROWS = "a,city,y\n1,Rome,1\n2,Oslo,2\n3,,4\n"
PROSE = "".join(f" Line {n} of a description, with numbers such as {n}.\n" for n in range(22))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def take(settings: Settings, source: str | Path = "boston", **says: Any) -> Table:
    return read(Data(source=str(source), **says), base=settings.home.parent, settings=settings)


def records() -> list[list[str]]:
    return [line.split() for line in BOSTON.read_text().splitlines()]


def boston_csv() -> str:
    return "\n".join([",".join(NAMES), *(",".join(record) for record in records())])


def boston_statlib() -> str:
    halves = [(" ".join(r[:11]), " ".join(r[11:])) for r in records()]
    return PROSE + "".join(f" {first}\n   {second}\n" for first, second in halves)


def boston_parquet() -> bytes:
    columns = zip(NAMES, zip(*records(), strict=True), strict=True)
    table = pa.table({name: [float(cell) for cell in cells] for name, cells in columns})
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def california_archive(*, header: bool, rows: int = 20_640) -> bytes:
    """The carried rows as scikit-learn's archive has them: no header, no missing bedrooms."""
    with tarfile.open(CALIFORNIA) as archive:
        lines = archive.extractfile("housing/housing.csv").read().decode().splitlines()  # type: ignore[union-attr] - it is a file
    cells = [line.split(",")[:9] for line in lines[0 if header else 1 : rows + 1]]
    text = "\n".join(",".join(cell or "500.0" for cell in row) for row in cells)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("CaliforniaHousing/cal_housing.data")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return file.getvalue()


def build(kind: str, target: Path, *, where: Path) -> str:
    code = f"import flit_core.buildapi as b, sys; print(b.build_{kind}(sys.argv[1]))"
    out = subprocess.run(
        [sys.executable, "-c", code, str(target)],
        cwd=where, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return out.stdout.split()[-1]


class TestCatalog:
    def test_boston_and_california_come_with_the_installation(self, settings: Settings) -> None:
        assert len(take(settings).features) == 506
        assert len(take(settings, "california", impute="median").features) == 20_640
        assert not settings.home.exists()

    def test_a_wheel_carries_the_same_files_as_the_examples(self, tmp_path: Path) -> None:
        """Built as an installer builds it: from the source distribution."""
        source = tmp_path / build("sdist", tmp_path, where=ROOT)
        with tarfile.open(source) as archive:
            archive.extractall(tmp_path, filter="data")
        folder = tmp_path / source.name.removesuffix(".tar.gz")
        with zipfile.ZipFile(tmp_path / build("wheel", tmp_path, where=folder)) as wheel:
            for file in (BOSTON, CALIFORNIA):
                assert wheel.read(f"fairlead/data/files/{file.name}") == file.read_bytes()

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("boston.data", BOSTON.read_bytes()),
            ("housing.data", BOSTON.read_bytes()),
            ("boston", boston_statlib().encode()),
            ("boston.csv", boston_csv().encode()),
            ("boston.csv", boston_csv().lower().encode()),
            ("boston.data", boston_parquet()),
            ("boston.data", gzip.compress(BOSTON.read_bytes(), mtime=0)),
        ],
        ids=["uci", "uci name", "statlib", "csv", "csv in lower case", "parquet", "gz"],
    )
    def test_every_mirror_of_boston_is_the_same_data(
        self, name: str, content: bytes, settings: Settings, tmp_path: Path
    ) -> None:
        (tmp_path / "mirror").mkdir()
        (tmp_path / "mirror" / name).write_bytes(content)
        table = take(replace(settings, data=(tmp_path / "nothing", tmp_path / "mirror")))
        assert table.fingerprint == take(settings).fingerprint == ENTRIES["boston"].fingerprint

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("b.data", BOSTON.read_bytes()),
            ("b", boston_statlib().encode()),
            ("b.csv", boston_csv().encode()),
            ("b.tsv", boston_csv().replace(",", "\t").encode()),
            ("b.csv", b"\xef\xbb\xbf" + boston_csv().replace(",", ";").encode()),
            ("b.parquet", boston_parquet()),
        ],
        ids=["uci", "statlib", "csv", "tsv", "semicolons and a mark", "parquet"],
    )
    def test_boston_by_its_path_is_the_same_data_in_every_format(
        self, name: str, content: bytes, settings: Settings, tmp_path: Path
    ) -> None:
        (tmp_path / name).write_bytes(content)
        headless = {"b.data", "b"}
        says = {"columns": tuple(NAMES)} if name in headless else {}
        table = take(settings, name, target="MEDV", **says)
        assert table.fingerprint == ENTRIES["boston"].fingerprint

    def test_boston_is_what_the_published_layout_reads_as(self, settings: Settings) -> None:
        table = take(settings)
        raw = np.array(records(), dtype=float)
        np.testing.assert_array_equal(table.features.numbers, raw[:, :13])
        np.testing.assert_array_equal(table.target, raw[:, 13])
        assert (table.target_name, table.classes) == ("MEDV", None)

    def test_california_has_the_columns_of_scikit_learn(self, settings: Settings) -> None:
        table = take(settings, "california", impute="median")
        assert table.signature.numbers == (
            *("MedInc", "HouseAge", "AveRooms", "AveBedrms"),
            *("Population", "AveOccup", "Latitude", "Longitude"),
        )
        missing = np.isnan(table.features.numbers).sum(axis=0)
        assert missing.tolist() == [0, 0, 0, 207, 0, 0, 0, 0]
        # the first row of fetch_california_housing, as its documentation prints it
        np.testing.assert_array_equal(
            table.features.numbers[0].round(8),
            [8.3252, 41.0, 6.98412698, 1.02380952, 322.0, 2.55555556, 37.88, -122.23],
        )
        assert table.target[0] == 4.526

    def test_block_groups_of_the_census_are_derived_as_scikit_learn_does(
        self, settings: Settings
    ) -> None:
        table = take(settings, "california", impute="median")
        rows = {tuple(row) for row in table.features.numbers.tolist()}
        for line in (  # of cal_housing.data, as it was published with the paper
            "-117.180000,32.760000,52.000000,2023.000000,301.000000,649.000000,285.000000,4.739600",
            "-116.940000,34.400000,20.000000,6541.000000,1401.000000,2631.000000,980.000000,2.133900",
            "-117.140000,32.750000,19.000000,1358.000000,613.000000,766.000000,630.000000,1.035300",
        ):
            east, north, age, rooms, bedrooms, people, households, income = map(
                float, line.split(",")
            )
            per = [rooms / households, bedrooms / households]
            assert (income, age, *per, people, people / households, north, east) in rows

    def test_california_asks_what_stands_for_the_missing(self, settings: Settings) -> None:
        with pytest.raises(
            InvalidData, match=r"row 183, column 'AveBedrms' .*\(206 more .*data\.impute"
        ):
            take(settings, "california")

    def test_scikit_learns_california_is_refused_with_the_reason(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        (tmp_path / "cal_housing.tgz").write_bytes(california_archive(header=False))
        with pytest.raises(
            InvalidData,
            match=r"column 'AveBedrms' is missing in 0 rows, not in 207 \(scikit-learn's own",
        ):
            take(replace(settings, data=(tmp_path,)), "california", impute="median")

    def test_a_copy_with_fewer_rows_is_refused_with_their_number(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        (tmp_path / "california.tgz").write_bytes(california_archive(header=True, rows=100))
        with pytest.raises(InvalidData, match="it has 100 rows, not 20640"):
            take(replace(settings, data=(tmp_path,)), "california", impute="median")

    def test_a_copy_with_another_cell_is_refused_with_that_cell(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        text = BOSTON.read_text().replace("7.1850", "7.1851", 1)
        (tmp_path / "boston.data").write_text(text)
        with pytest.raises(InvalidData, match=r"row 3, column 'RM' is 7\.1851, not 7\.185"):
            take(replace(settings, data=(tmp_path,)))

    def test_a_copy_without_the_target_is_refused_with_its_columns(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        (tmp_path / "boston.csv").write_text(ROWS)
        with pytest.raises(InvalidData, match="has no column 'MEDV'; it has a, city, y"):
            take(replace(settings, data=(tmp_path,)))

    def test_diabetes_and_digits_are_those_of_scikit_learn(self, settings: Settings) -> None:
        diabetes = sklearn.datasets.load_diabetes(scaled=False)
        table = take(settings, "diabetes")
        np.testing.assert_array_equal(table.features.numbers, diabetes.data)
        np.testing.assert_array_equal(table.target, diabetes.target)
        digits = sklearn.datasets.load_digits()
        table = take(settings, "digits")
        np.testing.assert_array_equal(table.features.numbers, digits.data)
        np.testing.assert_array_equal(table.target, digits.target)
        assert table.classes == tuple(range(10))

    def test_the_spec_may_drop_and_predict_other_columns(self, settings: Settings) -> None:
        table = take(settings, "boston", drop=("B",), target="RM", encode={"RAD": "onehot"})
        assert "B" not in table.signature.numbers
        assert (table.target_name, table.signature.text) == ("RM", ("RAD",))

    def test_names_for_the_catalogs_columns_are_refused(self, settings: Settings) -> None:
        with pytest.raises(InvalidSpec, match=r"^data\.columns: 'boston' has names"):
            take(settings, "boston", columns=("a",))

    def test_a_digest_of_what_is_no_file_is_refused(self, settings: Settings) -> None:
        with pytest.raises(InvalidSpec, match=r"^data\.digest: 'digits' comes with scikit-learn"):
            take(settings, "digits", digest=f"sha256:{'0' * 64}")

    def test_mnist_is_read_from_a_mirror_and_checked(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        write_idx(tmp_path, "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
        with pytest.raises(InvalidData, match="'mnist' is not the catalog's table: it has 4 fea"):
            take(replace(settings, data=(tmp_path,)), "mnist")


def write_idx(folder: Path, images: str, labels: str) -> None:
    pixels = b"\0\0\x08\x03" + struct.pack(">3I", 4, 2, 2) + bytes(range(16))
    digits = b"\0\0\x08\x01" + struct.pack(">I", 4) + bytes([3, 1, 3, 1])
    for name, content in ((images, pixels), (labels, digits)):
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


class TestFiles:
    def test_images_are_read_with_the_labels_beside_them(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        write_idx(tmp_path, "my-images-idx3-ubyte", "my-labels-idx1-ubyte")
        table = take(settings, "my-images-idx3-ubyte", task="classification")
        assert table.features.numbers.tolist()[1] == [4, 5, 6, 7]
        assert table.classes == (1, 3)
        assert table.target.tolist() == [1, 0, 1, 0]

    def test_images_without_labels_are_refused(self, settings: Settings, tmp_path: Path) -> None:
        write_idx(tmp_path, "pictures-ubyte", "other")
        with pytest.raises(InvalidData, match="images without labels"):
            take(settings, "pictures-ubyte")
        write_idx(tmp_path, "my-images-idx3-ubyte", "other")
        with pytest.raises(InvalidData, match="my-labels-idx1-ubyte' cannot be read"):
            take(settings, "my-images-idx3-ubyte")

    def test_text_and_missing_values_come_as_the_spec_names_them(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        (tmp_path / "rows.csv").write_text(ROWS)
        table = take(settings, "rows.csv", target="y", encode={"city": "onehot"})
        assert table.features.text[:, 0].tolist() == [1, 0, -1]

    def test_parquet_columns_keep_their_types(self, settings: Settings, tmp_path: Path) -> None:
        columns = {
            "whole": pa.array([1, None, 3], pa.int64()),
            "truth": pa.array([True, False, True]),
            "city": pa.array(["Rome", None, "Oslo"]).dictionary_encode(),
            "nothing": pa.nulls(3),
            "y": pa.array([1.5, 2.5, 3.5], pa.float32()),
        }
        pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
        table = take(
            settings, "rows.parquet",
            target="y", impute="mean", encode={"city": "onehot"}, drop=("nothing",),
        )  # fmt: skip
        np.testing.assert_array_equal(table.features.numbers, [[1, 1], [np.nan, 0], [3, 1]])
        assert table.features.text[:, 0].tolist() == [1, -1, 0]

    def test_a_parquet_column_of_dates_is_refused_with_a_way_on(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        dates = pa.table({"at": pa.array([1, 2, 3], pa.timestamp("s")), "y": [1, 2, 3]})
        pq.write_table(dates, tmp_path / "rows.parquet")
        with pytest.raises(
            InvalidData, match=r"column 'at': .* is a date, not a number; data\.encode"
        ):
            take(settings, "rows.parquet", target="y")

    def test_a_parquet_file_that_unpacks_too_large_is_refused(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        pq.write_table(pa.table({"a": [0] * 10**6, "y": [0] * 10**6}), tmp_path / "rows.parquet")
        with pytest.raises(InvalidData, match="unpacked the file has 16000000 bytes"):
            take(replace(settings, max_download=10**6), "rows.parquet", target="y")

    def test_the_right_digest_is_taken_and_a_wrong_one_refused(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        (tmp_path / "rows.csv").write_text("a,y\n1,1\n2,2\n3,3\n")
        right = hashlib.sha256((tmp_path / "rows.csv").read_bytes()).hexdigest()
        take(settings, "rows.csv", target="y", digest=f"sha256:{right}")
        with pytest.raises(InvalidData, match=rf"^data\.digest: .* is sha256:{right}, not"):
            take(settings, "rows.csv", target="y", digest=f"sha256:{'0' * 64}")

    def test_a_digest_holds_for_the_carried_file_too(self, settings: Settings) -> None:
        right = hashlib.sha256(BOSTON.read_bytes()).hexdigest()
        take(settings, "boston", digest=f"sha256:{right}")
        with pytest.raises(InvalidData, match=r"^data\.digest: "):
            take(settings, "boston", digest=f"sha256:{'0' * 64}")

    @pytest.mark.parametrize(
        ("name", "content", "says"),
        [
            ("empty.csv", b"", "'empty.csv' is empty"),
            ("empty.gz", gzip.compress(b"", mtime=0), "'empty.gz' is empty"),
            ("header.csv", b"a,y\n", "has 0 rows; at least 3"),
            ("twice.csv", b"a,a,y\n1,2,3\n", "2 columns are named 'a'"),
            ("ragged.csv", b"a,y\n1,2\n3\n", "row 2 has 1 cells, and the first has 2"),
            ("latin.csv", b"a,y\n1,2\n\xe9,3\n", "line 3 of 'latin.csv' is not UTF-8 (byte 0xe9)"),
            ("wide.csv", "a,y\n1,2\n".encode("utf-16"), "is not UTF-8"),
            ("text.csv", b"a,y\n1,2\nx,3\n4,5\n", "row 2, column 'a': 'x' is text"),
            ("same.csv", b"a,y\n1,5\n2,5\n3,5\n", "column 'y' is '5' in every row"),
            ("hole.csv", b"a,y\n1,5\n2,\n3,6\n", "row 2 has no value in the target column 'y'"),
            ("cut.csv.gz", gzip.compress(bytes(range(256)) * 9, mtime=0)[:-20], "is cut short"),
            ("cut.tgz", CALIFORNIA.read_bytes()[:200_000], "'cut.tgz' is cut short"),
            ("cut.parquet", boston_parquet()[:-50], "cannot be read as Parquet"),
            ("numbers.csv", b"1,2\n3,4\n", "holds numbers, not names"),
        ],
        ids=lambda value: value if isinstance(value, str) and "." in value else "",
    )
    def test_data_that_cannot_be_used_is_refused_in_one_line_and_nothing_is_written(
        self, name: str, content: bytes, says: str, settings: Settings, tmp_path: Path
    ) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Invalid) as caught:
            take(settings, name, target="y")
        assert says in str(caught.value)
        assert str(caught.value).startswith("data.")
        assert "\n" not in str(caught.value)
        assert not settings.home.exists()

    @pytest.mark.parametrize(
        ("source", "says"),
        [
            ("bostn", "one of the catalog (boston, california, diabetes, digits, mnist); did you"),
            ("none.csv", "neither a file"),
            ("house.csv", "; did you mean 'houses.csv'?"),
            ("more/house.csv", "; did you mean 'more/houses.csv'?"),
            ("/dev/zero", "is neither a file nor a folder"),
            ("x" * 5000, "cannot be read: File name too long"),
            ("rows.csv/inner", "neither a file"),
            ("~nobody-of-this-name/rows.csv", "cannot be read: Could not determine home"),
        ],
    )
    def test_a_source_that_is_no_file_is_refused(
        self, source: str, says: str, settings: Settings, tmp_path: Path
    ) -> None:
        (tmp_path / "more").mkdir()
        for name in ("houses.csv", "more/houses.csv"):
            (tmp_path / name).write_text("a,y\n1,1\n2,2\n3,3\n")
        with pytest.raises(InvalidSpec) as caught:
            take(settings, source, target="y")
        assert str(caught.value).startswith("data.source: ")
        assert says in str(caught.value)

    def test_paths_start_from_the_folder_of_the_spec(
        self, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "rows").mkdir()
        (tmp_path / "rows" / "a.csv").write_text("a,y\n1,1\n2,2\n3,3\n")
        monkeypatch.chdir("/")
        assert len(take(settings, "rows/a.csv", target="y").features) == 3
        assert len(take(settings, tmp_path / "rows" / "a.csv", target="y").features) == 3
