"""`fairlead token`: who may ask the servers of this installation."""

from __future__ import annotations

import click

from fairlead.cli.output import json_option, note, print_json, print_table, settings
from fairlead.cli.when import minute, utc

_FOLLOWS = "servers that run follow within a second"
_EPILOG = """\b
Examples:
  fairlead token add shop > shop.token
  fairlead token list
  fairlead token remove shop
"""


@click.group(epilog=_EPILOG)
def command() -> None:
    """Add, list and remove the tokens that servers let in.

    With at least one, a server wants `Authorization: Bearer TOKEN` and may listen beyond this
    machine (`fairlead serve --host 0.0.0.0`). Servers that run follow changes within a second; one
    that listens beyond this machine lets nobody in once the last token is removed. Only SHA-256
    hashes are kept, in tokens.json of the home folder, readable by its owner alone.
    """


@command.command()
@click.argument("name")
@click.pass_context
def add(ctx: click.Context, *, name: str) -> None:
    """Make a token called NAME and print it: it cannot be shown again."""
    from fairlead.server.auth import add_token

    click.echo(add_token(settings(ctx).tokens, name))
    note(f"token {name!r} added; {_FOLLOWS}")


@command.command("list")
@json_option
@click.pass_context
def listed(ctx: click.Context, *, as_json: bool) -> None:
    """List the names of the tokens."""
    from fairlead.server.auth import read_tokens

    known = read_tokens(settings(ctx).tokens)
    if as_json:
        print_json([{"name": each.name, "created": utc(each.created)} for each in known])
    else:
        rows = [(each.name, minute(each.created)) for each in known]
        print_table(("token", "created (UTC)"), rows, unfolded=("created (UTC)",))


@command.command()
@click.argument("name")
@click.pass_context
def remove(ctx: click.Context, *, name: str) -> None:
    """Forget the token NAME: who has it is let in no more, within a second."""
    from fairlead.server.auth import remove_token

    remove_token(settings(ctx).tokens, name)
    note(f"token {name!r} removed; {_FOLLOWS}")
