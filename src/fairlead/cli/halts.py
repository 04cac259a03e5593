"""Why a run does not go on, and the program that it lacks, in a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairlead.cli.next_steps import program

if TYPE_CHECKING:
    from fairlead.control.halts import Halt


def in_words(halt: Halt, what: str = "this run", autoscalers: Sequence[str] = ()) -> str:
    """What is missing, and the command that starts it, or says why it is not there.

    Args:
        halt: What is missing.
        what: Lacks it.
        autoscalers: Names of those that decide how many workers there are.
    """
    if halt == "no_controller":
        again = f"or give `{program()} run` its spec again"
        return f"nobody carries {what}: start `{program()} controller`, {again}"
    if autoscalers:
        whose = f"autoscaler {', '.join(map(repr, autoscalers))} starts them"
        return f"no worker is alive: {whose}, see `{program()} fleet --decisions`"
    return f"no worker is alive: start `{program()} worker`"
