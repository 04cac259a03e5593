"""What becomes of revisions that nothing wants any more.

Belongs here: the rule. Does not: writing it (reconciler.py), and revisions that failed
(executor.py).
"""

from __future__ import annotations

from fairlead.records import Revision, RevisionState

_SOON = 5.0
"""Seconds that a revision may be on its way from being made to its deployment."""


def next_state(
    revision: Revision, *, now: float, followed: bool, draining: bool, elsewhere: bool
) -> RevisionState | None:
    """The state that a revision comes into, now that no route and no deployment names it.

    Args:
        revision: As it is in the ledger.
        now: By the ledger's clock.
        followed: Whether every process of every server follows the route in force.
        draining: Whether a process still answers requests with it.
        elsewhere: Whether another server carries out a deployment of the model: that one knows
            which revisions come in, and which are there to go back to.

    Returns:
        None where it stays as it is.
    """
    if elsewhere:
        return None
    match revision.state:
        case "serving":
            return "draining"
        case "draining":
            return "retired" if followed and not draining else None
        case "loading" | "ready":
            return "retired" if now - revision.changed > _SOON else None
        case _:
            return None
