"""Rules over a model's history of promotions and judgements.

A history is only appended to, so undoing is an entry too: a rollback takes the champion off a stack
of champions, and the one below is champion again. Another rollback takes that one off as well; a
promotion after it goes on top of what is left.
"""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.records import Promotion


def pile(history: Sequence[Promotion]) -> tuple[int, ...]:
    """Versions that a rollback can still reach, the champion last.

    Args:
        history: The oldest first.
    """
    standing: list[int] = []
    for promotion in history:
        if promotion.kind == "rollback":
            standing.pop()
        else:
            standing.append(promotion.version)
    return tuple(standing)


def taken_down(history: Sequence[Promotion], version: int) -> Promotion | None:
    """How a person ended the version's last time as champion; None where no person did.

    Such a version comes back only by a person: running its spec again must not undo a rollback.
    """
    ends = [entry for entry in history if entry.previous == version]
    return ends[-1] if ends and ends[-1].kind != "gate" else None
