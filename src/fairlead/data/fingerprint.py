"""The fingerprint of a table, and the hashes of its rows.

Both are digests of values, not of files. They are kept for years and compared across machines: they
must never change for the same values.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fairlead.records import Column, Digest, Scalar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fairlead.data.features import Features, Rows

_MISSING_TEXT = b"\x00" * 8
_BLOCK = 1 << 16  # rows that are hashed at a time


def fingerprint(
    columns: Sequence[Column],
    features: Features,
    target_name: str,
    target: NDArray[Any],
    classes: Sequence[Scalar] | None,
) -> Digest:
    """Digest of a table: the same for every file that says the same, whatever its format.

    Args:
        columns: The feature columns in order.
        features: Their rows.
        target_name: Name of the target column.
        target: [rows], float64 or indexes into `classes`.
        classes: The target's distinct values; None for regression.

    Returns:
        SHA-256 over names, kinds, texts and classes as JSON, then the numbers, codes and target as
        little-endian bytes with one NaN and one zero.
    """
    digest = Fingerprint(
        len(features), columns, features.categories, target_name=target_name, classes=classes
    )
    for values in (features.numbers, features.text, target):
        for start in range(0, len(values), _BLOCK):
            digest.update(values[start : start + _BLOCK])
    return digest.digest()


class Fingerprint:
    """A fingerprint in the making: it is told the numbers, the codes and the target, in parts.

    Args:
        rows: How many the table has.
        columns: The feature columns in order.
        categories: For each text column its texts, sorted.
        target_name: Name of the target column.
        classes: The target's distinct values; None for regression.
    """

    def __init__(
        self,
        rows: int,
        columns: Sequence[Column],
        categories: Sequence[Sequence[str]],
        *,
        target_name: str,
        classes: Sequence[Scalar] | None,
    ) -> None:
        says = {
            "rows": rows,
            "columns": [said(column) for column in columns],
            "categories": categories,
            "target": target_name,
            "classes": None if classes is None else list(classes),
        }
        self._hash = hashlib.sha256(json.dumps(says, sort_keys=True, ensure_ascii=True).encode())

    def update(self, rows: NDArray[Any]) -> None:
        """Some rows of the numbers, then of the codes, then of the target, each in order."""
        if rows.dtype.kind == "f":
            self._hash.update(_bits(rows).tobytes())
        else:
            self._hash.update(np.ascontiguousarray(rows, f"<i{rows.dtype.itemsize}").tobytes())

    def digest(self) -> Digest:
        """What all of it comes to."""
        return self._hash.hexdigest()


def said(column: Column) -> list[str]:
    """A column as JSON; without a type as it always was."""
    return [column.name, column.kind, *([column.type] if column.type else [])]


def row_hashes(features: Rows) -> NDArray[np.uint64]:
    """What each row is known by: its feature columns, without the target.

    Texts count by their value, not by their code, so that a row keeps its hash in a larger table.

    Returns:
        uint64 [rows]: the first 8 bytes of BLAKE2b over the row.
    """
    tables = [_texts(texts) for texts in features.categories]
    return np.concatenate([_of_block(block, tables) for block in features.blocks()])


def _of_block(block: Features, tables: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    return _hashed(np.hstack([_bits(block.numbers), _words(block.text, tables)]))


def _hashed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    width = words.shape[1] * words.itemsize
    content = memoryview(words.tobytes())
    hashes = b"".join(
        hashlib.blake2b(content[start : start + width], digest_size=8).digest()
        for start in range(0, len(content), width)
    )
    return np.frombuffer(hashes, "<u8").astype(np.uint64)


def _bits(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """The numbers as little-endian words, with one NaN and one zero."""
    plain = np.where(np.isnan(values), np.nan, values) + 0.0
    words: NDArray[np.uint64] = np.ascontiguousarray(plain, "<f8").view("<u8")
    return words


def _words(codes: NDArray[np.int32], tables: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """A word for each text cell; the code -1 of a missing one finds the last."""
    columns = [words[codes[:, at]] for at, words in enumerate(tables)]
    return np.column_stack(columns) if columns else np.empty((len(codes), 0), "<u8")


def _texts(texts: Sequence[str]) -> NDArray[np.uint64]:
    """A word for each text of a column, and one for a missing text."""
    return np.frombuffer(b"".join([*map(_word, texts), _MISSING_TEXT]), "<u8")


def _word(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
