"""What clients have to change where another version takes the traffic.

Belongs here: comparing what two versions take, in words. Does not: what a request is refused for
(serving/protocol), and whether the version may be deployed all the same (start.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fairlead.records import Signature

_KINDS = {"number": "a number", "text": "text"}


def changes(signature: Signature, now: Signature, *, version: str, live: str) -> list[str]:
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
