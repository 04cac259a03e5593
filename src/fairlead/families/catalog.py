"""The families that a spec can name.

Belongs here: their names, what each needs, and how a name becomes a family. Does not: the
families. A new one is a module beside this one and a line in `_NAMED`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from fairlead.errors import InvalidSpec
from fairlead.families.catboost import CatBoost
from fairlead.families.family import Family
from fairlead.families.forest import EXTRA_TREES, RANDOM_FOREST
from fairlead.families.imported import Imported
from fairlead.families.lightgbm import LightGBM
from fairlead.families.linear import Linear
from fairlead.families.packages import require
from fairlead.families.xgboost import XGBoost


@dataclass(frozen=True, kw_only=True)
class _Named:
    """A family with a name of its own, and the library it needs beside scikit-learn."""

    family: Family
    library: str | None = None  # its import name, and the name of Fairlead's extra


_NAMED = {
    "random_forest": _Named(family=RANDOM_FOREST),
    "extra_trees": _Named(family=EXTRA_TREES),
    "linear": _Named(family=Linear(name="linear")),
    "xgboost": _Named(family=XGBoost(name="xgboost"), library="xgboost"),
    "lightgbm": _Named(family=LightGBM(name="lightgbm"), library="lightgbm"),
    "catboost": _Named(family=CatBoost(name="catboost"), library="catboost"),
}
NAMES = tuple(_NAMED)


def family(name: str, *, base: Path, source: bytes | None = None) -> Family:
    """The family of this name. It is imported only when it is first asked for something.

    Args:
        name: One of NAMES, `package.module:Name`, or `./file.py:Name`.
        base: The folder that a file's path is relative to.
        source: The file's content where it is known already (a worker has it by its digest);
            then no file is read.

    Raises:
        InvalidSpec: There is no such family or file, or its library is not installed.
    """
    if ":" in name:
        content = source_of(_checked(name), base) if source is None else source
        return Imported(name=name, source=content)
    named = _NAMED.get(name)
    if named is None:
        raise InvalidSpec(f"there is no family {name!r}; {_advice(name)}")
    if named.library:
        require(named.library, family=name, extra=named.library)
    return named.family


def source_of(name: str, base: Path) -> bytes | None:
    """The content of the file that this family is in; None for any other family.

    Raises:
        InvalidSpec: It cannot be read.
    """
    path = Path(name.rpartition(":")[0])
    if path.suffix != ".py":
        return None
    try:
        return (base / path).read_bytes()
    except OSError as error:
        raise InvalidSpec(f"family {name!r}: cannot read {base / path}: {error.strerror}") from None


def installed(name: str) -> bool:
    """Whether the library that this one of NAMES needs is there."""
    try:
        family(name, base=Path())
    except InvalidSpec:
        return False
    return True


def _checked(name: str) -> str:
    where, _, attribute = name.rpartition(":")
    dotted = all(part.isidentifier() for part in where.split("."))
    if attribute.isidentifier() and (dotted or Path(where).suffix == ".py"):
        return name
    raise InvalidSpec(
        f"family {name!r} is no import path: write package.module:Name or ./file.py:Name"
    )


def _advice(name: str) -> str:
    near = difflib.get_close_matches(name, NAMES, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(NAMES)}, and package.module:Name or ./file.py:Name for any other"
