"""Checks before a route that a person asks for is written: can its revisions be served?

Only revisions that the route would bring into service are verified; those that are live were
verified before and are being served. Where a check of the same files is cached, reading and hashing
these is all that it costs.
"""

from __future__ import annotations

from fairlead.artifacts import Artifacts
from fairlead.errors import Failed, FairleadError, NextStep
from fairlead.ledger.interface import Ledger
from fairlead.records import Revision, Route
from fairlead.rollout.verification import CheckCache, verify


def verify_route(
    ledger: Ledger, artifacts: Artifacts, cache: CheckCache, present: Route, wanted: Route
) -> None:
    """Verify each revision that the route would bring into service.

    Args:
        ledger: Knows the revisions.
        artifacts: Hold their files.
        cache: What earlier checks have found.
        present: The route in force.
        wanted: The one that is to follow it.

    Raises:
        Failed: A revision is damaged, or does not predict what it did when it was made.
    """
    revisions = {each.name: each for each in ledger.routes.revisions(wanted.model)}
    for name in added_revisions(present, wanted):
        _verify(ledger, artifacts, cache, revisions[name])


def added_revisions(present: Route, wanted: Route) -> list[str]:
    """The revisions that have traffic by `wanted` and none by `present`."""
    return sorted(wanted.traffic.keys() - present.traffic.keys())


def _verify(ledger: Ledger, artifacts: Artifacts, cache: CheckCache, revision: Revision) -> None:
    try:
        verified = verify(ledger, artifacts, cache, revision, recheck=False)
        artifacts.path(verified.held.file)  # a cached check does not say that the file is there
    except FairleadError as error:
        others = NextStep(
            "route", {"model": revision.model, "everything": True}, "lists other revisions"
        )
        raise Failed(
            f"routing {revision.model!r} to {revision.name}: {error}; nothing was written: restore "
            "its files, or choose another revision",
            next_steps=(others,),
        ) from error
