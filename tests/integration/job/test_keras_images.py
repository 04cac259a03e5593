"""The example of the digits: images by their shape, a network of one's own, shared by processes."""

from __future__ import annotations

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from tests.integration.job.conftest import Place

pytestmark = pytest.mark.distributed

EXAMPLES = Path(__file__).parents[3] / "examples"


def _idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, 0x08, array.ndim, *array.shape)
    return gzip.compress(head + array.astype(">u1").tobytes(), mtime=0)


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


def test_the_example_trains_a_network_on_images_with_two_processes(digits: Place) -> None:
    outcome = digits.json(
        *("run", "digits.yaml", "--set", "data.source=./t10k-images-idx3-ubyte.gz"),
        *("--set", "data.task=classification"),
        *("--set", "search.over[0].params.epochs=12", "--set", "search.over[0].params.units=16"),
        *("--set", "search.over[0].params.batch=32", "--workers", "1"),
    )
    (trial,) = outcome["trials"]
    assert trial["state"] == "done"
    assert trial["score"] > 0.5  # chance is 0.1
