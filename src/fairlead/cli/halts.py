"""Why a run does not go on, and the program that it lacks, in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairlead.cli.next_steps import program

if TYPE_CHECKING:
    from fairlead.control.halts import Halt


def in_words(halt: Halt, what: str = "this run") -> str:
    """What is missing, and the command that starts it."""
    if halt == "no_worker":
        return f"no worker is alive: start `{program()} worker`"
    return f"nobody carries {what}: start `{program()} controller`"
