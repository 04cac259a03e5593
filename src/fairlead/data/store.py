"""Tables in the artefact store: arrays as .npy artefacts, named by a small one in JSON.

What each row of a large table is known by is kept with it, so that no step reads all rows for that.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fairlead.artifacts.backend import is_digest
from fairlead.data.features import Features
from fairlead.data.fingerprint import said
from fairlead.data.table import Table
from fairlead.records import CellType, Column, ColumnKind, Digest, File

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Artifacts(Protocol):
    """What is needed of the artefact store."""

    def put(self, content: bytes) -> File:
        """Keep these bytes."""
        ...

    def adopt(self, path: Path, digest: Digest) -> None:
        """Keep this file, to which nobody writes any more."""
        ...

    def get(self, digest: Digest) -> bytes:
        """The bytes of this digest. Raises Corrupt."""
        ...

    def path(self, digest: Digest) -> Path:
        """A local file with the bytes of this digest. Raises Corrupt."""
        ...


LARGE = 256 << 20
"""Bytes of features from which on what each row is known by is kept."""


def save(table: Table, artifacts: Artifacts) -> Digest:
    """Keep a table; the same table always has the same digest.

    Returns:
        Digest of the artefact in JSON that names all others.
    """
    arrays: dict[str, NDArray[Any]] = {
        "numbers": table.features.numbers,
        "text": table.features.text,
        "target": table.target,
    }
    if table.features.size >= LARGE:  # and of no other: a table has one digest, however it was read
        arrays["hashes"] = table.row_hashes
    says = {
        "arrays": {name: _kept(array, artifacts) for name, array in arrays.items()},
        "columns": [said(column) for column in table.columns],
        "categories": table.features.categories,
        "target": table.target_name,
        "classes": table.classes,
        "fingerprint": table.fingerprint,
        "missing": table.missing,
    }
    return artifacts.put(json.dumps(says, sort_keys=True).encode()).digest


def load(digest: Digest, artifacts: Artifacts) -> Table:
    """The table that `save` kept; its arrays are read-only maps of the store's files.

    Raises:
        Corrupt: An artefact is not what its digest says.
    """
    says = json.loads(artifacts.get(digest))
    arrays = {name: _mapped(artifacts.path(kept)) for name, kept in says["arrays"].items()}
    return Table(
        columns=tuple(_column(*column) for column in says["columns"]),
        features=_features(arrays, says),
        target_name=says["target"],
        target=arrays["target"],
        classes=None if says["classes"] is None else tuple(says["classes"]),
        fingerprint=says["fingerprint"],
        missing=None if says.get("missing") is None else tuple(says["missing"]),
        hashes=arrays.get("hashes"),
    )


def _column(name: str, kind: ColumnKind, cells: CellType | None = None) -> Column:
    return Column(name=name, kind=kind, type=cells)


def parts(digest: Digest, artifacts: Artifacts) -> tuple[Digest, ...]:
    """The artefacts that a kept table is made of, the one that names them included."""
    return (digest, *json.loads(artifacts.get(digest))["arrays"].values())


def _features(arrays: Mapping[str, NDArray[Any]], says: Mapping[str, Any]) -> Features:
    return Features(
        numbers=arrays["numbers"],
        text=arrays["text"],
        categories=tuple(tuple(texts) for texts in says["categories"]),
    )


def _kept(array: NDArray[Any], artifacts: Artifacts) -> Digest:
    """Keep an array; one that is the map of a whole file is not read."""
    if (path := _file_of(array)) is None:
        return artifacts.put(_npy(array)).digest
    artifacts.adopt(path, path.name)
    return path.name


def _file_of(array: NDArray[Any]) -> Path | None:
    """The file that an array is the map of, if it is named by the digest of its bytes."""
    if not isinstance(array, np.memmap) or array.filename is None or array.mode != "r":
        return None
    path = Path(array.filename)
    if not is_digest(path.name) or not path.is_file():
        return None
    whole = np.load(path, mmap_mode="r", allow_pickle=False)
    same = (whole.shape, whole.dtype, whole.strides) == (array.shape, array.dtype, array.strides)
    return path if same else None


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


def _mapped(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
