"""How decisions on the number of workers are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.cli.output import printable, second

if TYPE_CHECKING:
    from fairlead.records import ScalingDecision


def decision_line(decision: ScalingDecision, *, at: str | None = None) -> str:
    """A decision in a line: when, how many workers there were and are from then on, and why.

    Args:
        decision: The decision.
        at: When, if not by the clock.
    """
    from fairlead.autoscale.decide import after

    change = f"{decision.there:>3} -> {after(decision):<3}"
    return f"{at or second(decision.at)}  {change}  {printable(decision.reason)}"
