"""What the bytes of a file say, in each format, in memory."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from typing import Any

import numpy as np
import pytest

from fairlead.data import delimited, layouts
from fairlead.data.archive import File, unpack
from fairlead.data.dialect import Dialect
from fairlead.data.frame import Frame
from fairlead.errors import InvalidData, InvalidSpec

STATLIB = """ House prices of some tracts, as published.
 Variables in order:
 A    rooms, per dwelling
 B    age
 C    distance
 D    price

 0.1  18.00  2.310
   24.00
 0.2  0.00   7.070
   21.60
"""


def cells(frame: Frame) -> dict[str, list[Any]]:
    return {name: frame[name].to_pylist() for name in frame.names}


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def regular(name: str, content: bytes = b"a,b\n1,2\n") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), content


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


class TestCsv:
    def test_cells_are_kept_as_written_and_missing_ones_are_null(self) -> None:
        frame = delimited.parse('a,b, c\n1.50,"x, y",007\nNA,, NaN \n', Dialect(separator=","))
        assert cells(frame) == {"a": ["1.50", None], "b": ["x, y", None], "c": ["007", None]}

    @pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
    def test_the_separator_is_told_by_the_first_line(self, separator: str) -> None:
        text = f'"a,b"{separator}c\n1{separator}2\n'.replace('"a,b"', '"a"')
        assert delimited.separator_of(text) == separator

    def test_a_separator_within_quotes_does_not_count(self) -> None:
        assert delimited.separator_of('"a,b";c\n1;2\n') == ";"

    def test_a_quoted_cell_may_hold_a_line_end(self) -> None:
        frame = delimited.parse('a,b\n"x\ny",1\n', Dialect(separator=","))
        assert cells(frame)["a"] == ["x\ny"]

    def test_windows_line_ends_are_line_ends(self) -> None:
        assert cells(delimited.parse("a,b\r\n1,2\r\n", Dialect(separator=","))) == {
            "a": ["1"],
            "b": ["2"],
        }

    def test_a_ragged_row_is_named(self) -> None:
        with pytest.raises(InvalidData, match=r"row 2 has 3 cells, and the first has 2: '3,4,5'"):
            delimited.parse("a,b\n1,2\n3,4,5\n", Dialect(separator=","))

    def test_names_that_repeat_are_refused(self) -> None:
        with pytest.raises(InvalidData, match="2 columns are named 'a'"):
            delimited.parse("a,b,a\n1,2,3\n", Dialect(separator=","))

    def test_a_column_without_a_name_is_refused(self) -> None:
        with pytest.raises(InvalidData, match="column 2 has no name"):
            delimited.parse("a,,b\n0,2,3\n", Dialect(separator=","))

    def test_columns_without_a_name_at_the_beginning_are_an_index(self) -> None:
        frame = delimited.parse(",,a\nx,0,2\n", Dialect(separator=","))
        assert frame.names == ("Unnamed: 0", "Unnamed: 1", "a")
        assert frame.index == {"Unnamed: 0", "Unnamed: 1"}

    def test_separators_at_the_ends_of_lines_make_no_column(self) -> None:
        frame = delimited.parse("a,b,\n1,2,\n", Dialect(separator=","))
        assert cells(frame) == {"a": ["1"], "b": ["2"]}

    def test_a_file_of_nothing_is_refused(self) -> None:
        with pytest.raises(InvalidData, match="empty"):
            delimited.parse("\n\n", Dialect(separator=","))

    def test_a_header_of_numbers_asks_for_names(self) -> None:
        with pytest.raises(InvalidData, match=r"holds numbers, not names; .* data\.columns"):
            delimited.parse("1,2\n3,4\n", Dialect(separator=","))

    def test_names_of_the_spec_make_the_first_row_data(self) -> None:
        frame = delimited.parse("1,2\n3,4\n", Dialect(separator=",", columns=("a", "b")))
        assert cells(frame) == {"a": ["1", "3"], "b": ["2", "4"]}

    def test_names_that_the_file_has_too_are_its_header(self) -> None:
        frame = delimited.parse("a,b\n3,4\n", Dialect(separator=",", columns=("a", "b")))
        assert cells(frame) == {"a": ["3"], "b": ["4"]}

    def test_names_of_another_number_are_refused(self) -> None:
        with pytest.raises(
            InvalidSpec, match=r"data\.columns: names 3 columns, and the file has 2"
        ):
            delimited.parse("1,2\n", Dialect(separator=",", columns=("a", "b", "c")))

    def test_a_cell_larger_than_pythons_own_limit_is_read(self) -> None:
        frame = delimited.parse(f"{'n' * 200_000},b\n1,2\n", Dialect(separator=","))
        assert len(frame.names[0]) == 200_000


class TestPlainLayouts:
    def test_uci_records_stand_on_one_line(self) -> None:
        frame = layouts.uci(" 0.1  2 \n\n .3\t4\n", Dialect(columns=("a", "b")))
        assert cells(frame) == {"a": ["0.1", ".3"], "b": ["2", "4"]}

    def test_uci_asks_for_names(self) -> None:
        with pytest.raises(InvalidSpec, match=r"data\.columns: the file has no header; name its 2"):
            layouts.uci("1 2\n", Dialect(columns=None))

    def test_a_ragged_uci_row_is_named(self) -> None:
        with pytest.raises(InvalidData, match="row 2 has 1 cells, and the first has 2"):
            layouts.uci("1 2\n3\n", Dialect(columns=("a", "b")))

    def test_uci_without_records_is_refused(self) -> None:
        with pytest.raises(InvalidData, match="no records"):
            layouts.uci("\n", Dialect(columns=("a",)))

    def test_statlib_records_stand_on_two_lines_after_prose(self) -> None:
        frame = layouts.statlib(STATLIB, Dialect(columns=("A", "B", "C", "D")))
        assert cells(frame)["D"] == ["24.00", "21.60"]
        assert cells(frame)["A"] == ["0.1", "0.2"]

    def test_a_statlib_file_cut_within_a_record_is_refused(self) -> None:
        with pytest.raises(InvalidData, match="cut short"):
            layouts.statlib(STATLIB.rsplit("\n", 2)[0], Dialect(columns=("A", "B", "C", "D")))

    @pytest.mark.parametrize(
        ("content", "name", "expected"),
        [
            (STATLIB, "boston", "statlib"),
            (" 1 2 3\n 4 5 6\n", "boston.data", "uci"),
            ("1\t2\n3\t4\n", "numbers", "uci"),
            ("a\tb\n3\t4\n5\t6\n", "rows", "tsv"),
            ("a,b\n3,4\n", "rows", "csv"),
            ("a\tb\n", "rows.csv", "csv"),
            ("a,b\n", "rows.tsv", "tsv"),
            ("1,2\n3,4\n", "cal_housing.data", "csv"),
            ("PAR1...", "rows.csv", "parquet"),
            ("\0\0\x08\x03", "images", "idx"),
        ],
    )
    def test_a_format_is_told_by_content_and_name(
        self, content: str, name: str, expected: str
    ) -> None:
        assert layouts.format_of(content.encode(), name) == expected


class TestIdx:
    images = b"\0\0\x08\x03" + struct.pack(">3I", 2, 1, 2) + bytes([1, 2, 3, 255])
    labels = b"\0\0\x08\x01" + struct.pack(">I", 2) + bytes([7, 9])

    def test_an_image_is_a_row_named_by_its_pixels(self) -> None:
        frame = layouts.idx(self.images, self.labels)
        assert cells(frame) == {"pixel_0_0": [1, 3], "pixel_0_1": [2, 255], "label": [7, 9]}

    @pytest.mark.parametrize("length", [0, 3, 9, 19])
    def test_images_cut_short_are_refused(self, length: int) -> None:
        with pytest.raises(InvalidData, match="file of images"):
            layouts.idx(self.images[:length], self.labels)

    def test_labels_of_other_images_are_refused(self) -> None:
        with pytest.raises(InvalidData, match="2 images and"):
            layouts.idx(self.images, b"\0\0\x08\x01" + struct.pack(">I", 1) + b"\7")

    def test_numbers_of_several_bytes_are_big_endian(self) -> None:
        images = b"\0\0\x0b\x02" + struct.pack(">2I", 2, 1) + struct.pack(">2h", -2, 300)
        assert cells(layouts.idx(images, self.labels))["pixel_0"] == [-2, 300]

    @pytest.mark.parametrize(
        ("images", "labels"),
        [
            ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
            ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
            ("digits.bin", None),
        ],
    )
    def test_the_labels_are_beside_the_images(self, images: str, labels: str | None) -> None:
        assert layouts.labels_name(images) == labels


class TestArchives:
    def test_a_file_that_is_no_archive_is_itself(self) -> None:
        file = File(name="a.csv", content=b"a,b\n")
        assert unpack(file, limit=1) is file

    def test_gz_holds_the_file_of_that_name(self) -> None:
        file = File(name="A.CSV.gz", content=gzip.compress(b"a,b\n"))
        assert unpack(file, limit=100) == File(name="a.csv", content=b"a,b\n")

    @pytest.mark.parametrize("name", ["a.tgz", "a.tar.gz", "download"])
    def test_the_one_data_file_of_a_tar_is_found(self, name: str) -> None:
        content = tar(
            special("housing", tarfile.DIRTYPE),
            regular("housing/README"),
            regular("housing/._x.csv"),
            regular("housing/x.csv", b"a\n"),
        )
        assert unpack(File(name=name, content=content), limit=1 << 20) == File(
            name="x.csv", content=b"a\n"
        )

    @pytest.mark.parametrize("name", ["../x.csv", "/etc/x.csv", "a/../../x.csv"])
    def test_a_path_that_climbs_out_is_refused(self, name: str) -> None:
        with pytest.raises(InvalidData, match="climbs out"):
            unpack(File(name="a.tgz", content=tar(regular(name))), limit=1 << 20)

    @pytest.mark.parametrize(
        "kind",
        [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
    )
    def test_links_and_devices_are_refused(self, kind: bytes) -> None:
        content = tar(regular("x.csv"), special("y.csv", kind, "/etc/passwd"))
        with pytest.raises(InvalidData, match="neither a file nor a folder"):
            unpack(File(name="a.tgz", content=content), limit=1 << 20)

    @pytest.mark.parametrize("names", [("README",), ("a.csv", "b.csv")])
    def test_no_data_file_and_several_are_refused(self, names: tuple[str, ...]) -> None:
        content = tar(*map(regular, names))
        with pytest.raises(InvalidData, match="must hold one data file"):
            unpack(File(name="a.tgz", content=content), limit=1 << 20)

    def test_a_bomb_is_refused_at_the_limit(self) -> None:
        bomb = File(name="a.csv.gz", content=gzip.compress(bytes(8 << 20)))
        with pytest.raises(InvalidData, match="unpacks to more than 1048576 bytes"):
            unpack(bomb, limit=1 << 20)

    @pytest.mark.parametrize("cut", [11, 40, -1])
    def test_a_truncated_archive_says_so(self, cut: int) -> None:
        noise = np.random.default_rng(0).bytes(500)
        content = gzip.compress(noise)[:cut]
        with pytest.raises(InvalidData, match="cut short"):
            unpack(File(name="a.csv.gz", content=content), limit=1 << 20)

    def test_a_tar_cut_short_within_an_intact_gz_says_so(self) -> None:
        whole = gzip.decompress(tar(regular("x.csv", b"1" * 4000)))
        content = gzip.compress(whole[:2000])
        with pytest.raises(InvalidData, match="cut short"):
            unpack(File(name="a.tgz", content=content), limit=1 << 20)

    def test_a_flipped_bit_is_noticed(self) -> None:
        content = bytearray(gzip.compress(np.random.default_rng(0).bytes(500)))
        content[100] ^= 1
        with pytest.raises(InvalidData, match="damaged"):
            unpack(File(name="a.csv.gz", content=bytes(content)), limit=1 << 20)
