"""How many candidates the same holdout rows have judged.

Data grows, and with it the rows that judge. If each set of rows had a count of its own, one row
more would begin a new one, and trying again after every small delivery of data would win by luck
as surely as trying again without counting. So a judgement counts for all rows that are mostly its
own: at least half of the smaller of both sets must be in the other one. A set that grows or
shrinks keeps its count whole; one that is another by more than half begins its own, whichever few
rows both happen to have.

What is kept of a set is its rows with the smallest hashes. Hashes are as good as random, so these
are a random sample, and the same rows are in the sample of every set that has them (the bottom-k
sketch of Cohen and Kaplan, Summarizing data using bottom-k sketches, 2007).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.records import Digest, Judgement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLE = 4096
"""Rows kept of a set, 32 kB. One that has no more is kept whole; of two larger ones that are of a
size, the share that both have is known to 1 % (1 / (2 sqrt(4096)) is a standard error)."""
TELLING = 100
"""Rows of the smaller set that can tell the share where not all are known: then to 5 %."""
HALF = 0.5
_EVERYWHERE = 2**64 - 1


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of some rows: whether this version is better than this champion."""

    version: int
    champion: int | None
    rows: Digest
    sample: bytes


def sample(hashes: NDArray[np.uint64]) -> bytes:
    """What is kept of a set of rows.

    Args:
        hashes: uint64 [rows].
    """
    import numpy as np

    return np.unique(hashes)[:SAMPLE].astype("<u8").tobytes()


def tally(question: Question, earlier: Sequence[Judgement], samples: Mapping[Digest, bytes]) -> int:
    """How many candidates these rows have judged once they have answered this question.

    The same question again is no new one: it keeps the count that it had. A version that comes
    back with another (another champion, more rows) counts once more, since a second look is a
    second chance to win by luck. Verdicts without a comparison spent nothing, and count nothing.

    Args:
        question: The one to answer.
        earlier: The model's judgements.
        samples: Of the rows that these rest on; rows that are not known count as the same.
    """
    answered = [entry for entry in earlier if entry.verdict.difference is not None]
    mine = (question.version, question.champion, question.rows)
    again = [entry.verdict.judged for entry in answered if _asked(entry) == mine]
    if again:
        return again[-1]
    same = {
        rows
        for rows in {entry.rows for entry in answered}
        if rows == question.rows or _mostly_the_same(question.sample, samples.get(rows))
    }
    return 1 + len({_asked(entry) for entry in answered if entry.rows in same})


def shared(one: bytes, other: bytes) -> float:
    """The share of the smaller set's rows that are in the other set too; 1 where it is not known.

    Args:
        one: The sample of a set.
        other: That of another; up to the end of the shorter-reaching one, both know every row.
    """
    import numpy as np

    first, second = (np.frombuffer(each, dtype="<u8") for each in (one, other))
    end = min(_reach(first), _reach(second))
    first, second = first[first <= end], second[second <= end]
    smaller = min(len(first), len(second))
    if smaller < TELLING and end < _EVERYWHERE:
        return 1.0
    return len(np.intersect1d(first, second, assume_unique=True)) / max(smaller, 1)


def _asked(judgement: Judgement) -> tuple[int, int | None, Digest]:
    return judgement.version, judgement.champion, judgement.rows


def _mostly_the_same(mine: bytes, theirs: bytes | None) -> bool:
    return theirs is None or shared(mine, theirs) >= HALF


def _reach(kept: NDArray[Any]) -> int:
    """The largest hash up to which the sample has every row of its set."""
    return int(kept[-1]) if len(kept) >= SAMPLE else _EVERYWHERE
