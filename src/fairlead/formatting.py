"""How counts, sizes, values and parameters read in a line, and how records are written as JSON.

And which known name was meant by one that is none.
"""

from __future__ import annotations

import dataclasses
import math
import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from reprlib import Repr
from typing import Any
from urllib.parse import unquote

from fairlead.records import Params, Scalar

_THOUSAND = 1000
_NAMED = 5  # classes of a list
_NUMBERED = 3  # numbers of a list
_LISTED = 20  # names of a list
_SHOWN = 80  # characters of a value that is someone else's
_TIED = "\N{NO-BREAK SPACE}"
_PARAMETER = re.compile(r"(?<=[?&])([^?&=#\s]+)=[^&#\s'\"]*")  # of a URL
_SECRET = {"password", "sslpassword"}


def count(many: int, noun: str) -> str:
    """A number of things: 1 task, 2,000 tasks."""
    return f"{many} {noun}" if many == 1 else f"{many:,} {noun}s"


def numbered(noun: str, numbers: Sequence[int]) -> str:
    """Things by their numbers, the first few: trial 3, trials 0, 1, 2, ..."""
    named = ", ".join(map(str, numbers[:_NUMBERED]))
    more = ", ..." if len(numbers) > _NUMBERED else ""
    return f"{noun}{'s' if len(numbers) > 1 else ''} {named}{more}"


def size(many: int) -> str:
    """A number of bytes, to three digits: 812 bytes, 4.31 kB, 175 MB."""
    if many < _THOUSAND:
        return count(many, "byte")
    amount, unit = many / _THOUSAND, "kB"
    for larger in ("MB", "GB"):
        if round(amount) >= _THOUSAND:
            amount, unit = amount / _THOUSAND, larger
    return f"{amount:.3g} {unit}"


def cores(many: float) -> str:
    """A number of cores: 1 CPU, 0.5 CPUs, 64 CPUs."""
    return f"{many:g} CPU{'' if many == 1 else 's'}"


def in_a_line(text: str, *, most: int = 400) -> str:
    """What another program said, as one line; cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most] + "..."


def plain(value: Any) -> Any:
    """The value as JSON knows it: records and mappings become objects, NaN becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def utc(seconds: float) -> str:
    """A time since the epoch, such as 2026-11-21T05:42:35Z: in logs and in text."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def without_password(url: str) -> str:
    """The URL with its passwords, if any, left out; those of libpq's parameters too."""
    masked = re.sub(r"(?<=://)([^/@:]*):[^/]*@", r"\1:***@", url)
    return _PARAMETER.sub(_masked, masked)


def _masked(parameter: re.Match[str]) -> str:
    secret = unquote(parameter[1]).lower() in _SECRET
    return f"{parameter[1]}=***" if secret else parameter[0]


def value(one: Scalar) -> str:
    """A parameter's value as YAML writes it; a float to six digits."""
    if isinstance(one, bool) or one is None:
        return {True: "true", False: "false", None: "null"}[one]
    return f"{one:.6g}" if isinstance(one, float) else str(one)


def params(of: Params) -> str:
    """Parameters in a line: alpha=0.1, max_depth=4; empty where there are none."""
    return ", ".join(f"{name}={value(one)}" for name, one in of.items())


def classes(labels: Sequence[Scalar]) -> str:
    """Classes by name: class 'a', classes 1 and 2, classes 1, 2, 3, 4, 5 and 7 more."""
    named = [shown(label) for label in labels[:_NAMED]]
    if (more := len(labels) - len(named)) > 0:
        named.append(f"{more:,} more")
    several = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else "".join(named)
    return f"class {several}" if len(labels) == 1 else f"classes {several}"


class _Cut(Repr):
    """Shows a value in a few characters, without a walk through all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = _SHOWN


_CUT = _Cut()


def shown(value: object) -> str:
    """A value of a file or of a client as Python writes it, cut where it is long."""
    return _CUT.repr(value)


def quoted(names: Collection[str]) -> str:
    """Names in a message as Python writes them, the first twenty: 'a', 'b' and 3 more."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(shown(name) for name in islice(names, _LISTED)) + more


def lacking(names: Collection[str], noun: str = "column") -> str:
    """Names that are wanted, and are not there: the column 'x', which is not there."""
    one = len(names) == 1
    return (
        f"the {noun}{'' if one else 's'} {quoted(names)}, which {'is' if one else 'are'} not there"
    )


def listed(names: Sequence[str]) -> str:
    """Names in a message, the first twenty; one that is no line of text as Python writes it."""
    shown = (name if name.isprintable() else repr(name) for name in names[:_LISTED])
    return ", ".join(shown) + (", ..." if len(names) > _LISTED else "")


def laid_out(fields: Sequence[tuple[str, str]], *, width: int = 80) -> str:
    """A name and a value a line; a long value goes on below itself."""
    indent = 2 + max(len(name) for name, _ in fields)
    fold = textwrap.TextWrapper(max(20, width - indent), break_on_hyphens=False)  # names have some
    wrapped = [(name, fold.wrap(text.replace(" %", f"{_TIED}%"))) for name, text in fields]
    below = f"\n{'':<{indent}}"
    whole = "\n".join(f"{name:<{indent}}{below.join(lines)}" for name, lines in wrapped)
    return whole.replace(f"{_TIED}%", " %")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, in whatever case; None where none is like it."""
    import difflib

    folded = {other.casefold(): other for other in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[near[0]] if near else None


def yaml_key(name: str) -> str:
    """A name as a key of YAML: in quotes where it would be read as something else without."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.\-/]*(?: [A-Za-z0-9_.\-/]+)*", name)
    word = name.lower() in {"true", "false", "null"}
    return name if plain and not word else "'" + name.replace("'", "''") + "'"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause that ends a message: `; did you mean 'x'?`, or empty where no name is like it."""
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near is not None else ""
