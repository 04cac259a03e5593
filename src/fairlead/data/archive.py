"""Archives: one data file out of .gz, .tar.gz and .tgz, in memory and within a bound.

Nothing is ever written to disk. A member that is a link, a device or a path that climbs out is
refused, and so is an archive with no data file or several.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from fairlead.errors import InvalidData

_GZIP = b"\x1f\x8b"
_PIECE = 1 << 20
_TAR_MAGIC = slice(257, 262)
_DATA = (".csv", ".tsv", ".tab", ".data", ".txt", ".parquet", ".pq")


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
            climb out, no data file, or several.
    """
    if not file.content.startswith(_GZIP):
        return file
    inner = File(name=_inner_name(file.name), content=_gunzip(file, limit))
    is_tar = inner.content[_TAR_MAGIC] == b"ustar" or inner.name.endswith(".tar")
    return _untar(inner, file.name) if is_tar else inner


def _inner_name(name: str) -> str:
    lower = name.lower()
    return f"{lower[: -len('.tgz')]}.tar" if lower.endswith(".tgz") else lower.removesuffix(".gz")


def _gunzip(file: File, limit: int) -> bytes:
    unpacked = bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(file.content)) as stream:
            while piece := stream.read(_PIECE):
                unpacked += piece
                if len(unpacked) > limit:
                    raise InvalidData(
                        f"data.source: {file.name!r} unpacks to more than {limit} bytes"
                    )
    except EOFError as error:
        raise InvalidData(f"data.source: {file.name!r} is cut short; fetch it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InvalidData(f"data.source: {file.name!r} is damaged: {error}") from error
    return bytes(unpacked)


def _untar(tar: File, name: str) -> File:
    try:
        with tarfile.open(fileobj=io.BytesIO(tar.content), mode="r:") as archive:
            members = archive.getmembers()
            for member in members:
                _check(member, name)
            member = _choose([member for member in members if _is_data(member)], name)
            stream = archive.extractfile(member)
            content = stream.read() if stream else b""
    except (tarfile.TarError, EOFError) as error:
        raise InvalidData(f"data.source: {name!r} is damaged or cut short: {error}") from error
    if len(content) != member.size:
        raise InvalidData(f"data.source: {name!r} is cut short within {member.name!r}")
    return File(name=PurePosixPath(member.name).name, content=content)


def _check(member: tarfile.TarInfo, name: str) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise InvalidData(f"data.source: {name!r} holds {member.name!r}, a path that climbs out")
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise InvalidData(
            f"data.source: {name!r} holds {member.name!r}, which is neither a file nor a folder"
        )


def _is_data(member: tarfile.TarInfo) -> bool:
    name = PurePosixPath(member.name).name.lower()
    return member.isreg() and name.endswith(_DATA) and not name.startswith(".")


def _choose(members: Sequence[tarfile.TarInfo], name: str) -> tarfile.TarInfo:
    if len(members) == 1:
        return members[0]
    names = ", ".join(repr(member.name) for member in members[:5]) or "none"
    raise InvalidData(
        f"data.source: {name!r} must hold one data file ({', '.join(_DATA)}); it holds {names}"
    )
