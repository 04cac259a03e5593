"""A queue: what tells idle workers that there may be tasks for them.

The ledger alone knows which tasks there are. A hint says "look there"; every one may be lost, come
twice or come late, and a worker that never gets one finds its tasks by polling. So a queue holds no
task, decides nothing, and what is wrong with it costs time, never a result.

A worker takes a hint, looks for a task in the ledger, acknowledges the hint, and only then trains:
a task that takes hours holds no hint.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Hint:
    """Tasks of a study are ready.

    Args:
        study: Its id.
        ready: How many there were; at least 1.
    """

    study: str
    ready: int = 1


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A hint that arrived, and what the queue knows it by."""

    hint: Hint
    receipt: object = field(default=None, repr=False, compare=False)


class Queue(Protocol):
    """Tells workers that tasks are ready; may be used by several threads, one `next` at a time."""

    def announce(self, hint: Hint) -> None:
        """Tell a worker that waits, or that will wait; one worker a hint, where the queue can.

        Raises:
            Unreachable: The queue did not take it in time; it may have arrived all the same.
        """
        ...

    def next(self, timeout: float) -> Delivery | None:
        """Wait for a hint; None once the timeout, in seconds, is over.

        A queue that is away is no error here: it brings nothing, and is back when it is back.
        """
        ...

    def acknowledge(self, delivery: Delivery) -> None:
        """The ledger was asked for what the hint told of. One that is not acknowledged may return.

        Waits for nothing and cannot fail: at worst the hint is repeated.
        """
        ...

    def close(self) -> None:
        """Let go of what is held; hints that were not acknowledged may return to the queue."""
        ...
