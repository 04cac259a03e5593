"""The example of the digits: images by their shape, a network of one's own, shared by processes."""

from __future__ import annotations

import gzip
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets

from tests.integration.job.conftest import Place

pytestmark = pytest.mark.distributed

EXAMPLES = Path(__file__).parents[3] / "examples"


def _idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, 0x08, array.ndim, *array.shape)
    return gzip.compress(head + array.astype(">u1").tobytes(), mtime=0)


LEARNED = 0.6
"""Share of classes that a network has right which learned; chance is 0.1."""


@pytest.fixture
def digits(place: Place) -> Place:
    """Digits of 8 x 8 pixels in the layout of MNIST, which takes a network to fetch."""
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    images = np.repeat(np.repeat(x[:500].reshape(-1, 8, 8), 2, axis=1), 2, axis=2)
    (place.folder / "t10k-images-idx3-ubyte.gz").write_bytes(_idx(images * 15))
    (place.folder / "t10k-labels-idx1-ubyte.gz").write_bytes(_idx(y[:500]))
    for name in ("digits.py", "digits.yaml"):
        shutil.copy(EXAMPLES / name, place.folder)
    return place


def searched(place: Place, *sets: str) -> dict[str, Any]:
    """The one trial of the example, made smaller."""
    changes = (
        "data.source=./t10k-images-idx3-ubyte.gz",
        "data.task=classification",
        "search.over[0].params.epochs=20",
        "search.over[0].params.learning_rate=0.01",
        "search.over[0].params.units=16",
        "search.over[0].params.batch=32",
        *sets,
    )
    outcome = place.json(
        "run", "digits.yaml", "--workers", "1", *(f"--set={one}" for one in changes)
    )
    (trial,) = outcome["trials"]
    assert trial["state"] == "done"
    return dict(trial)


def test_the_example_trains_a_network_on_images_with_two_processes(digits: Place) -> None:
    assert searched(digits)["score"] > LEARNED


def test_of_shuffled_labels_the_same_network_learns_nothing(digits: Place) -> None:
    _, y = sklearn.datasets.load_digits(return_X_y=True)
    shuffled = np.random.default_rng(0).permutation(y[:500])
    (digits.folder / "t10k-labels-idx1-ubyte.gz").write_bytes(_idx(shuffled))
    assert searched(digits, "train.workers=1")["score"] < 0.25
