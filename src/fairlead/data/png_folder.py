"""A folder of PNG images by class as one sequence of rows: `cat/1.png`, `cat/2.png`, `dog/1.png`.

A folder within it is a class, and its name is the target of the images that it holds; they come in
the order of the names of class and file. What begins with a dot is no data. All images have the
size and the kind of the first, grey or RGB with 8 bits a channel: a row is the pixels, 0 to 255, as
columns `pixel_0_0`, ... (of grey, as in the layout of MNIST) or `pixel_0_0_0`, ... (of RGB). They
are decoded by Pillow, and only where columns of them are asked for; nothing is scaled or converted.
"""

from __future__ import annotations

import importlib.util
import io
import math
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fairlead.data.arrays import names_of
from fairlead.data.frame import Frame, rows_at_once
from fairlead.errors import InvalidData, InvalidSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

TARGET = "label"
"""What the column of classes is called where the spec names no target."""

_SUFFIX, _OF_TABLES = ".png", (".parquet", ".pq")
_OF_IMAGES = (_SUFFIX, ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_LEVELS = 2  # that are looked into to tell a folder of images from others
_MOST_NUMBERS = 1 << 18  # of an image: each is a column
_MOST_BYTES = 64 << 20  # of a file
_CELL = 8
_HEAD = struct.Struct(">8s4x4sIIBB")  # https://www.w3.org/TR/png-3/: the signature, then IHDR
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTH = 8
_GREY, _RGB = 0, 2
_CHANNELS = {_GREY: (), _RGB: (3,)}
_COLOURS = {0: "grey", 2: "RGB", 3: "of a palette", 4: "grey with alpha", 6: "RGB with alpha"}


@dataclass(frozen=True, kw_only=True)
class Image:
    """A file, and the class that it is of."""

    path: Path
    label: str

    @property
    def name(self) -> str:
        """With the folder of its class, as messages have it."""
        return f"{self.label}/{self.path.name}"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What all images of a folder have in common.

    Args:
        width: Pixels.
        height: Pixels.
        colour: As the header of PNG says it: grey or RGB.
    """

    width: int
    height: int
    colour: int

    def __str__(self) -> str:
        """In a message."""
        return f"{self.width} x {self.height}, {_COLOURS[self.colour]}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width, and 3 where it is RGB."""
        return (self.height, self.width, *_CHANNELS[self.colour])


@dataclass(frozen=True, kw_only=True)
class PngFolder:
    """The images of a folder.

    Args:
        images: In order.
        kind: Of the first, which all others have, too.
        target: What the column of classes is called.
    """

    images: tuple[Image, ...]
    kind: Kind
    target: str

    @property
    def rows(self) -> int:
        """How many images there are."""
        return len(self.images)

    @cached_property
    def pixels(self) -> dict[str, int]:
        """The names of the columns of pixels, and their places."""
        return {name: at for at, name in enumerate(names_of("pixel", self.kind.shape))}

    def first(self, memory: int) -> Frame:  # noqa: ARG002 - one image is held whatever it takes
        """The first row, with all columns."""
        return self._frame(self.images[:1], [*self.pixels, self.target], before=0)

    def frames(self, names: Sequence[str], *, memory: int) -> Iterator[Frame]:
        """All rows in parts, in order.

        Args:
            names: The columns that are wanted.
            memory: Bytes that a part may take, with all that is made of it.

        Raises:
            InvalidData: A file is no such image.
        """
        wanted = list(dict.fromkeys(names))
        at_once = rows_at_once(memory, _CELL * len(wanted))
        for start in range(0, self.rows, at_once):
            yield self._frame(self.images[start : start + at_once], wanted, before=start)

    def _frame(self, images: Sequence[Image], names: Sequence[str], before: int) -> Frame:
        rows = self._decoded(images) if self.pixels.keys() & set(names) else None
        labels = pa.array([image.label for image in images], pa.string())
        cells = [
            labels
            if rows is None or name == self.target
            else pa.array(np.ascontiguousarray(rows[:, self.pixels[name]]))
            for name in names
        ]
        text = frozenset({self.target})
        return Frame(names=tuple(names), cells=tuple(cells), text=text, before=before)

    def _decoded(self, images: Sequence[Image]) -> NDArray[np.uint8]:
        rows = np.empty((len(images), len(self.pixels)), np.uint8)
        for row, image in zip(rows, images, strict=True):
            content = _content(image)
            kind = _kind_of(image, content)
            if kind != self.kind:
                raise InvalidData(
                    f"data.source: {image.name!r} is {kind}, and {self.images[0].name!r} is "
                    f"{self.kind}; make all images of one size and kind"
                )
            row[:] = _pixels(image, content).reshape(-1)
        return rows


def holds_images(path: Path, levels: int = _LEVELS) -> bool:
    """Whether a folder, or one within it, has images of any format; not where it has Parquet files.

    Raises:
        InvalidData: It cannot be read.
    """
    found = _visible(path)
    if any(entry.name.endswith(_OF_TABLES) for entry in found):
        return False
    return any(
        entry.name.lower().endswith(_OF_IMAGES)
        or (levels and entry.is_dir() and holds_images(Path(entry), levels - 1))
        for entry in found
    )


def folder_of(path: Path, *, target: str | None) -> PngFolder:
    """The images of a folder; the header of the first is read, and nothing else.

    Args:
        path: The folder of the folders of classes.
        target: What the column of classes is called; `label` if None.

    Raises:
        InvalidData: There is none, or something else is there, or the first cannot be used.
        InvalidSpec: Pillow is not installed, or a column of pixels is called so.
    """
    if importlib.util.find_spec("PIL") is None:
        raise InvalidSpec(
            f"data.source: {str(path)!r} holds images, which need a library that is not "
            "installed: pip install 'fairlead[images]'"
        )
    images = tuple(image for folder in _classes(path) for image in _images(folder))
    kind = _kind_of(images[0], _content(images[0]))
    folder = PngFolder(images=images, kind=kind, target=target or TARGET)
    if folder.target in folder.pixels:
        raise InvalidSpec(
            f"data.target: {target!r} is a column of pixels; of a folder of images the target is "
            f"the class, and is called {TARGET!r} unless data.target gives another name"
        )
    return folder


# ---- what is there ----------------------------------------------------------------------------


def _visible(path: Path) -> list[os.DirEntry[str]]:
    """What does not begin with a dot, by name."""
    try:
        with os.scandir(path) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise InvalidData(
            f"data.source: {str(path)!r} cannot be read: {error.strerror or error}"
        ) from error
    return sorted(found, key=lambda entry: entry.name)


def _is_png(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower().endswith(_SUFFIX) and not entry.is_dir()


def _classes(path: Path) -> Sequence[Path]:
    found = _visible(path)
    for entry in found:
        if not entry.is_dir():
            raise InvalidData(
                f"data.source: {str(path)!r} holds {entry.name!r} beside folders of images; an "
                "image belongs into the folder of its class (cat/1.png), and anything else "
                "elsewhere"
            )
        _check_class(entry.name)
    if not found:
        raise InvalidData(
            f"data.source: {str(path)!r} holds no folder of PNG images; put those of a class into "
            "a folder of its name (cat/1.png)"
        )
    return [Path(entry) for entry in found]


def _check_class(name: str) -> None:
    """Refuse the name of a folder that is another one as a text of a table."""
    is_text = name == name.encode("utf-8", "replace").decode()
    if not is_text or name != name.strip():
        raise InvalidData(
            f"data.source: the name of the folder {name!r} "
            f"{'begins or ends with a blank' if is_text else 'is not UTF-8'}, and it is to be a "
            "class; rename the folder"
        )


def _images(folder: Path) -> Sequence[Image]:
    found = _visible(folder)
    for entry in found:
        if not _is_png(entry):
            itself = f"name {str(folder)!r} itself if it has the classes"
            way_on = itself if entry.is_dir() else "write other images as PNG"
            raise InvalidData(
                f"data.source: {str(folder)!r} holds {entry.name!r}, and the folder of a class "
                f"holds files that end with {_SUFFIX}, nothing else; {way_on}"
            )
    if not found:
        raise InvalidData(
            f"data.source: {str(folder)!r} holds no PNG image; remove the folder, or put the "
            "images of this class there"
        )
    return [Image(path=Path(entry), label=folder.name) for entry in found]


# ---- one image --------------------------------------------------------------------------------


def _content(image: Image) -> bytes:
    try:
        with image.path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InvalidData(
            f"data.source: {image.name!r} cannot be read: {error.strerror or error}"
        ) from error
    if len(content) > _MOST_BYTES:
        raise InvalidData(
            f"data.source: {image.name!r} has more than {_MOST_BYTES} bytes; write it without "
            "what is not of the image"
        )
    return content


def _kind_of(image: Image, content: bytes) -> Kind:
    """What the header says, before anything is decoded: its size is what decoding takes."""
    if len(content) < _HEAD.size or not content.startswith(_SIGNATURE):
        raise InvalidData(
            f"data.source: {image.name!r} is no PNG image, or is cut short; write it again as PNG"
        )
    _, _, width, height, depth, colour = _HEAD.unpack_from(content)
    if depth != _DEPTH or colour not in _CHANNELS:
        found = _COLOURS.get(colour, f"of the unknown colour type {colour}")
        raise InvalidData(
            f"data.source: {image.name!r} is {found}, with {depth} bits a channel; images are read "
            f"that are grey or RGB with {_DEPTH} bits: convert all of them (Pillow: "
            "image.convert('L'), or 'RGB')"
        )
    kind = Kind(width=width, height=height, colour=colour)
    if math.prod(kind.shape) > _MOST_NUMBERS:
        raise InvalidData(
            f"data.source: {image.name!r} is {kind}: {math.prod(kind.shape)} numbers, and each is "
            f"a column; at most {_MOST_NUMBERS} may be: make the images smaller"
        )
    return kind


def _pixels(image: Image, content: bytes) -> NDArray[Any]:
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(content), formats=["PNG"]) as file:
            file.verify()  # the check sums of all parts, which decoding does not look at
        with PIL.Image.open(io.BytesIO(content), formats=["PNG"]) as file:
            decoded = np.asarray(file)
            is_one = getattr(file, "n_frames", 1) == 1
            is_plain = "transparency" not in file.info
    except PIL.UnidentifiedImageError as error:
        raise InvalidData(
            f"data.source: {image.name!r} begins as PNG does, and its parts are damaged; write it "
            "again"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidData(
            f"data.source: {image.name!r} cannot be read as PNG: {reason}; write it again"
        ) from error
    if not is_one or not is_plain:
        why = "has a colour that is transparent" if is_one else "is an animation"
        raise InvalidData(f"data.source: {image.name!r} {why}; write it as one opaque image")
    return decoded
