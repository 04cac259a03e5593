"""Checking a spec's families in a child, which a server forks that has their libraries loaded."""

from __future__ import annotations

import signal
import sys
import time
from base64 import b64encode

from fairlead.errors import Failed, InvalidSpec
from fairlead.settings import Settings
from fairlead.training.check import FamiliesToCheck
from fairlead.worker.decide import START
from fairlead.worker.messages import CheckFamilies, FamiliesChecked, Raised
from fairlead.worker.process import Child

_LOOK = 0.5  # seconds
_KILLED = {-signal.SIGKILL, -signal.SIGTERM}


def check_in_child(
    asked: FamiliesToCheck, settings: Settings, forkserver: str | None = None
) -> tuple[str, ...]:
    """Do what `check_families` does; what the families print goes to stderr.

    Args:
        asked: The families.
        settings: Say where the stores are.
        forkserver: The socket of the fork server, if there is one.

    Raises:
        InvalidSpec: As `check_families`; or a family ended the process, or takes too long.
        Failed: The process was killed twice, by the system or by somebody.
    """
    for server in (forkserver, None):  # then in a program of its own
        child = Child(
            artifacts=settings.artifacts_url,
            cache=settings.artifacts_cache,
            threads=1,
            forkserver=server,
        )
        try:
            remarks = _ask(child, asked)
        finally:
            child.finish()
            _show(child.printed())
        if remarks is not None:
            return remarks
    raise Failed("checking the families of search.over: the process that does it was killed twice")


def _ask(child: Child, asked: FamiliesToCheck) -> tuple[str, ...] | None:
    """The remarks; None where the child was killed, which is no fault of the families."""
    sources = {name: b64encode(content).decode() for name, content in asked.sources.items()}
    tried = asked.dry_run and vars(asked.dry_run)
    child.send(CheckFamilies(**{**vars(asked), "sources": sources, "dry_run": tried}))
    deadline = time.monotonic() + START
    while (answer := child.answer()) is None and time.monotonic() < deadline:
        if child.closed or child.exit_status() is not None:
            answer = child.answer()  # what came before the end
            break
        child.wait(_LOOK)
    match answer:
        case FamiliesChecked(remarks=remarks):
            return remarks
        case Raised(reason=reason):
            raise InvalidSpec(reason)
    status = child.exit_status()
    if status in _KILLED:
        return None
    if status is not None:
        why = f"ended its process with status {status}"
    elif answer is not None or child.closed:
        why = "broke the connection to its process"
    else:
        why = f"was not checked within {START:g} s"
    last = child.last_line()
    raise InvalidSpec(f"search.over: a family {why}{last and f'; it last printed: {last}'}")


def _show(printed: str) -> None:
    if printed:
        sys.stderr.write(printed if printed.endswith("\n") else f"{printed}\n")
