"""What of the section `serve` changes where another revision takes the traffic.

Belongs here: comparing the settings of two revisions, in words. Does not: the columns that they
take, and how a deployment goes (canary, judge), which is over when it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from fairlead.records import Allowance, Signature


@dataclass(frozen=True, kw_only=True)
class RevisionSettings:
    """The settings that are in force as long as a revision is.

    Args:
        allowance: What it may use of a process.
        sticky: What a client is known by; None where nobody stays with a revision.
    """

    allowance: Allowance
    sticky: str | None


def settings_changes(
    wanted: RevisionSettings, now: RevisionSettings, *, name: str, live: str
) -> list[str]:
    """A line that names each setting that would change; none where all stay.

    Args:
        wanted: Of the revision that is to be deployed.
        now: Of the live one.
        name: Of the former, such as v1.
        live: Name of the latter, such as v1-2.
    """
    changed = ", ".join(_changed(wanted, now))
    return [f"settings of `serve` change, {live} -> {name}: {changed}"] if changed else []


def _changed(wanted: RevisionSettings, now: RevisionSettings) -> Iterator[str]:
    before, after = _by_name(now), _by_name(wanted)
    for name, value in after.items():
        if value != before[name]:
            yield f"{name} {_shown(before[name])} -> {_shown(value)}"


def _by_name(terms: RevisionSettings) -> dict[str, object]:
    return {**asdict(terms.allowance), "sticky": terms.sticky}


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


_KINDS = {"number": "a number", "text": "text"}


def column_changes(signature: Signature, now: Signature, *, version: str, live: str) -> list[str]:
    """A line for each way in which requests that are right today would be wrong.

    Args:
        signature: What the version takes that is to be deployed.
        now: What the live one takes.
        version: Name of the former, such as v4.
        live: Name of the latter.
    """
    return [*_names(signature, now, version, live), *_kinds(signature, now, version, live)]


def _names(signature: Signature, now: Signature, version: str, live: str) -> Iterator[str]:
    wanted = [column.name for column in signature.columns]
    sent = [column.name for column in now.columns]
    if new := [name for name in wanted if name not in sent]:
        yield (
            f"{version} takes {_columns(new)}, which {live} does not: requests without "
            f"{_them(new)} will be answered 400"
        )
    if gone := [name for name in sent if name not in wanted]:
        yield (
            f"{version} does not take {_columns(gone)}, which {live} does: requests with "
            f"{_them(gone)} will be answered 400"
        )


def _kinds(signature: Signature, now: Signature, version: str, live: str) -> Iterator[str]:
    sent = {column.name: column.kind for column in now.columns}
    for column in signature.columns:
        before = sent.get(column.name, column.kind)
        if before != column.kind:
            yield (
                f"{version} takes column {column.name!r} as {_KINDS[column.kind]}, {live} as "
                f"{_KINDS[before]}: requests that send {_KINDS[before]} may be answered 400"
            )


def _columns(names: Sequence[str]) -> str:
    listed = ", ".join(map(repr, names))
    return f"column {listed}" if len(names) == 1 else f"columns {listed}"


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"
