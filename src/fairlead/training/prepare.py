"""Preprocessing: imputation and one-hot encoding of the columns.

A preparation is fitted on the rows that a model is fitted on and on no others: on each fold's
training rows, or for a refit on all training rows. Its ONNX form is made by export.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairlead.data.table import Features
    from fairlead.spec.document import Data

    Floats: TypeAlias = NDArray[np.float64]
    Codes: TypeAlias = NDArray[np.int32]

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
    def fit(cls, features: Features, data: Data) -> Preparation:
        """Learn from the rows of one fold what the spec's `impute` and `encode` need.

        A column that is missing in all of these rows is filled with 0 (or with the constant), so
        that the width never depends on the rows.

        Args:
            features: The rows that the model will be fitted on.
            data: The spec's section.
        """
        return cls(fill=_fill(features.numbers, data), vocabulary=_vocabulary(features))

    def transform(self, features: Features) -> Floats:
        """The features, float64 [rows, width]; the same array where there is nothing to do."""
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


def _fill(numbers: Floats, data: Data) -> Floats | None:
    if data.impute is None or not numbers.shape[1]:
        return None
    import numpy as np
    from sklearn.impute import SimpleImputer

    how: dict[str, Any] = (
        {"strategy": data.impute}
        if isinstance(data.impute, str)
        else {"strategy": "constant", "fill_value": float(data.impute)}
    )
    imputer = SimpleImputer(keep_empty_features=True, **how).fit(numbers)
    return np.asarray(imputer.statistics_, dtype=np.float64)


def _vocabulary(features: Features) -> tuple[tuple[str, ...], ...]:
    import numpy as np

    return tuple(
        tuple(sorted({(*texts, MISSING)[code] for code in np.unique(features.text[:, column])}))
        for column, texts in enumerate(features.categories)
    )
