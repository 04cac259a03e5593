"""The ledger and the artefacts of commands that only look at them.

Belongs here: opening what is there. Does not: making it, which only the commands that run do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from fairlead.cli.output import settings
from fairlead.errors import NotFound

if TYPE_CHECKING:
    from fairlead.artifacts import Artifacts
    from fairlead.ledger.interface import Ledger


@contextmanager
def opened(ctx: click.Context) -> Iterator[tuple[Ledger, Artifacts]]:
    """The ledger and the artefact store of this home.

    Raises:
        NotFound: Nothing was ever run there.
    """
    from fairlead.ledger.store import exists
    from fairlead.stores import open_stores

    options = settings(ctx)
    if not exists(options.ledger_url):
        raise NotFound(
            f"there is no ledger in {options.ledger or str(options.home)!r}: run a spec first, or "
            "name its home with --home or $FAIRLEAD_HOME"
        )
    with open_stores(options) as stores:
        yield stores.ledger, stores.artifacts
