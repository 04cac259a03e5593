"""What a command works on: the installation's settings, and its stores where they are there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from fairlead.errors import Invalid, NotFound
from fairlead.settings import Settings, from_environment

if TYPE_CHECKING:
    from fairlead.stores import Stores


def settings(ctx: click.Context) -> Settings:
    """The installation's settings, with `--home`, `--ledger`, `--artifacts` and `--server`.

    Raises:
        Invalid: An environment variable or an option does not hold what it should.
    """
    given = ctx.find_root().params
    return from_environment(
        os.environ,
        home=given.get("home"),
        ledger=given.get("ledger"),
        artifacts=given.get("artifacts"),
        server=_server(ctx),
    )


def refuse_server(ctx: click.Context, what: str) -> None:
    """Refuse `--server` for what only the machine of the server can do.

    Raises:
        Invalid: It is given.
    """
    server = _server(ctx)
    if server:
        raise Invalid(
            f"--server {server!r}: {what}: run this where the server runs", code="behind_api"
        )


def _server(ctx: click.Context) -> str | None:
    """`--server`, looked at here: further in it is the setting of a store."""
    server: str | None = ctx.find_root().params.get("server")
    if server:
        from fairlead.api_client import checked_url

        checked_url(server, "--server")
    return server


@contextmanager
def begun(ctx: click.Context) -> Iterator[Stores]:
    """The same for programs that wait for work: where nothing was ever run, they make a ledger."""
    from fairlead.stores import open_stores

    with open_stores(settings(ctx)) as stores:
        yield stores


@contextmanager
def opened(ctx: click.Context) -> Iterator[Stores]:
    """The stores of this home; only the commands that run something make a ledger.

    Raises:
        NotFound: Nothing was ever run there.
    """
    from fairlead.ledger.store import exists
    from fairlead.stores import open_stores

    options = settings(ctx)
    if not exists(options.ledger_url):
        name = "it with --ledger" if options.ledger else "its home with --home"
        raise NotFound(
            f"there is no ledger in {options.ledger or str(options.home)!r}: run a spec first, or "
            f"name {name} or {options.ledger_setting}",
            code="no_ledger",
        )
    with open_stores(options) as stores:
        yield stores
