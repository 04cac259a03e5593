"""What of the section `serve` changes where another revision takes the traffic.

Belongs here: comparing the settings of two revisions, in words. Does not: the columns that they
take (columns.py), and how a deployment goes (canary, judge), which is over when it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from fairlead.records import Allowance


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The settings that are in force as long as a revision is.

    Args:
        allowance: What it may use of a process.
        sticky: What a client is known by; None where nobody stays with a revision.
    """

    allowance: Allowance
    sticky: str | None


def retuned(wanted: Terms, now: Terms, *, name: str, live: str) -> list[str]:
    """A line that names each setting that would change; none where all stay.

    Args:
        wanted: Of the revision that is to be deployed.
        now: Of the live one.
        name: Of the former, such as v1.
        live: Name of the latter, such as v1-2.
    """
    changed = ", ".join(_changed(wanted, now))
    return [f"settings of `serve` change, {live} -> {name}: {changed}"] if changed else []


def _changed(wanted: Terms, now: Terms) -> Iterator[str]:
    before, after = _by_name(now), _by_name(wanted)
    for name, value in after.items():
        if value != before[name]:
            yield f"{name} {_shown(before[name])} -> {_shown(value)}"


def _by_name(terms: Terms) -> dict[str, object]:
    return {**asdict(terms.allowance), "sticky": terms.sticky}


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
