"""`fairlead pause`: the ready tasks of a run wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import click

from fairlead.cli.context import opened
from fairlead.cli.output import json_option, note, print_json

if TYPE_CHECKING:
    from fairlead.ledger.interface import Ledger
    from fairlead.records import Run

    Change: TypeAlias = Callable[[Ledger, Run], Run]


@click.command(epilog="\b\nExample:\n  fairlead pause boston-prices\n")
@click.argument("run")
@json_option
@click.pass_context
def command(ctx: click.Context, run: str, *, as_json: bool) -> None:
    """Let the ready tasks of RUN wait until `resume`; running ones go on."""
    from fairlead.control.submitted import pause

    change_tasks(ctx, run, pause, said="paused", of_others="it waits", as_json=as_json)


def change_tasks(  # noqa: PLR0913 - which, how, and what is said of it
    ctx: click.Context, run: str, change: Change, *, said: str, of_others: str, as_json: bool
) -> None:
    """Change the tasks of a run, and print what that means for it and for others of its study."""
    from fairlead.control.submitted import beside, find

    with opened(ctx) as stores:
        changed = change(stores.ledger, find(stores.ledger, run, to_change=True))
        others = beside(stores.ledger, changed)
    if as_json:
        print_json(changed)
    else:
        click.echo(f"{changed.id} {said}")
    for other in others:
        note(f"run {other.id} has the same tasks: {of_others}, too")
