"""The packages that families stand on.

Belongs here: whether a library is installed and in which version, found without importing it.
Does not: importing it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Sequence

from fairlead.errors import InvalidSpec


def require(module: str, *, family: str) -> None:
    """Refuse a family whose library is not installed; Fairlead's extra has the library's name.

    Raises:
        InvalidSpec: Says what to install.
    """
    if importlib.util.find_spec(module) is None:
        raise InvalidSpec(
            f"family {family!r} needs a library that is not installed: "
            f"pip install 'fairlead[{module}]'"
        )


def version(distributions: Sequence[str]) -> str:
    """Version of the first of these distributions that is installed; 'unknown' if none is."""
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


def distribution_of(module: str) -> str:
    """Name of the distribution that brings this top-level module; its own if that is not known."""
    found = importlib.metadata.packages_distributions().get(module, [module])
    return found[0]
