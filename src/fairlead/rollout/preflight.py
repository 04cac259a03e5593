"""Whether a route can be followed, found out before it is written.

Belongs here: which of its revisions are looked at, and what is said of one that is not good. Does
not: the proof itself (verification.py), and writing routes (routes.py).
"""

from __future__ import annotations

from fairlead.artifacts import Artifacts
from fairlead.errors import Failed, FairleadError
from fairlead.ledger.interface import Ledger
from fairlead.records import Revision, Route
from fairlead.rollout.verification import CheckCache, verify


def verify_route(
    ledger: Ledger, artifacts: Artifacts, checked: CheckCache, present: Route, wanted: Route
) -> None:
    """Prove what the route would bring into service: what is live is proved by being so.

    Where a check of the same files is known, reading and hashing these is all that it costs.

    Args:
        ledger: Knows the revisions.
        artifacts: Hold their files.
        checked: What is known of them from before.
        present: The route in force.
        wanted: The one that is to follow it.

    Raises:
        Failed: A revision is damaged, or does not do what it did when it was made.
    """
    revisions = {each.name: each for each in ledger.routes.revisions(wanted.model)}
    for name in added_revisions(present, wanted):
        _prove(ledger, artifacts, checked, revisions[name])


def added_revisions(present: Route, wanted: Route) -> list[str]:
    """The revisions that have traffic by the one route and none by the other."""
    return sorted(wanted.traffic.keys() - present.traffic.keys())


def _prove(ledger: Ledger, artifacts: Artifacts, checked: CheckCache, revision: Revision) -> None:
    try:
        proved = verify(ledger, artifacts, checked, revision, anew=False)
        artifacts.path(proved.held.file)  # what is known of a file does not say that it is there
    except FairleadError as error:
        raise Failed(
            f"routing {revision.model!r} to {revision.name}: {error}; nothing was written: restore "
            f"its files, or see `fairlead route {revision.model} --all` for another one"
        ) from error
