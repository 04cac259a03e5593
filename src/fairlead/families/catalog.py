"""The families that a spec can name: how a name becomes a family.

A named family is an object of a module of this package, listed in `_NAMED`; to add one is a module
and a line there. A name that begins with `keras:` goes on with the function that builds its models;
any other name is an import path (imported.py).
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fairlead.errors import InvalidSpec
from fairlead.families.family import Family
from fairlead.families.imported import Imported
from fairlead.formatting import nearest
from fairlead.spec.space import BUILDER

if TYPE_CHECKING:
    from fairlead.families.keras import Keras

_NAMED = {  # name: module of this package, and the family in it
    "random_forest": "forest:RANDOM_FOREST",
    "extra_trees": "forest:EXTRA_TREES",
    "linear": "linear:LINEAR",
    "xgboost": "xgboost:XGBOOST",
    "lightgbm": "lightgbm:LIGHTGBM",
    "catboost": "catboost:CATBOOST",
    "keras": "keras:KERAS",
}
NAMES = tuple(_NAMED)
BUILT = f"{BUILDER}:"
"""Before the function that builds the models of such a family: `keras:./file.py:build`."""
_MODULES = {"keras": ("keras", "tensorflow", "tf2onnx")}
"""What an extra brings, where that is not one library of its name."""


def family(
    name: str, *, base: Path, source: bytes | None = None, elsewhere: bool = False
) -> Family:
    """The family of this name. Its library is imported by the first method that needs it.

    Args:
        name: One of NAMES, `package.module:Name`, `./file.py:Name`, or either after `keras:`.
        base: The folder that a file's path is relative to.
        source: The file's content where it is known already (a worker has it by its digest);
            then no file is read.
        elsewhere: Whether fits may be made on other machines, so that TensorFlow need not be here;
            other libraries are asked which parameters they take.

    Raises:
        InvalidSpec: There is no such family or file, or its library is not installed.
    """
    if name.startswith(BUILT):
        model = _checked(name.removeprefix(BUILT), kind="model")
        content = source_of(name, base) if source is None else source
        return _keras(elsewhere=elsewhere).built_by(model, content)
    if ":" in name:
        content = source_of(_checked(name), base) if source is None else source
        return Imported(name=name, source=content)
    if name not in _NAMED:
        raise InvalidSpec(f"there is no family {name!r}; {_advice(name)}")
    return _keras(elsewhere=elsewhere) if name == BUILDER else _named(name)


def _named(name: str, *, elsewhere: bool = False) -> Family:
    module, _, attribute = _NAMED[name].partition(":")
    found = cast("Family", getattr(importlib.import_module(f"{__package__}.{module}"), attribute))
    if found.library and not elsewhere:
        _require(found.library, family=name)
    return found


def _keras(*, elsewhere: bool) -> Keras:
    return cast("Keras", _named(BUILDER, elsewhere=elsewhere))


def is_elsewhere(found: Family) -> bool:
    """Whether this machine lacks what fits of the family need."""
    return found.library is not None and bool(_missing(found.library))


def file_of(name: str) -> str | None:
    """The file that this family, or what builds its models, is in; None for any other family."""
    where = name.removeprefix(BUILT).rpartition(":")[0]
    return where if Path(where).suffix == ".py" else None


def source_of(name: str, base: Path) -> bytes | None:
    """The content of the file that this family is in; None for any other family.

    Raises:
        InvalidSpec: It cannot be read.
    """
    path = file_of(name)
    if path is None:
        return None
    try:
        return (base / path).read_bytes()
    except (OSError, ValueError) as error:  # the latter for a name that no file can have
        why = getattr(error, "strerror", None) or error
        raise InvalidSpec(f"family {name!r}: cannot read {base / path}: {why}") from None


def installed(name: str) -> bool:
    """Whether the library that this one of NAMES needs is installed."""
    try:
        family(name, base=Path())
    except InvalidSpec:
        return False
    return True


def _require(extra: str, *, family: str) -> None:
    """Refuse a family whose library is not installed; Fairlead's extra has the library's name.

    Raises:
        InvalidSpec: Says what to install.
    """
    if _missing(extra):
        raise InvalidSpec(
            f"family {family!r} needs a library that is not installed: "
            f"pip install 'fairlead[{extra}]'"
        )


def _missing(extra: str) -> bool:
    modules = _MODULES.get(extra, (extra,))
    return any(importlib.util.find_spec(module) is None for module in modules)


def _checked(name: str, *, kind: str = "family") -> str:
    where, _, attribute = name.rpartition(":")
    dotted = all(part.isidentifier() for part in where.split("."))
    if attribute.isidentifier() and (dotted or Path(where).suffix == ".py"):
        return name
    raise InvalidSpec(
        f"{kind} {name!r} is no import path: write package.module:Name or ./file.py:Name"
    )


def _advice(name: str) -> str:
    if near := nearest(name, NAMES) or _with_colon(name):
        return f"did you mean {near!r}?"
    return f"there are {', '.join(NAMES)}, and package.module:Name or ./file.py:Name for any other"


def _with_colon(name: str) -> str | None:
    """The import path meant by one with a dot before the name, or by a file alone."""
    if Path(name).suffix == ".py":
        return f"{name}:Name"
    module, _, attribute = name.rpartition(".")
    dotted = module and all(part.isidentifier() for part in name.split("."))
    return f"{module}:{attribute}" if dotted else None
