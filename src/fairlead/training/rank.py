"""A rank of a gang as a program: `python -m fairlead.training.rank`, which engines run.

What it is told stands in environment variables (engines/engine.py). It ends with status 0 once the
driver ends the gang, and otherwise with 1 and a line that says why.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from fairlead import settings
from fairlead.engines.engine import ADDRESS, PARENT, RANK, SECRET
from fairlead.errors import FairleadError, Invalid, described
from fairlead.gang.rank import Contact, compute_parts
from fairlead.machine import die_with


def main(environ: Mapping[str, str]) -> int:
    """Compute parts until the driver ends the gang; the status to end with."""
    if parent := environ.get(PARENT):
        die_with(int(parent))
    try:
        _compute(environ)
    except FairleadError as error:
        return _failed(str(error))
    except MemoryError as error:
        return _failed(f"out of memory: {described(error)}; give ranks more of it")
    return 0


def _compute(environ: Mapping[str, str]) -> None:
    contact = _contact(environ)
    from fairlead.artifacts import Artifacts
    from fairlead.training.computation import FitOpener

    configured = settings.from_environment(environ)
    store = Artifacts(configured.artifacts_url, cache=configured.artifacts_cache)
    compute_parts(contact, FitOpener(store, memory=configured.memory_for_data))


def _contact(environ: Mapping[str, str]) -> Contact:
    missing = [name for name in (ADDRESS, SECRET, RANK) if not environ.get(name)]
    if missing:
        raise Invalid(
            f"a rank of a gang is started by an engine, which sets ${missing[0]}: it is not set"
        )
    return Contact(address=environ[ADDRESS], secret=environ[SECRET], rank=_number(environ[RANK]))


def _number(text: str) -> int:
    if not text.isdecimal():
        raise Invalid(f"${RANK} must be the number of a rank, from 0, not {text!r}")
    return int(text)


def _failed(why: str) -> int:
    sys.stderr.write(" ".join(why.split()) + "\n")
    return 1


if __name__ == "__main__":
    status = main(os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # threads of libraries, or of the user's code, must not keep it
