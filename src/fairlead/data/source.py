"""Where the bytes of a source are: a file, a mirror folder, an installation or the web.

Places are tried in that order.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from fairlead.data.address import parse
from fairlead.data.archive import File
from fairlead.data.catalog import ENTRIES, Entry
from fairlead.data.download import Progress, check_digest, download
from fairlead.data.layouts import labels_name
from fairlead.errors import InvalidData, InvalidSpec
from fairlead.formatting import did_you_mean
from fairlead.records import Digest
from fairlead.settings import Settings
from fairlead.spec.document import Data

_PIECE = 1 << 24

Place: TypeAlias = Path | str
"""A file or a folder of files, or a URL."""


def place_of(data: Data, *, base: Path, settings: Settings) -> Place:
    """Where a source that is no catalog name is.

    Raises:
        InvalidSpec: It is no file and no folder, or not an address that is allowed.
    """
    if "://" in data.source:
        url = parse(data.source, private=settings.allow_private_urls)
        return _mirrored(url.file, settings) or data.source
    path = _path(data.source, base)
    if not path.exists():
        hint = did_you_mean(data.source, [*ENTRIES, *_neighbours(data.source, path)])
        raise InvalidSpec(
            f"data.source: {data.source!r} is neither a file ({str(path)!r}) nor one of the "
            f"catalog ({', '.join(ENTRIES)}){hint}"
        )
    if not path.is_file() and not path.is_dir():
        raise InvalidSpec(
            f"data.source: {str(path)!r} is neither a file nor a folder; name one of them"
        )
    return path


def place_of_entry(entry: Entry, *, settings: Settings) -> Place:
    """Where the file of a catalog entry is: in a mirror folder, the installation, the web.

    Raises:
        InvalidData: Nowhere.
    """
    mirrored = (_mirrored(name, settings) for name in entry.files)
    place = next((path for path in mirrored if path), None) or entry.carried or entry.url
    if place is None:
        raise InvalidData(
            f"data.source: this installation does not carry {entry.files[0]!r}; put it into a "
            "folder that FAIRLEAD_DATA names"
        )
    return place


def labels_of(place: Place, settings: Settings) -> Place | None:
    """Where the labels of a file of images are: beside it. None where its name has no such form."""
    name = labels_name(name_of(place))
    if name is None:
        return None
    if isinstance(place, Path):
        return place.with_name(name)
    return _mirrored(name, settings) or place.replace(name_of(place), name)


def name_of(place: Place) -> str:
    """The file's name."""
    return place.name if isinstance(place, Path) else parse(place, private=True).file


def fetch(
    place: Place, *, settings: Settings, digest: Digest | None, progress: Progress | None
) -> File:
    """The file at a place.

    Raises:
        InvalidData: It cannot be read, or is not the one of this digest.
        InvalidSpec: As download does.
        Unreachable: As download does.
    """
    name = name_of(place)
    if isinstance(place, str):
        content = download(place, settings=settings, digest=digest, progress=progress)
        return File(name=name, content=content)
    try:
        content = _content(place)
    except OSError as error:
        raise InvalidData(
            f"data.source: {str(place)!r} cannot be read: {error.strerror or error}"
        ) from error
    check_digest(content, str(place), digest)
    return File(name=name, content=content)


def _content(path: Path) -> bytes:
    """In pieces, so that Ctrl-C is heeded between them."""
    with path.open("rb") as file:
        return b"".join(iter(lambda: file.read(_PIECE), b""))


def _path(source: str, base: Path) -> Path:
    """Raises InvalidSpec where the system does not take the text as a path at all."""
    try:
        path = base / Path(source).expanduser()
        path.stat()
    except FileNotFoundError:
        return path
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidSpec(f"data.source: {source[:100]!r} cannot be read: {reason}") from error
    return path


def _neighbours(source: str, path: Path) -> list[str]:
    """The files of the folder that the path is in, as the source would have written them."""
    try:
        names = [other.name for other in path.parent.iterdir() if other.is_file()]
    except OSError:
        return []
    return [source.removesuffix(path.name) + name for name in sorted(names)]


def _mirrored(name: str, settings: Settings) -> Path | None:
    paths = (folder / name for folder in settings.data if name)
    return next((path for path in paths if path.is_file()), None)
