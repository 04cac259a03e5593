"""The precision of numbers: those that float32 rounds, although they are whole numbers or nearly.

Exported models take float32, which has 24 binary digits: from 16,777,216 on it skips whole numbers.
A time in unix seconds is rounded to 128 of them, so that a model that was trained on the time
itself may predict something else. Smaller numbers are rounded, too, by less than most were measured
to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairlead.data.features import Rows
    from fairlead.records import Signature

WHOLE = 1 << 24
"""From here on float32 skips whole numbers."""


def rounded(features: Rows, signature: Signature) -> tuple[str, ...]:
    """Number columns with numbers beyond `WHOLE` that float32 rounds, in their order.

    Args:
        features: The rows to look at.
        signature: Names the columns.
    """
    import numpy as np

    lost = np.zeros(len(signature.numbers), dtype=np.bool_)
    with np.errstate(invalid="ignore", over="ignore"):
        for block in features.blocks():
            numbers = block.numbers
            odd = (np.abs(numbers) > WHOLE) & (numbers != numbers.astype(np.float32))
            lost |= odd.any(axis=0)
    return tuple(name for name, any_lost in zip(signature.numbers, lost, strict=True) if any_lost)


def advice(columns: tuple[str, ...]) -> str:
    """What is the case with these columns, and a way on; a clause for a message."""
    named = ", ".join(map(repr, columns))
    one = len(columns) == 1
    return (
        f"{'column' if one else 'columns'} {named} {'has' if one else 'have'} numbers beyond "
        f"{WHOLE:,} that an exported model's float32 rounds: subtract a constant such as the "
        f"smallest in the file, or leave {'it' if one else 'them'} out (data.drop)"
    )
