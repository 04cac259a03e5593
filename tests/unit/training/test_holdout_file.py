"""The file of holdout predictions is the same whichever Python writes it."""

from __future__ import annotations

import hashlib
import io

import numpy as np

from fairlead.study.reproduce import _of_members
from fairlead.training.refit import _npz

ROWS = np.arange(3, dtype=np.int64)
TRUE, PREDICTED = np.ones(3), np.zeros(3)
DIGEST = "b6aedd94040d13e2b9183b83c74d2594e3403c82d70601a54f82c3beeb6e9ea7"


def test_its_bytes_are_those_of_each_python() -> None:
    written = _npz(ROWS, TRUE, PREDICTED)
    assert hashlib.sha256(written).hexdigest() == DIGEST
    with np.load(io.BytesIO(written), allow_pickle=False) as arrays:
        assert arrays["rows"].tolist() == [0, 1, 2]
        assert arrays["true"].tolist() == [1.0] * 3
        assert arrays["predicted"].tolist() == [0.0] * 3


def test_one_that_numpy_wrote_is_compared_by_what_is_in_it() -> None:
    old = io.BytesIO()
    np.savez(old, rows=ROWS, true=TRUE, predicted=PREDICTED)
    other = _npz(ROWS, TRUE, np.full(3, 0.5))
    assert _of_members(old.getvalue()) == _of_members(_npz(ROWS, TRUE, PREDICTED))
    assert _of_members(old.getvalue()) != _of_members(other)
