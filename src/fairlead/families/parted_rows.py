"""The rows of a fit on Spark, a part for each executor, which reads it by itself and in blocks.

The driver has none of them. What it wants to know of all it has each executor compute of its part.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

from fairlead.errors import Failed, FairleadError, Transient, Unreachable, described
from fairlead.families.family import Array, Batches, PartedRows

T = TypeVar("T")

Answer: TypeAlias = tuple[str, bool, str, Any]
"""An executor's host; whether it may be otherwise later; what failed there; what it gives."""


@dataclass(frozen=True, kw_only=True)
class PartReader:
    """Reads parts of the rows, in the processes of executors.

    Args:
        read: Gives rows, and their targets.
        rows: How many there are of all parts.
        parts: How many parts there are.
    """

    read: Callable[[slice], tuple[Batches, Array]]
    rows: int
    parts: int

    def part(self, number: int) -> tuple[Batches, Array]:
        """The rows of one part, and their targets."""
        first, last = (self.rows * at // self.parts for at in (number, number + 1))
        return self.read(slice(first, last))

    def is_readable(self, number: int) -> bool:
        """Whether it has rows; one of them is read."""
        x, _ = self.part(number)
        return len(x[:1]) > 0


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The rows of a fit, parted over executors.

    Args:
        session: Of Spark.
        reader: What each has of them.
    """

    session: Any
    reader: PartReader

    @classmethod
    def of(cls, rows: PartedRows, count: int, workers: int) -> Parts:
        """As many parts as there are workers, each with a row at least."""
        reader = PartReader(read=rows.read, rows=count, parts=min(workers, count))
        return cls(session=rows.session, reader=reader)

    @property
    def number(self) -> int:
        """How many there are."""
        return self.reader.parts

    def computed(self, compute: Callable[[int], T]) -> Sequence[T]:
        """What executors compute of each part, by its number.

        Raises:
            Failed: An executor cannot read its rows: names its host, and why.
            Unreachable: The same, where it may be otherwise later.
        """
        numbers = self.session.sparkContext.parallelize(range(self.number), self.number)
        answers: list[Answer] = numbers.map(partial(_answer, compute)).collect()
        for host, is_transient, why, _ in answers:
            if why:
                raise (Unreachable if is_transient else Failed)(
                    f"the executor on {host} cannot read its rows: {why}; executors read them from "
                    "the artefact store: each of their machines must reach it (where it is a "
                    "folder, at the same path)"
                )
        return [given for *_, given in answers]


def _answer(compute: Callable[[int], Any], number: int) -> Answer:
    """In an executor: a fault is an answer, which Spark does not try again."""
    host = socket.gethostname()
    try:
        return host, False, "", compute(number)
    except (FairleadError, OSError, MemoryError) as error:
        return host, isinstance(error, Transient), described(error), None
