"""`fairlead token`: the bearer tokens of the servers of this installation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from fairlead.cli.context import refuse_server, settings
from fairlead.cli.next_steps import program
from fairlead.cli.options import TimeSpan
from fairlead.cli.output import json_option, minute, note, print_json, print_table

if TYPE_CHECKING:
    from fairlead.server.auth import Role, StoredToken

_FOLLOWS = "running servers follow within a second"
_EPILOG = """\b
Examples:
  fairlead token add shop > shop.token
  fairlead token add laptop --role submitter --expires 30d
  fairlead token list
  fairlead token remove shop
"""


@click.group(epilog=_EPILOG)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Add, list and remove the bearer tokens that servers accept.

    Those without a role are for `fairlead serve`: with at least one, servers require
    `Authorization: Bearer TOKEN` and may listen beyond this machine (--host 0.0.0.0). Running
    servers follow changes within a second; one that listens beyond this machine refuses all
    requests once the last token is removed. Those with a role are for `fairlead server`, which
    follows at once. Only SHA-256 hashes are kept, in tokens.json of the home folder, readable by
    its owner alone.
    """
    refuse_server(ctx, "tokens are in a file of its machine")


@command.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["viewer", "worker", "submitter", "promoter", "admin"]),
    help="For the control API (`fairlead server`), what it may do there; else it is for serving.",
)
@click.option("--expires", type=TimeSpan(), help="After this time it is refused, such as 30d.")
@click.pass_context
def add(ctx: click.Context, *, name: str, role: Role | None, expires: float | None) -> None:
    """Add a token called NAME and print it: it cannot be shown again.

    A viewer reads; a worker takes tasks and nothing else; a submitter reads and changes runs; a
    promoter reads and changes champions and routes; an admin may do all of it.
    """
    from fairlead.server.auth import add_token

    until = None if expires is None else time.time() + expires
    click.echo(add_token(settings(ctx).tokens, name, role=role, expires=until))
    note(f"token {name!r} added; {_FOLLOWS}")


@command.command("list")
@json_option
@click.pass_context
def listed(ctx: click.Context, *, as_json: bool) -> None:
    """List the names of the tokens."""
    from fairlead.server.auth import read_tokens

    known = read_tokens(settings(ctx).tokens)
    if as_json:
        print_json([_exact(each) for each in known])
    else:
        rows = [
            (each.name, each.role or "serving", minute(each.created), _ends(each)) for each in known
        ]
        none = f"there is no token: `{program()} token add NAME` adds one"
        times = ("created (UTC)", "expires (UTC)")
        print_table(("token", "for", *times), rows, unfolded=times, empty=none)


def _exact(token: StoredToken) -> dict[str, object]:
    return {
        "name": token.name,
        "role": token.role,
        "created": token.created,
        "expires": token.expires,
    }


def _ends(token: StoredToken) -> str | None:
    return None if token.expires is None else minute(token.expires)


@command.command()
@click.argument("name")
@click.pass_context
def remove(ctx: click.Context, *, name: str) -> None:
    """Remove the token NAME: servers refuse it within a second."""
    from fairlead.server.auth import remove_token

    remove_token(settings(ctx).tokens, name)
    note(f"token {name!r} removed; {_FOLLOWS}")
