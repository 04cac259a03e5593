"""`fairlead token`: the bearer tokens of the servers of this installation."""

from __future__ import annotations

import click

from fairlead.cli.context import settings
from fairlead.cli.next_steps import program
from fairlead.cli.output import json_option, minute, note, print_json, print_table, utc

_FOLLOWS = "running servers follow within a second"
_EPILOG = """\b
Examples:
  fairlead token add shop > shop.token
  fairlead token list
  fairlead token remove shop
"""


@click.group(epilog=_EPILOG)
def command() -> None:
    """Add, list and remove the bearer tokens that servers accept.

    With at least one token, servers require `Authorization: Bearer TOKEN` and may listen beyond
    this machine (`fairlead serve --host 0.0.0.0`). Running servers follow changes within a second;
    one that listens beyond this machine refuses all requests once the last token is removed. Only
    SHA-256 hashes are kept, in tokens.json of the home folder, readable by its owner alone.
    """


@command.command()
@click.argument("name")
@click.pass_context
def add(ctx: click.Context, *, name: str) -> None:
    """Add a token called NAME and print it: it cannot be shown again."""
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
        none = f"there is no token: `{program()} token add NAME` adds one"
        print_table(("token", "created (UTC)"), rows, unfolded=("created (UTC)",), empty=none)


@command.command()
@click.argument("name")
@click.pass_context
def remove(ctx: click.Context, *, name: str) -> None:
    """Remove the token NAME: servers refuse it within a second."""
    from fairlead.server.auth import remove_token

    remove_token(settings(ctx).tokens, name)
    note(f"token {name!r} removed; {_FOLLOWS}")
