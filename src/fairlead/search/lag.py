"""The lag rule: what a trial may look at.

Belongs here: cutting a history to the results that trial n is a function of. Does not: what is
made of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.records import Result


def visible(history: Sequence[Result], *, number: int, lag: int) -> Sequence[Result]:
    """The results of trials 0 .. number - lag - 1.

    Args:
        history: Results in trial order, without gaps.
        number: The trial that looks.
        lag: How many trials before it are not looked at.

    Raises:
        ValueError: Some are missing or out of order: a trial drawn from them would be another one.
    """
    seen = history[: max(0, number - lag)]
    if len(seen) < number - lag:
        raise ValueError(
            f"trial {number} looks at the results of trials up to {number - lag - 1}, "
            f"and only {len(seen)} are given"
        )
    if seen and seen[-1].number != len(seen) - 1:
        raise ValueError(f"result {len(seen) - 1} in trial order is of trial {seen[-1].number}")
    return seen
