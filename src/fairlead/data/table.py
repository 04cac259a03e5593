"""The table: a data set after reading."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from fairlead.records import Column, Scalar, Signature

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairlead.data.scratch import Scratch


@dataclass(frozen=True, kw_only=True)
class Features:
    """Rows of feature columns: numbers and text apart, each in the order of the columns.

    Args:
        numbers: float64 [rows, numbers of the signature]; a missing number is NaN.
        text: int32 [rows, text columns]: codes into `categories`; a missing text is -1.
        categories: For each text column its texts, sorted.
    """

    numbers: NDArray[np.float64]
    text: NDArray[np.int32]
    categories: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        """Number of rows."""
        return int(self.numbers.shape[0])

    @property
    def size(self) -> int:
        """Bytes of its arrays."""
        return int(self.numbers.nbytes + self.text.nbytes)

    def take(self, rows: NDArray[np.intp]) -> Features:
        """These rows, in this order, as a copy."""
        return Features(
            numbers=self.numbers[rows], text=self.text[rows], categories=self.categories
        )


@dataclass(frozen=True, kw_only=True)
class Table:
    """A data set after reading.

    Args:
        columns: The feature columns in the order of the file.
        features: Their rows.
        target_name: Name of the target column.
        target: float64 [rows] for regression; int64 [rows], indexes into `classes`, otherwise.
        classes: The target's distinct values, sorted; None for regression.
        fingerprint: Digest of all of the above, the same for every file that says the same.
        missing: Texts that stand for a missing one in a text column; as `Signature.missing`.
        notes: What a person should know of how it was read, a line each; they are not kept.
        hashes: uint64 [rows], what each row is known by, where that was found out before.
        scratch: The folder of the files that its arrays are maps of, which goes with it.
    """

    columns: tuple[Column, ...]
    features: Features
    target_name: str
    target: NDArray[np.float64] | NDArray[np.int64]
    classes: tuple[Scalar, ...] | None
    fingerprint: str
    missing: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    hashes: NDArray[np.uint64] | None = None
    scratch: Scratch | None = field(default=None, repr=False, compare=False)

    @cached_property
    def row_hashes(self) -> NDArray[np.uint64]:
        """What each row is known by, uint64 [rows]."""
        from fairlead.data.fingerprint import row_hashes

        return row_hashes(self.features) if self.hashes is None else self.hashes

    @property
    def signature(self) -> Signature:
        """What a model of this table takes and gives."""
        return Signature(
            columns=self.columns,
            target=self.target_name,
            classes=self.classes,
            missing=self.missing,
        )
