from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairlead.errors import Corrupt
from fairlead.gang.checkpoint import Checkpoint, FitPlace, dump, load

PLACE = FitPlace(study="abc-1", trials=(3, 5), fold=1)
KEPT = Checkpoint(
    place=PLACE,
    judged=((0.5, "3 predictions are not finite numbers"),),
    arrays={"weights": np.arange(5, dtype=np.float32), "step": np.asarray(7)},
    curve=(0.1 + 0.2, 1 / 3),
)


def test_a_checkpoint_comes_back_as_it_was() -> None:
    back = load(dump(KEPT), PLACE)
    assert back.place == PLACE
    assert (back.judged, back.curve) == (KEPT.judged, KEPT.curve)
    assert {name: array.tolist() for name, array in back.arrays.items()} == {
        "weights": [0.0, 1.0, 2.0, 3.0, 4.0],
        "step": 7,
    }


def test_the_same_fit_gives_the_same_bytes() -> None:
    assert dump(KEPT) == dump(KEPT)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_one_that_is_cut_short_is_refused(share: float) -> None:
    content = dump(KEPT)
    with pytest.raises(Corrupt, match="checkpoint cannot be read"):
        load(content[: int(len(content) * share)], PLACE)


@pytest.mark.parametrize("place", range(len(dump(KEPT))))
def test_one_with_a_byte_changed_is_refused_or_has_the_same_arrays(place: int) -> None:
    content = bytearray(dump(KEPT))
    content[place] ^= 0xFF
    try:
        back = load(bytes(content), PLACE)
    except Corrupt:
        return
    assert (back.judged, back.curve) == (KEPT.judged, KEPT.curve)
    for name, array in back.arrays.items():  # one may be lost, which the network misses
        assert array.tobytes() == KEPT.arrays[name].tobytes()


@pytest.mark.parametrize(
    "wanted",
    [
        FitPlace(study="abd-1", trials=(3, 5), fold=1),
        FitPlace(study="abc-1", trials=(3,), fold=1),
        FitPlace(study="abc-1", trials=(3, 5), fold=None),
    ],
)
def test_one_of_another_fit_is_refused(wanted: FitPlace) -> None:
    with pytest.raises(Corrupt, match="is of"):
        load(dump(KEPT), wanted)


def test_objects_in_it_are_refused() -> None:
    spoiled = Checkpoint(place=PLACE, judged=(), arrays={"x": np.asarray([{}], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle"):
        dump(spoiled)


def test_an_archive_that_says_nothing_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    np.savez(file, weights=np.zeros(3))
    with pytest.raises(Corrupt, match="does not say what it is of"):
        load(file.read_bytes())
