"""Which revision answers a request.

Belongs here: the choice, as a function of the split and one number. Does not: where that number
comes from (a client's key, or chance), and what a revision is.

Each revision draws lots for a client: the less the lot, divided by the revision's percentage, the
better, and the best has the client. A revision that is given more then wins clients from others and
loses none to them, and among the others nothing changes hands: who saw the candidate at 10 % sees
it at 50 %. (Weighted rendezvous hashing: Schindelhauer and Schomaker, "Weighted distributed hash
tables", SPAA 2005.)
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping

_FRACTION = 1 << 53  # distinct floats of equal distance in [0, 1)


def choose(traffic: Mapping[str, int], draw: float) -> str:
    """The revision for this draw: the same for the same draw, whatever the order of the mapping.

    Args:
        traffic: Percent by revision; at least one is above 0.
        draw: In [0, 1), evenly spread over the requests or the clients.
    """
    if len(traffic) == 1:
        return next(iter(traffic))
    seed = struct.pack("<d", draw)
    routed = ((_lot(seed, name) / share, name) for name, share in traffic.items() if share > 0)
    return min(routed)[1]


def draw_of(model: str, key: str) -> float:
    """A client's draw, in [0, 1): the same in every process, another one for every model.

    Args:
        model: Name of the model.
        key: What the client is known by.
    """
    digest = hashlib.sha256(f"{model}\0{key}".encode(errors="surrogatepass")).digest()
    return _fraction(digest)


def _lot(seed: bytes, name: str) -> float:
    """Exponentially distributed: divided by weights, the least of several falls by the weights."""
    return -math.log1p(-_fraction(hashlib.blake2b(seed + name.encode(), digest_size=8).digest()))


def _fraction(digest: bytes) -> float:
    return (int.from_bytes(digest[:8], "little") >> 11) / _FRACTION
