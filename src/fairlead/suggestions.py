"""The name that was meant by one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, in whatever case; None where none is like it."""
    folded = {other.casefold(): other for other in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause that ends a message: `; did you mean 'x'?`, or empty where no name is like it."""
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near is not None else ""
