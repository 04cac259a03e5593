"""Who computes which part of a step: rules over records, with the clock as an argument.

A rank has one part at a time and gets the next when it has answered, so a slow one gets fewer. A
part whose rank says nothing, or takes far longer than parts do, is given to another rank as well:
the first answer counts, and a second is the same bits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from statistics import median

REMEMBERED = 64
"""So many of the last answers say how long a part takes."""
_HOPELESS = 10
"""A rank whose part others have answered is given up at so many times what is late."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a driver waits before it acts, in seconds.

    Args:
        quiet: A rank that says nothing for so long may be stopped: others get its part, too.
        silent: It is given up after so long.
        first: As long as nothing is known of how long parts take, one may take so long.
        least: From then on none is late before this.
        times: And it is late at so many times the usual.
        hung: A rank that still computes what others have answered is given up after so long, or
            later, where parts take that long.
        greeting: For the proof that a new connection is a rank.
        refused: For one that can open the fit, where all that are there cannot.
        opening: A rank that still opens the fit after so long cannot: it loads libraries and the
            table, and runs the user's code.
    """

    quiet: float = 3.0
    silent: float = 20.0
    first: float = 60.0
    least: float = 2.0
    times: float = 4.0
    hung: float = 120.0
    greeting: float = 10.0
    refused: float = 5.0
    opening: float = 300.0


@dataclass(frozen=True, kw_only=True)
class Held:
    """A part that a rank computes."""

    number: int
    rank: int
    since: float


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """How far a step is.

    Args:
        parts: How many it has.
        answered: Numbers of those that are answered.
        held: Those that ranks compute now, which may be answered by now.
        lost: The number of each part whose rank was lost with it, as often as that happened.
        raised: The number of each part that raised an exception, as often.
    """

    parts: int
    answered: frozenset[int] = frozenset()
    held: tuple[Held, ...] = ()
    lost: tuple[int, ...] = ()
    raised: tuple[int, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether every part is answered."""
        return len(self.answered) == self.parts


def late_after(seconds: Sequence[float], patience: Patience) -> float:
    """After how many seconds a part is late, given how long the last ones took."""
    if not seconds:
        return patience.first
    return max(patience.least, patience.times * median(seconds))


def hung_after(seconds: Sequence[float], patience: Patience) -> float:
    """After how many seconds a rank is given up whose part others have answered."""
    return max(patience.hung, _HOPELESS * late_after(seconds, patience))


def next_part(
    step: Assignment, rank: int, *, now: float, quiet: Collection[int], late: float
) -> int | None:
    """The part that an idle rank computes next; None where there is none for it.

    Args:
        step: How far the step is.
        rank: The idle one.
        now: The time.
        quiet: Ranks that say nothing.
        late: After how many seconds a part is late.
    """
    open_ = [held for held in step.held if held.number not in step.answered]
    taken = {held.number for held in open_}
    free = (one for one in range(step.parts) if one not in step.answered and one not in taken)
    if (first := next(free, None)) is not None:
        return first
    hopeful = {one.number for one in open_ if one.rank not in quiet and now - one.since < late}
    hopeless = [one for one in open_ if one.number not in hopeful and one.rank != rank]
    return min(hopeless, key=lambda held: (held.since, held.number)).number if hopeless else None


def own_part(step: Assignment, rank: int) -> int | None:
    """The part of the rank itself, of a step that all ranks compute together; None without it."""
    is_open = rank < step.parts and rank not in step.answered
    return rank if is_open and all(held.number != rank for held in step.held) else None


def given(step: Assignment, number: int, rank: int, *, now: float) -> Assignment:
    """A rank computes a part from now on."""
    return replace(step, held=(*step.held, Held(number=number, rank=rank, since=now)))


def answered(step: Assignment, number: int, rank: int) -> Assignment:
    """A rank has answered a part."""
    return replace(_put_down(step, rank), answered=step.answered | {number})


def raised(step: Assignment, number: int, rank: int) -> Assignment:
    """A part raised an exception in a rank."""
    return replace(_put_down(step, rank), raised=(*step.raised, number))


def lost(step: Assignment, rank: int) -> Assignment:
    """A rank is gone; what it computed goes back."""
    gone = [held.number for held in step.held if held.rank == rank]
    return replace(_put_down(step, rank), lost=(*step.lost, *gone))


def begun_anew(step: Assignment) -> Assignment:
    """Each part is to be computed again: its rank would wait for those that have answered."""
    return replace(step, answered=frozenset())


def _put_down(step: Assignment, rank: int) -> Assignment:
    return replace(step, held=tuple(held for held in step.held if held.rank != rank))
