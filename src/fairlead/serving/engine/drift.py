"""The bins that predictions are counted in, so that two revisions can be compared.

Numbers fall between the deciles of what a version predicted for its holdout; each class is a bin of
its own. Both revisions of a deployment are counted over the edges of the one that was live when it
began, or their counts could not be compared.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from fairlead.artifacts import Artifacts
from fairlead.errors import Corrupt
from fairlead.records import Candidate

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINS = 10


def edges_of(candidate: Candidate, artifacts: Artifacts) -> tuple[float, ...]:
    """The edges by a version's own holdout; none where it tells classes apart, or had no holdout.

    Raises:
        Corrupt: Its file of predictions is missing or damaged.
        Unreachable: The artefact store did not answer.
    """
    if candidate.signature.classes is not None:
        return ()
    return edges(_predicted(artifacts.get(candidate.files["holdout.npz"].digest)))


def edges(predicted: NDArray[Any]) -> tuple[float, ...]:
    """The deciles of these predictions; fewer where many are alike.

    Args:
        predicted: float [rows].
    """
    import numpy as np

    finite = predicted[np.isfinite(predicted)]
    if not len(finite):
        return ()
    inner = np.arange(1, _BINS) / _BINS
    return tuple(np.unique(np.quantile(finite, inner)).tolist())


def bins(predicted: NDArray[Any], edges: tuple[float, ...]) -> dict[int, int]:
    """How many predictions fall into each bin; empty bins are left out.

    Args:
        predicted: [rows], or probabilities [rows, classes].
        edges: Between the bins, rising: bin 0 lies below the first, and bin n begins at the nth.

    Returns:
        Number of a bin, or of the most probable class, to rows.
    """
    if len(predicted) == 1:
        row = predicted[0]
        return {bisect_right(edges, row) if predicted.ndim == 1 else int(row.argmax()): 1}
    import numpy as np

    if predicted.ndim == 1:
        found = np.searchsorted(edges, predicted, "right")
    else:
        found = predicted.argmax(axis=1)
    return {place: count for place, count in enumerate(np.bincount(found).tolist()) if count}


def _predicted(content: bytes) -> NDArray[Any]:
    import numpy as np

    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            predicted: NDArray[Any] = arrays["predicted"]
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise Corrupt(f"reading the predictions for a holdout: {error}") from error
    return predicted
