"""What changes for clients and operators where another revision takes a model's traffic, in words.

Compared are the columns that requests must have, and the settings of the section `serve` that are
in force as long as a revision is. How a deployment goes (canary, judge) is over when it ends, and
is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from fairlead.records import Allowance, Signature

_KINDS = {"number": "a number", "text": "text"}


def column_changes(wanted: Signature, live: Signature, *, name: str, live_name: str) -> list[str]:
    """A line for each way in which requests that are right today would be wrong.

    Args:
        wanted: Signature of the version that is to be deployed.
        live: Signature of the live one.
        name: Of the former, such as v4.
        live_name: Of the latter.
    """
    return [
        *_name_changes(wanted, live, name, live_name),
        *_kind_changes(wanted, live, name, live_name),
    ]


def _name_changes(wanted: Signature, live: Signature, name: str, live_name: str) -> Iterator[str]:
    needed = [column.name for column in wanted.columns]
    sent = [column.name for column in live.columns]
    if added := [column for column in needed if column not in sent]:
        yield (
            f"{name} takes {_columns(added)}, which {live_name} does not: requests without "
            f"{_them(added)} will be answered 400"
        )
    if removed := [column for column in sent if column not in needed]:
        yield (
            f"{name} does not take {_columns(removed)}, which {live_name} does: requests with "
            f"{_them(removed)} will be answered 400"
        )


def _kind_changes(wanted: Signature, live: Signature, name: str, live_name: str) -> Iterator[str]:
    sent = {column.name: column.kind for column in live.columns}
    for column in wanted.columns:
        before = sent.get(column.name, column.kind)
        if before != column.kind:
            yield (
                f"{name} takes column {column.name!r} as {_KINDS[column.kind]}, {live_name} as "
                f"{_KINDS[before]}: requests that send {_KINDS[before]} may be answered 400"
            )


def _columns(names: Sequence[str]) -> str:
    listed = ", ".join(map(repr, names))
    return f"column {listed}" if len(names) == 1 else f"columns {listed}"


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


@dataclass(frozen=True, kw_only=True)
class RevisionSettings:
    """The settings that are in force as long as a revision is.

    Args:
        allowance: What it may use of a process.
        sticky: What a client is identified by; None where clients do not stay with a revision.
    """

    allowance: Allowance
    sticky: str | None


def settings_changes(
    wanted: RevisionSettings, live: RevisionSettings, *, name: str, live_name: str
) -> list[str]:
    """A line that names each setting that would change; none where all stay.

    Args:
        wanted: Of the revision that is to be deployed.
        live: Of the live one.
        name: Of the former, such as v1.
        live_name: Of the latter, such as v1-2.
    """
    changed = ", ".join(_changed(wanted, live))
    return [f"settings of `serve` change, {live_name} -> {name}: {changed}"] if changed else []


def _changed(wanted: RevisionSettings, live: RevisionSettings) -> Iterator[str]:
    before, after = _by_name(live), _by_name(wanted)
    for name, value in after.items():
        if value != before[name]:
            yield f"{name} {_shown(before[name])} -> {_shown(value)}"


def _by_name(settings: RevisionSettings) -> dict[str, object]:
    return {**asdict(settings.allowance), "sticky": settings.sticky}


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
