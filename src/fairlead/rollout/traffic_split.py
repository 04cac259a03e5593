"""The percents of a route: who has the most, and how a new revision gets its share.

All pure. Choosing a revision for one request is the serving processes' work.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from fairlead.records import Revision, Route

FULL = 100


def out_of_service_reason(route: Route) -> str:
    """Since when and why no revision has traffic, in a line; empty where one has."""
    if route.traffic:
        return ""
    at = datetime.fromtimestamp(route.at, UTC)
    return f"out of service since {at:%Y-%m-%dT%H:%M:%SZ}: {' '.join(route.why.split())}"


def main_revision(route: Route, revisions: Mapping[str, Revision]) -> Revision | None:
    """The revision that has the most traffic, of equals the newest version; None where none has.

    Args:
        route: Splits it.
        revisions: Of the model, by name.
    """
    shares = route.traffic
    name = max(shares, key=lambda each: (shares[each], revisions[each].version), default=None)
    return revisions[name] if name is not None else None


def with_share(base: Mapping[str, int], revision: str, percent: int) -> dict[str, int]:
    """The traffic once a revision has this share, and the others split the rest as before.

    Args:
        base: Percents by revision before it; may be empty.
        revision: That gets the share.
        percent: 1 to 100.

    Returns:
        Percents, each above 0, together 100; largest remainders are rounded up. Where there is no
        other revision, it gets everything.
    """
    others = {name: share for name, share in base.items() if name != revision}
    left = (FULL - percent) if others else 0
    shares = {**_apportioned(others, left), revision: FULL - left}
    return {name: share for name, share in sorted(shares.items()) if share}


def _apportioned(weights: Mapping[str, int], whole: int) -> dict[str, int]:
    total = sum(weights.values())
    exact = {name: whole * weight / total for name, weight in weights.items()}
    floors = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (floors[name] - exact[name], name))
    for name in by_remainder[: whole - sum(floors.values())]:
        floors[name] += 1
    return floors
