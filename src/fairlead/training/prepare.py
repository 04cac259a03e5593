"""Preprocessing: imputation and one-hot encoding of the columns.

A preparation is fitted on the rows that a model is fitted on and on no others: on each fold's
training rows, or for a refit on all training rows. Its ONNX form is made by export.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from fairlead.data.features import FeatureRows, Features, Rows, block_slices

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairlead.spec.document import Data

    Floats: TypeAlias = NDArray[np.float64]
    Codes: TypeAlias = NDArray[np.int32]

_COPIES = 4  # of columns that are gathered from rows not in memory: their parts, and the imputer's
_FEWEST = 2  # columns: numpy sums one by itself in another order than several
MISSING = ""
"""The text that represents a missing one: a category of its own, in Python as in ONNX."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """A fitted preparation: number columns first, then each text column's categories.

    Args:
        fill: float64 [number columns], imputed for a missing number; None to leave it missing.
        vocabulary: For each text column the texts that the fitting rows held, sorted; each has a
            column of ones and zeros, and a text that is none of them has zeros in all.
    """

    fill: Floats | None
    vocabulary: tuple[tuple[str, ...], ...]

    @classmethod
    def fit(cls, features: Rows, data: Data) -> Preparation:
        """Learn from the rows of one fold what the spec's `impute` and `encode` need.

        A column that is missing in all of these rows is filled with 0 (or with the constant), so
        that the width never depends on the rows.

        Args:
            features: The rows that the model will be fitted on.
            data: The spec's section.
        """
        return cls(fill=_fill(features, data), vocabulary=_vocabulary(features))

    def transform(self, features: Rows) -> Floats | PreparedRows:
        """The features, float64 [rows, width]; the same array where there is nothing to do.

        Of rows that are not in memory they are made when they are asked for.
        """
        if isinstance(features, FeatureRows):
            return PreparedRows(preparation=self, rows=features)
        return self.of_block(features)

    def of_block(self, features: Features) -> Floats:
        """The same of rows that are in memory."""
        numbers = self._numbers(features.numbers)
        if not self.vocabulary:
            return numbers
        import numpy as np

        return np.hstack([numbers, *self._encoded(features)])

    @property
    def width(self) -> int:
        """Columns of the encoded text."""
        return sum(map(len, self.vocabulary))

    def _numbers(self, numbers: Floats) -> Floats:
        import numpy as np

        missing = np.isnan(numbers)
        if self.fill is None or not missing.any():
            return numbers
        return np.where(missing, self.fill, numbers)

    def _encoded(self, features: Features) -> list[Floats]:
        return [
            one_hot(features.text[:, column], features.categories[column], texts)
            for column, texts in enumerate(self.vocabulary)
        ]


UNPREPARED = Preparation(fill=None, vocabulary=())
"""Numbers as they are."""


@dataclass(frozen=True, kw_only=True)
class PreparedRows:
    """Prepared rows that are not in memory: `Batches` for a family.

    Args:
        preparation: What is done to them.
        rows: Which they are.
    """

    preparation: Preparation
    rows: FeatureRows

    @property
    def shape(self) -> tuple[int, int]:
        """As an array's."""
        numbers = self.rows.features.numbers.shape[1]
        return len(self.rows), numbers + self.preparation.width

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Floats:
        """These rows, in their order."""
        return self.preparation.of_block(self.rows.read(rows))

    def blocks(self) -> Iterator[Floats]:
        """All rows in order, some at a time."""
        return (self[rows] for rows in block_slices(self.rows))

    def take(self, rows: NDArray[np.intp]) -> PreparedRows:
        """These rows, in this order; nothing is read."""
        return PreparedRows(preparation=self.preparation, rows=self.rows.take(rows))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Floats:  # noqa: FBT001 - as numpy has it
        """All rows at once."""
        import numpy as np

        if copy is False:
            raise ValueError("rows that are not in memory are an array only as a copy")
        whole: Floats = np.empty(self.shape, dtype=dtype or np.float64)
        at = 0
        for block in self.blocks():
            whole[at : at + len(block)] = block
            at += len(block)
        return whole

    def copy(self) -> PreparedRows:
        """The same: what is read of them is a copy anyway."""
        return self


def one_hot(codes: Codes, categories: tuple[str, ...], texts: tuple[str, ...]) -> Floats:
    """Ones and zeros [rows, texts], as scikit-learn's OneHotEncoder gives for these categories.

    Categories are looked up once each and not once a row, which is what the codes are for.

    Args:
        codes: Indexes into `categories`; -1 is missing.
        categories: Of the table that the rows are from, which may not be the one fitted on.
        texts: The categories that have a column, sorted.
    """
    import numpy as np

    places = {text: place for place, text in enumerate(texts)}
    unknown = len(texts)
    lookup = np.array([places.get(text, unknown) for text in (*categories, MISSING)])
    columns = lookup[codes]
    known = np.flatnonzero(columns < unknown)
    rows: Floats = np.zeros((len(codes), unknown))
    rows[known, columns[known]] = 1.0
    return rows


def _fill(features: Rows, data: Data) -> Floats | None:
    import numpy as np

    whole = features.features if isinstance(features, FeatureRows) else features
    if data.impute is None or not whole.numbers.shape[1]:
        return None
    how: dict[str, Any] = (
        {"strategy": data.impute}
        if isinstance(data.impute, str)
        else {"strategy": "constant", "fill_value": float(data.impute)}
    )
    return np.concatenate([_statistics(numbers, how) for numbers in _columns(features)])


def _columns(features: Rows) -> Iterator[Floats]:
    """The numbers, some columns at a time where the rows are not in memory."""
    if isinstance(features, Features):
        yield features.numbers
        return
    width = features.features.numbers.shape[1]
    at_once = max(_FEWEST, features.memory // (_COPIES * 8 * max(1, len(features))))
    starts = [*range(0, width, at_once)]
    if width - starts[-1] < _FEWEST and len(starts) > 1:
        starts.pop()
    for start, end in zip(starts, [*starts[1:], width], strict=True):
        yield _gathered(features, slice(start, end))


def _gathered(features: FeatureRows, columns: slice) -> Floats:
    import numpy as np

    # copies: a view of a block would keep all of it
    return np.concatenate([block.numbers[:, columns].copy() for block in features.blocks()])


def _statistics(numbers: Floats, how: Mapping[str, Any]) -> Floats:
    import numpy as np
    from sklearn.impute import SimpleImputer

    imputer = SimpleImputer(keep_empty_features=True, **how).fit(numbers)
    return np.asarray(imputer.statistics_, dtype=np.float64)


def _vocabulary(features: Rows) -> tuple[tuple[str, ...], ...]:
    import numpy as np

    found: list[set[int]] = [set() for _ in features.categories]
    for block in features.blocks() if found else ():
        for column, codes in enumerate(found):
            codes.update(np.unique(block.text[:, column]).tolist())
    return tuple(
        tuple(sorted({(*texts, MISSING)[code] for code in codes}))
        for texts, codes in zip(features.categories, found, strict=True)
    )
