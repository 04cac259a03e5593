"""Which revision answers a request.

A request may pin a revision by name or a version by number, in its path or a header. Others share
the traffic: by the client's sticky key where the route has one, else at random, weighted by the
route's percentages. A client keeps its revision as far as the percentages allow (rendezvous
hashing): raising one share moves only the clients that the share gains.
"""

from __future__ import annotations

import hashlib
import math
import random
import struct
from collections.abc import Iterator, Mapping
from typing import TypeVar

from fairlead.errors import FairleadError, NotFound, NotLoaded
from fairlead.serving.engine.engine import ServedModel, out_of_service
from fairlead.serving.engine.loaded_revision import LoadedRevision

T = TypeVar("T")

_LONGEST_KEY = 1_024


def known(table: Mapping[str, T], model: str) -> T:
    """The entry of this model.

    Raises:
        NotFound: There is none.
    """
    found = table.get(model)
    if found is None:
        names = ", ".join(sorted(table)) or "none yet"
        raise NotFound(f"no model {model[:100]!r} is served here; served are: {names}")
    return found


def pin(version: str | None, headers: Mapping[bytes, bytes]) -> str:
    """The version's number or the revision's name that a request asks for; empty for none.

    Args:
        version: That its path names.
        headers: Its headers; `Fairlead-Revision` pins, too.
    """
    return version or headers.get(b"fairlead-revision", b"").decode("latin-1")


def chosen(live: ServedModel, wanted: str, headers: Mapping[bytes, bytes]) -> str:
    """The revision that is to answer, whether it can or not.

    Args:
        live: The model.
        wanted: What the request pins; empty for a part of the shared traffic.
        headers: The request's headers.

    Raises:
        NotFound: What is pinned is not here.
        NotLoaded: The model has no traffic yet.
        OutOfService: It has none any more.
    """
    if wanted:
        return pinned(live, wanted)
    key = sticky_key(live.split.sticky, headers) if live.split.sticky else None
    return drawn(live, random.random() if key is None else draw_of(live.split.model, key))


def drawn(live: ServedModel, draw: float) -> str:
    """The revision for this draw, a number in [0, 1).

    Raises:
        OutOfService: None has traffic any more.
        NotLoaded: None has traffic yet: the first one is still being tested.
    """
    if live.split.out:
        raise out_of_service(live.split)
    if not live.split.traffic:
        raise NotLoaded(f"model {live.split.model!r} is being deployed; try again soon")
    return choose(live.split.traffic, draw)


def pinned(live: ServedModel, wanted: str) -> str:
    """The revision of this name, or of the version of this number.

    Of several revisions of one version, the one with the most traffic, then the newest.

    Raises:
        NotFound: There is none.
        OutOfService: The model is out of service.
    """
    if wanted in live.revisions or wanted in live.split.missing:
        return wanted
    traffic = live.split.traffic
    of_version = [
        (traffic.get(name, 0), place, name)
        for place, (name, version) in enumerate(_named(live))
        if str(version) == wanted
    ]
    if not of_version:
        raise _no_revision(live, wanted)
    return max(of_version, key=lambda one: one[:2])[2]


def _named(live: ServedModel) -> Iterator[tuple[str, int]]:
    """Revisions that may be asked for, and their versions: those that cannot answer first."""
    yield from ((name, missing.version) for name, missing in live.split.missing.items())
    yield from ((name, served.held.version) for name, served in live.revisions.items())


def main(live: ServedModel) -> LoadedRevision:
    """The revision whose metadata is the model's: of those held, the one with most traffic.

    Raises:
        NotLoaded: None is held.
        OutOfService: The model is out of service.
    """
    if live.split.out:
        raise out_of_service(live.split)
    if not live.revisions:
        raise NotLoaded(lacking(live))
    traffic = live.split.traffic
    return live.revisions[max(live.revisions, key=lambda name: traffic.get(name, 0))]


def lacking(live: ServedModel) -> str:
    """Why a share of the traffic cannot be answered; empty where none is known to be so."""
    if live.split.out:
        return str(out_of_service(live.split))
    return next((missing.why for missing in live.split.missing.values()), "")


def routed(live: ServedModel) -> list[LoadedRevision]:
    """The revisions that have traffic and are held; all of them before there is a route."""
    traffic = live.split.traffic
    found = [served for name, served in live.revisions.items() if traffic.get(name, 0) > 0]
    return found or [*live.revisions.values()]


def versions(live: ServedModel) -> list[str]:
    """The versions that can be asked for, the newest last."""
    return [str(number) for number in sorted({one.held.version for one in live.revisions.values()})]


def sticky_key(sticky: str, headers: Mapping[bytes, bytes]) -> str | None:
    """The client's sticky key; None without one.

    Args:
        sticky: `header:NAME` or `cookie:NAME`.
        headers: The request's headers.
    """
    kind, _, name = sticky.partition(":")
    if kind == "header":
        value = headers.get(name.lower().encode(), b"").decode("latin-1")
    else:
        value = _cookie(headers.get(b"cookie", b"").decode("latin-1"), name)
    return value[:_LONGEST_KEY] or None


def _cookie(header: str, name: str) -> str:
    for pair in header.split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name:
            return value.strip().strip('"')
    return ""


def _no_revision(live: ServedModel, wanted: str) -> FairleadError:
    if live.split.out:
        return out_of_service(live.split)
    revisions = ", ".join(
        f"{name} (version {served.held.version})" for name, served in live.revisions.items()
    )
    return NotFound(
        f"no revision {wanted[:100]!r} of {live.split.model!r} is loaded here; loaded are: "
        f"{revisions} (one without traffic is unloaded; deploying its version brings it back)"
    )


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
        key: The client's sticky key.
    """
    digest = hashlib.sha256(f"{model}\0{key}".encode(errors="surrogatepass")).digest()
    return _fraction(digest)


def _lot(seed: bytes, name: str) -> float:
    """Exponentially distributed: divided by weights, the least of several falls by the weights."""
    return -math.log1p(-_fraction(hashlib.blake2b(seed + name.encode(), digest_size=8).digest()))


def _fraction(digest: bytes) -> float:
    return (int.from_bytes(digest[:8], "little") >> 11) / _FRACTION
