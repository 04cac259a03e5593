"""Checkpoints: what a fit goes on from, as one file of arrays that says which fit it is of.

A numpy archive without pickle. Its head, JSON in an array of bytes, names the study, the trials and
the fold; one of another fit is refused, and so is one that is cut short or larger than may be.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fairlead.errors import Corrupt
from fairlead.gang.network import Arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMAT = 1
_HEAD = "head"
_OF_NETWORK = "network."
MOST = 8 << 30
"""Bytes that the arrays of a checkpoint may have."""
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    OSError,
    EOFError,
    KeyError,
    RuntimeError,  # its headers say that it is encrypted, or packed as nothing here can unpack
    MemoryError,  # an array says that it is larger than the machine
)
"""What the libraries raise of a file that is none."""


@dataclass(frozen=True, kw_only=True)
class FitPlace:
    """Which fit of which task a checkpoint is of.

    Args:
        study: Id of the study: it stands for spec, table and code.
        trials: Numbers of the trials that share the fit.
        fold: Number of the fold; None for the refit on all training rows.
    """

    study: str
    trials: tuple[int, ...]
    fold: int | None


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A fit under way.

    Args:
        place: Which fit.
        judged: What the folds before it came to: of each, a score or the reason that it has none,
            for each trial.
        arrays: What the network goes on from.
        curve: Scores at the ends of the epochs of the first fold, where they are judged.
    """

    place: FitPlace
    judged: tuple[tuple[float | str, ...], ...]
    arrays: Arrays
    curve: tuple[float, ...] = ()


def dump(checkpoint: Checkpoint) -> bytes:
    """The checkpoint as a file."""
    import numpy as np

    head = {
        "format": _FORMAT,
        **asdict(checkpoint.place),
        "judged": checkpoint.judged,
        "curve": checkpoint.curve,
    }
    named = {_OF_NETWORK + name: array for name, array in checkpoint.arrays.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        said = np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)
        for name, array in {_HEAD: said, **named}.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), _npy(array))
    return buffer.getvalue()


def load(content: bytes, wanted: FitPlace | None = None) -> Checkpoint:
    """What `dump` wrote.

    Args:
        content: The file.
        wanted: The fit that it must be of; None for any.

    Raises:
        Corrupt: It is no such file, is cut short, or is of another fit.
    """
    arrays = _arrays(content)
    try:
        head: Mapping[str, Any] = json.loads(bytes(arrays.pop(_HEAD)))
        place = FitPlace(study=head["study"], trials=tuple(head["trials"]), fold=head["fold"])
        judged = tuple(tuple(fold) for fold in head["judged"])
        curve = tuple(map(float, head["curve"]))
        if head["format"] != _FORMAT:
            raise Corrupt(f"a checkpoint has format {head['format']!r}, not {_FORMAT}")
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"a checkpoint does not say what it is of: {error!r}") from error
    if wanted is not None and place != wanted:
        raise Corrupt(f"a checkpoint is of {place}, not of {wanted}")
    network = {name.removeprefix(_OF_NETWORK): array for name, array in arrays.items()}
    return Checkpoint(place=place, judged=judged, arrays=network, curve=curve)


def _npy(array: NDArray[Any]) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    import numpy as np

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(one.file_size for one in archive.infolist())
            if size > MOST:
                raise Corrupt(f"a checkpoint has {size} bytes of arrays; the most are {MOST}")
        with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
            return {name: loaded[name] for name in loaded.files}
    except _UNREADABLE as error:
        raise Corrupt(f"a checkpoint cannot be read: {error}") from error
