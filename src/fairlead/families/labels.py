"""Class indexes and the columns of probabilities.

Belongs here: what is done about rows that miss a class of the table. Does not: models.
"""

from __future__ import annotations

from fairlead.errors import Failed
from fairlead.families.family import Array, Fitted


def seen_in(y: Array) -> tuple[int, ...]:
    """The class indexes that these rows hold, in rising order.

    Raises:
        Failed: There is one class only, so nothing to tell apart.
    """
    import numpy as np

    seen = tuple(int(label) for label in np.unique(y))
    if len(seen) == 1:
        raise Failed(
            f"all {len(y)} training rows are of class number {seen[0]}: a classifier needs two "
            "classes; use fewer folds, or more rows"
        )
    return seen


def compacted(y: Array, seen: tuple[int, ...]) -> Array:
    """Class indexes renumbered from 0 without gaps, as XGBoost wants them."""
    import numpy as np

    return np.searchsorted(np.asarray(seen), y)


def widened(probabilities: Array, fitted: Fitted) -> Array:
    """Probabilities with a column for every class of the table: 0 for those never seen."""
    import numpy as np

    if len(fitted.seen) == fitted.classes:
        return probabilities
    wide = np.zeros((len(probabilities), fitted.classes or 0), probabilities.dtype)
    wide[:, fitted.seen] = probabilities
    return wide
