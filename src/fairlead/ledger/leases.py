"""Leases of servers: on being called alive, and on the deployments that they carry out.

When one has ended and when it is to be extended, as functions of the ledger's clock.
"""

from __future__ import annotations

PATIENCE = 0.5
"""Seconds that a server waits for other writers when it extends a lease: it has more to do than to
wait, and asks again soon."""


def has_ended(now: float, *, lease: float, ends: float) -> bool:
    """Whether the lease is over.

    So is one that ends further ahead than it is long: it was given before the clock was set back.
    Twice as long forgives the small steps with which clocks are kept right.
    """
    return ends < now or ends > now + 2 * lease


def is_due(now: float, *, lease: float, ends: float) -> bool:
    """Whether to extend it: less than half is left, or more than a whole one of this length.

    A server asks several times a second; only a few of these times need to be written.
    """
    return not lease / 2 <= ends - now <= lease
