"""Checking a spec's families in a child of a fork server, which has their libraries loaded."""

from __future__ import annotations

import sys
from base64 import b64encode

from fairlead.errors import InvalidSpec
from fairlead.settings import Settings
from fairlead.training.check import FamiliesToCheck
from fairlead.worker.messages import CheckFamilies, FamiliesChecked, Raised
from fairlead.worker.process import Child

_LOOK = 0.5  # seconds


def check_in_child(asked: FamiliesToCheck, settings: Settings, forkserver: str) -> tuple[str, ...]:
    """Do what `check_families` does; what the families print goes to stderr.

    Args:
        asked: The families.
        settings: Say where the stores are.
        forkserver: The socket of the fork server.

    Raises:
        InvalidSpec: As `check_families`, or a family ended the process.
    """
    child = Child(
        artifacts=settings.artifacts_url,
        cache=settings.artifacts_cache,
        threads=1,
        forkserver=forkserver,
    )
    try:
        sources = {name: b64encode(content).decode() for name, content in asked.sources.items()}
        child.send(CheckFamilies(**{**vars(asked), "sources": sources}))
        while (answer := child.answer()) is None and not child.closed:
            child.wait(_LOOK)
        status = child.exit_status()
    finally:
        child.finish()
        sys.stderr.write(child.printed())
    match answer:
        case FamiliesChecked(remarks=remarks):
            return remarks
        case Raised(reason=reason):
            raise InvalidSpec(reason)
    raise InvalidSpec(
        f"search.over: the process that checked the families ended (status {status}): "
        f"{child.last_line() or 'it printed nothing'}"
    )
