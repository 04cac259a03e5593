"""Which rows each part of each step of a fit is computed from.

All of it follows from the seed and the numbers of epoch, step and part, so that whoever computes a
part draws the same rows and the same dropout. A step is either one batch, cut into parts, or
(averaging) a round of several batches that each part takes of its own share of the rows, or
(allreduce) a round of several batches that all parts take together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.intp]

_VALIDATION = 1 << 63
"""In place of an epoch's number, for the draw of the rows that a fit is stopped by."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The steps of one fit.

    Args:
        rows: How many rows are fitted on.
        batch: Rows of one batch; the last one of an epoch may be smaller.
        epochs: How many times each row is seen.
        seed: Of the order of the rows.
        parts: In how many parts a step is computed.
        local: Batches that a part takes by itself in one step; None where it takes none so.
        together: Batches that all parts take together in one step; None where a step is one batch.
    """

    rows: int
    batch: int
    epochs: int
    seed: int
    parts: int
    local: int | None = None
    together: int | None = None

    @property
    def batches(self) -> int:
        """Batches of an epoch; where they are local, those of the largest share."""
        own = self.rows if self.local is None else _over(self.rows, self.parts)
        return _over(own, self.batch)

    @property
    def taken(self) -> int:
        """Batches of one step, but for the last of an epoch."""
        return self.local or self.together or 1

    @property
    def steps_of_epoch(self) -> int:
        """Steps of one epoch; a round of local batches ends with its epoch."""
        return _over(self.batches, self.taken)

    @property
    def steps(self) -> int:
        """Steps of the whole fit."""
        return self.steps_of_epoch * self.epochs

    def ended(self, step: int) -> int | None:
        """The number of epochs that are over after this step, where it is the last of one."""
        epoch, place = divmod(step + 1, self.steps_of_epoch)
        return epoch if place == 0 else None

    def seen(self, step: int) -> float:
        """How many times all rows have been seen after this step."""
        epoch, place = divmod(step + 1, self.steps_of_epoch)
        return epoch + min(1.0, place * self.taken / self.batches)

    def batches_before(self, step: int) -> int:
        """Batches that have been taken before this step: updates of an optimizer."""
        epoch, place = divmod(step, self.steps_of_epoch)
        return epoch * self.batches + place * self.taken

    def part(self, step: int, number: int) -> Rows:
        """The rows of one part of a step that is one batch; there may be none."""
        import numpy as np

        epoch, place = divmod(step, self.steps_of_epoch)
        rows = self._order(epoch)[place * self.batch :][: self.batch]
        return np.array_split(rows, self.parts)[number]

    def share(self, step: int, number: int) -> Iterator[tuple[int, Rows]]:
        """The batches of one part of a round, each after its number within the fit."""
        epoch, place = divmod(step, self.steps_of_epoch)
        own = self._order(epoch)[number :: self.parts]
        first = place * (self.local or 1)
        for batch in range(first, min(first + (self.local or 1), self.batches)):
            yield epoch * self.batches + batch, own[batch * self.batch :][: self.batch]

    def common(self, step: int) -> Iterator[tuple[int, list[Rows]]]:
        """The batches of a round that all parts take together: the rows of each part."""
        import numpy as np

        epoch, place = divmod(step, self.steps_of_epoch)
        first = place * self.taken
        for batch in range(first, min(first + self.taken, self.batches)):
            rows = self._order(epoch)[batch * self.batch :][: self.batch]
            yield epoch * self.batches + batch, np.array_split(rows, self.parts)

    def _order(self, epoch: int) -> Rows:
        return _permutation(self.rows, self.seed, epoch)


def held_out(rows: int, share: float, seed: int) -> tuple[Rows, Rows]:
    """Rows to fit on, and those that the fit is stopped by, each in rising order.

    Args:
        rows: How many there are.
        share: Of the latter; at least one row is left for each where it is above 0.
        seed: Of the draw.
    """
    import numpy as np

    order = _permutation(rows, seed, _VALIDATION)
    count = min(max(1, round(rows * share)), rows - 1) if share else 0
    return np.sort(order[count:]), np.sort(order[:count])


def draw(seed: int, layer: int, batch: int, part: int) -> tuple[int, int]:
    """The state of one layer's generator of random numbers at the beginning of a part."""
    import numpy as np

    first, second = np.random.SeedSequence((seed, layer, batch, part)).generate_state(2)
    return int(first >> 1), int(second >> 1)  # Keras takes 31 bits of each


@lru_cache(maxsize=2)
def _permutation(rows: int, seed: int, epoch: int) -> Rows:
    import numpy as np

    key = np.array([seed, epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(rows)


def _over(count: int, size: int) -> int:
    return -(-count // size)
