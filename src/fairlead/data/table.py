"""The table: a data set after reading."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from fairlead.records import Column, Scalar, Signature

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairlead.data.features import Features
    from fairlead.data.scratch import Scratch


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
