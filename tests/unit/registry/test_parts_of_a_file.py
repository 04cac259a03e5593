"""Promises of reading rows in parts: nothing is lost, and no record is cut."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.cli.row_files import parts
from fairlead.data.rows import Before, read_rows
from fairlead.errors import InvalidData
from fairlead.records import Column, Signature

CELLS = st.text(alphabet='ab",\n;é ', max_size=6)


def _records(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


@given(
    header=st.lists(CELLS.map(lambda text: "h" + text), min_size=1, max_size=3),
    rows=st.lists(CELLS.map(lambda text: "x" + text), max_size=30),
    size=st.integers(1, 200),
    end=st.sampled_from(["\n", "\r\n"]),
)
@settings(deadline=None, max_examples=150)
def test_parts_hold_the_records_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    header: list[str],
    rows: list[str],
    size: int,
    end: str,
) -> None:
    text = io.StringIO()
    records = [header, *([row] * len(header) for row in rows)]
    csv.writer(text, lineterminator=end).writerows(records)
    file = tmp_path_factory.getbasetemp() / "rows.csv"
    file.write_bytes(text.getvalue().encode())
    found = [_records(part.read()) for part in parts(file, size=size)]
    assert all(part[0] == header for part in found)
    assert [record for part in found for record in part[1:]] == records[1:]


def test_a_file_larger_than_a_part_comes_in_several(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b"a,b\n" + b"1,2\n" * 1000)
    found = [part.read() for part in parts(file, size=500)]
    assert len(found) == 9
    assert max(map(len, found)) < 520


@pytest.mark.parametrize("start", [b"PAR1", b'{"a": 1}\n', b'\xef\xbb\xbf \n{"a": 1}\n'])
def test_what_cannot_be_cut_comes_whole(tmp_path: Path, start: bytes) -> None:
    content = start + b'{"a": 2}\n' * 100
    (tmp_path / "rows").write_bytes(content)
    assert [part.read() for part in parts(tmp_path / "rows", size=32)] == [content]


def test_a_part_says_which_file_it_is_from(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_bytes(b"a\tb\n1\t2\n")
    assert [part.name for part in parts(tmp_path / "rows.tsv")] == [str(tmp_path / "rows.tsv")]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="cannot be read: No such file"):
        list(parts(tmp_path / "none.csv"))


def read_all(file: Path, signature: Signature, size: int) -> None:
    rows = 0
    for part in parts(file, size=size):
        rows += len(read_rows(part, signature, before=Before(rows=rows, lines=part.lines)))


@pytest.mark.parametrize("size", [10, 64, 300, 1 << 20])
@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"x,1\n", "row 37, column 'a': 'x' is text, not a number"),
        (b"1\n", "row 37 has 1 cells, and the first has 2"),
        (b"\xe9,1\n", "line 39 of "),
    ],
    ids=["text", "ragged", "no UTF-8"],
)
def test_a_fault_is_said_with_its_place_in_the_file_wherever_that_is_cut(
    tmp_path: Path, size: int, line: bytes, says: str
) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b"\na,b\n" + b"1,2\n" * 36 + line + b"1,2\n" * 30)
    signature = Signature(
        columns=tuple(Column(name=name, kind="number") for name in "ab"), target="y", classes=None
    )
    with pytest.raises(InvalidData) as caught:
        read_all(file, signature, size)
    assert str(caught.value).startswith(f"{file}: {says}")
