"""The idx layout of MNIST (http://yann.lecun.com/exdb/mnist): a file of images, one of labels."""

from __future__ import annotations

import itertools
import math
import re
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fairlead.data.frame import Frame, named
from fairlead.errors import InvalidData

if TYPE_CHECKING:
    from numpy.typing import NDArray

TARGET = "label"
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_IMAGES = re.compile(r"images([-.]idx)\d")


def labels_name(images: str) -> str | None:
    """Name of the file of labels that belongs to a file of images; None where it has none."""
    name, count = _IMAGES.subn(r"labels\g<1>1", images)
    return name if count else None


def parse(images: bytes, labels: bytes) -> Frame:
    """Read images as rows of numbers, with their labels as the column `label`.

    Raises:
        InvalidData: A file is no idx file or is cut short, or they differ in length.
    """
    pixels, digits = _array(images, "images"), _array(labels, "labels")
    if len(pixels) != len(digits) or digits.ndim != 1:
        raise InvalidData(f"data.source: {len(pixels)} images and {digits.shape} labels")
    shape = pixels.shape[1:]
    names = ["pixel_" + "_".join(map(str, at)) for at in itertools.product(*map(range, shape))]
    flat = pixels.reshape(len(pixels), math.prod(shape))
    columns = [pa.array(np.ascontiguousarray(flat[:, at])) for at in range(flat.shape[1])]
    return named([*names, TARGET], [*columns, pa.array(digits)])


def _array(content: bytes, what: str) -> NDArray[Any]:
    if len(content) < 4 or content[:2] != b"\x00\x00" or content[2] not in _TYPES:  # noqa: PLR2004 - the layout's magic number has four bytes
        raise InvalidData(f"data.source: the file of {what} is not in the idx layout")
    kind, dimensions = np.dtype(_TYPES[content[2]]), content[3]
    start = 4 + 4 * dimensions
    shape = struct.unpack(f">{dimensions}I", content[4:start].ljust(4 * dimensions, b"\xff"))
    if len(content) - start != math.prod(shape) * kind.itemsize:
        raise InvalidData(
            f"data.source: the file of {what} has {len(content)} bytes, and its header says "
            f"{start + math.prod(shape) * kind.itemsize}: it is cut short or damaged"
        )
    values = np.frombuffer(content, kind, offset=start).reshape(shape)
    return values.astype(kind.newbyteorder("="))
