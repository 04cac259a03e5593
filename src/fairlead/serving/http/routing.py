"""Which revision a request is for.

Belongs here: what the request itself says of it. Does not: the split of what says nothing
(split.py).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import TypeVar

from fairlead.errors import FairleadError, NotFound, NotLoaded
from fairlead.serving.engine.engine import Live, out_of_service
from fairlead.serving.engine.loaded_revision import Served
from fairlead.serving.engine.split import draw_of

T = TypeVar("T")

_LONGEST_KEY = 1_024


def known(table: Mapping[str, T], model: str) -> T:
    """What stands for this model.

    Raises:
        NotFound: Nothing does.
    """
    found = table.get(model)
    if found is None:
        names = ", ".join(sorted(table)) or "none yet"
        raise NotFound(f"no model {model[:100]!r} is served here; served are: {names}")
    return found


def pin(version: str | None, heads: Mapping[bytes, bytes]) -> str:
    """The version's number or the revision's name that a request asks for; empty for none.

    Args:
        version: That its path names.
        heads: Its headers; `Fairlead-Revision` pins, too.
    """
    return version or heads.get(b"fairlead-revision", b"").decode("latin-1")


def chosen(live: Live, wanted: str, heads: Mapping[bytes, bytes]) -> str:
    """The revision that is to answer, whether it can or not.

    Args:
        live: The model.
        wanted: What the request pins; empty for a part of the shared traffic.
        heads: The request's headers.

    Raises:
        NotFound: What is pinned is not here.
        NotLoaded: The model has no traffic yet.
        OutOfService: It has none any more.
    """
    if wanted:
        return pinned(live, wanted)
    key = sticky_key(live.split.sticky, heads) if live.split.sticky else None
    return live.choose(random.random() if key is None else draw_of(live.split.model, key))


def pinned(live: Live, wanted: str) -> str:
    """The revision of this name, or of the version of this number.

    Of several revisions of one version, the one with the most traffic, then the newest.

    Raises:
        NotFound: There is none.
        OutOfService: Nobody is to answer for the model.
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


def _named(live: Live) -> Iterator[tuple[str, int]]:
    """Revisions that may be asked for, and their versions: those that cannot answer first."""
    yield from ((name, missing.version) for name, missing in live.split.missing.items())
    yield from ((name, served.held.version) for name, served in live.revisions.items())


def main(live: Live) -> Served:
    """The revision that speaks for the model: of those that are held, the one with most traffic.

    Raises:
        NotLoaded: None is held.
        OutOfService: None is to answer.
    """
    if live.split.out:
        raise out_of_service(live.split)
    if not live.revisions:
        raise NotLoaded(lacking(live))
    traffic = live.split.traffic
    return live.revisions[max(live.revisions, key=lambda name: traffic.get(name, 0))]


def lacking(live: Live) -> str:
    """Why a share of the traffic cannot be answered; empty where none is known to be so."""
    if live.split.out:
        return str(out_of_service(live.split))
    return next((missing.why for missing in live.split.missing.values()), "")


def routed(live: Live) -> list[Served]:
    """The revisions that have traffic and are held; all of them before there is a route."""
    traffic = live.split.traffic
    found = [served for name, served in live.revisions.items() if traffic.get(name, 0) > 0]
    return found or [*live.revisions.values()]


def versions(live: Live) -> list[str]:
    """The versions that can be asked for, the newest last."""
    return [str(number) for number in sorted({one.held.version for one in live.revisions.values()})]


def sticky_key(sticky: str, heads: Mapping[bytes, bytes]) -> str | None:
    """What the client is known by; None if it does not say.

    Args:
        sticky: `header:NAME` or `cookie:NAME`.
        heads: The request's headers.
    """
    kind, _, name = sticky.partition(":")
    if kind == "header":
        value = heads.get(name.lower().encode(), b"").decode("latin-1")
    else:
        value = _cookie(heads.get(b"cookie", b"").decode("latin-1"), name)
    return value[:_LONGEST_KEY] or None


def _cookie(header: str, name: str) -> str:
    for pair in header.split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name:
            return value.strip().strip('"')
    return ""


def _no_revision(live: Live, wanted: str) -> FairleadError:
    if live.split.out:
        return out_of_service(live.split)
    revisions = ", ".join(
        f"{name} (version {served.held.version})" for name, served in live.revisions.items()
    )
    return NotFound(
        f"no revision {wanted[:100]!r} of {live.split.model!r} is held here; held are: {revisions} "
        "(one without traffic is let go: `fairlead deploy` brings a version back)"
    )
