"""Archives: one data file out of .gz, .bz2, .xz, .tar.* and .zip, in memory and within a bound.

Nothing is ever written to disk. A member that is a link, a device or a path that climbs out is
refused, and so is an archive with no data file or several.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from fairlead.errors import InvalidData

_ZIP = b"PK\x03\x04"
_PIECE = 1 << 20
_TAR_MAGIC = slice(257, 262)
_DATA = (".csv", ".tsv", ".tab", ".data", ".txt", ".jsonl", ".ndjson", ".parquet", ".pq")
_WORKBOOKS = {
    "xl/workbook.xml": "an Excel workbook",
    "xl/workbook.bin": "an Excel workbook",
    "content.xml": "an OpenDocument spreadsheet",
}
_NOT_READ = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook of before 2007",
    b"ARROW1\0\0": "an Arrow (Feather) file",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"Obj\x01": "an Avro file",
    b"\x80\x04\x95": "a pickle",
    b"\x80\x05\x95": "a pickle",
    b"%PDF-": "a PDF document",
}
_ENDS_AS_WELL = {b"FEA1": (b"FEA1", "a Feather file"), b"ORC": (b"ORC", "an ORC file")}
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGE = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class _Stream:
    """A way to compress one file."""

    begins: bytes
    open: Callable[[BinaryIO], Any]


_STREAMS = {
    ".gz": _Stream(begins=b"\x1f\x8b", open=lambda file: gzip.GzipFile(fileobj=file)),
    ".bz2": _Stream(begins=b"BZh", open=bz2.BZ2File),
    ".xz": _Stream(begins=b"\xfd7zXZ\x00", open=lzma.LZMAFile),
}


@dataclass(frozen=True, kw_only=True)
class File:
    """A file's name, which may say its format, and its bytes."""

    name: str
    content: bytes


def unpack(file: File, *, limit: int) -> File:
    """The data file within an archive; any other file as it is.

    Args:
        file: What was read or downloaded.
        limit: Bytes that it may hold when unpacked.

    Raises:
        InvalidData: It is damaged, cut short or too large; or it holds links, devices, paths that
            climb out, no data file, or several; or it is a workbook of a spreadsheet program.
    """
    if file.content.startswith(_ZIP):
        return _unzip(file, limit)
    suffix = next((one for one in _STREAMS if file.content.startswith(_STREAMS[one].begins)), None)
    if suffix is None:
        return file
    content = _expanded(file, _STREAMS[suffix], limit)
    inner = File(name=_inner_name(file.name, suffix), content=content)
    is_tar = inner.content[_TAR_MAGIC] == b"ustar" or inner.name.endswith(".tar")
    return _untar(inner, file.name) if is_tar else inner


def is_packed(start: bytes) -> bool:
    """Whether a file that begins with these bytes is an archive."""
    return start.startswith((_ZIP, *(stream.begins for stream in _STREAMS.values())))


def refuse_binary(file: File) -> None:
    """Refuse files of known programs that are no tables of text.

    Raises:
        InvalidData: Names what it is, and what to save instead.
    """
    if file.content.startswith(_POINTER):
        raise InvalidData(
            f"data.source: {file.name!r} is a pointer of Git LFS, not the file itself; fetch that "
            "with git lfs pull"
        )
    if _PAGE.match(file.content):
        raise InvalidData(
            f"data.source: {file.name!r} is a web page (HTML), not a table; it may be what a "
            "server said in place of the file, or a page about it"
        )
    if what := _program_of(file.content):
        raise InvalidData(
            f"data.source: {file.name!r} is {what}, which is not read; save the table as CSV "
            "or Parquet"
        )


def _program_of(content: bytes) -> str | None:
    """What a file is by its beginning; where that may be a column's name, by its end as well."""
    for begins, what in _NOT_READ.items():
        if content.startswith(begins):
            return what
    for begins, (ends, what) in _ENDS_AS_WELL.items():
        if content.startswith(begins) and ends in content[-len(ends) - 1 :]:
            return what
    return None


def _inner_name(name: str, suffix: str) -> str:
    lower = name.lower()
    short = f".t{suffix[1:]}"  # .tgz
    return f"{lower[: -len(short)]}.tar" if lower.endswith(short) else lower.removesuffix(suffix)


def _expanded(file: File, stream: _Stream, limit: int) -> bytes:
    unpacked = bytearray()
    try:
        with stream.open(io.BytesIO(file.content)) as content:
            while piece := content.read(_PIECE):
                unpacked += piece
                _check_size(len(unpacked), file, limit)
    except EOFError as error:
        raise InvalidData(f"data.source: {file.name!r} is cut short; fetch it again") from error
    except (OSError, zlib.error, lzma.LZMAError) as error:
        raise InvalidData(f"data.source: {file.name!r} is damaged: {error}") from error
    return bytes(unpacked)


def _check_size(size: int, file: File, limit: int) -> None:
    if size > limit:
        raise InvalidData(f"data.source: {file.name!r} unpacks to more than {limit} bytes")


# ---- zip --------------------------------------------------------------------------------------


def _unzip(file: File, limit: int) -> File:
    try:
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _refuse_workbook(file, {member.filename for member in members})
            member = _choose_zipped(members, file.name)
            _check_size(member.file_size, file, limit)
            with archive.open(member) as stream:
                content = stream.read(limit + 1)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        raise InvalidData(f"data.source: {file.name!r} is damaged or cut short: {error}") from error
    except (NotImplementedError, RuntimeError) as error:  # a method that is unknown, or a password
        raise InvalidData(f"data.source: {file.name!r} cannot be unpacked: {error}") from error
    _check_size(len(content), file, limit)
    return File(name=PurePosixPath(member.filename).name, content=content)


def _refuse_workbook(file: File, names: Collection[str]) -> None:
    what = next((says for name, says in _WORKBOOKS.items() if name in names), None)
    if what is not None:
        raise InvalidData(
            f"data.source: {file.name!r} is {what}, which is not read; save the sheet as CSV or "
            "Parquet"
        )


def _choose_zipped(members: Sequence[zipfile.ZipInfo], name: str) -> zipfile.ZipInfo:
    for member in members:
        _check_path(member.filename, name)
    data = [member for member in members if _has_data(member.filename)]
    if len(data) == 1:
        return data[0]
    raise _undecided([member.filename for member in data or members], name)


# ---- tar --------------------------------------------------------------------------------------


def _untar(tar: File, name: str) -> File:
    try:
        with tarfile.open(fileobj=io.BytesIO(tar.content), mode="r:") as archive:
            members = archive.getmembers()
            for member in members:
                _check(member, name)
            member = _choose([one for one in members if one.isreg() and _has_data(one.name)], name)
            stream = archive.extractfile(member)
            content = stream.read() if stream else b""
    except (tarfile.TarError, EOFError) as error:
        raise InvalidData(f"data.source: {name!r} is damaged or cut short: {error}") from error
    if len(content) != member.size:
        raise InvalidData(f"data.source: {name!r} is cut short within {member.name!r}")
    return File(name=PurePosixPath(member.name).name, content=content)


def _check(member: tarfile.TarInfo, name: str) -> None:
    _check_path(member.name, name)
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise InvalidData(
            f"data.source: {name!r} holds {member.name!r}, which is neither a file nor a folder"
        )


def _choose(members: Sequence[tarfile.TarInfo], name: str) -> tarfile.TarInfo:
    if len(members) == 1:
        return members[0]
    raise _undecided([member.name for member in members], name)


# ---- members ----------------------------------------------------------------------------------


def _check_path(member: str, name: str) -> None:
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts:
        raise InvalidData(f"data.source: {name!r} holds {member!r}, a path that climbs out")


def _has_data(member: str) -> bool:
    path = PurePosixPath(member)
    hidden = path.name.startswith(".") or path.parts[0] == "__MACOSX"
    return path.name.lower().endswith(_DATA) and not hidden


def _undecided(members: Sequence[str], name: str) -> InvalidData:
    names = ", ".join(map(repr, members[:5])) or "none"
    images = any(member.lower().endswith(".png") for member in members)
    unpacked = "; images are read from a folder: unpack it and name that" if images else ""
    return InvalidData(
        f"data.source: {name!r} must hold one data file ({', '.join(_DATA)}); it holds "
        f"{names}{unpacked}"
    )
