"""`fairlead ledger`: the upkeep of the database that everything is kept in."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from fairlead.cli.context import settings
from fairlead.cli.output import json_option, note, print_fields, print_json, print_table
from fairlead.formatting import size

if TYPE_CHECKING:
    from fairlead.control.ledger import LedgerStatus, Purpose, Upgrade
    from fairlead.ledger.copying import Progress

_EVERY = 5.0  # seconds between two lines about a long copy
_EXAMPLES = """\b
Examples:
  fairlead ledger status
  fairlead ledger upgrade
  fairlead ledger copy .fairlead/ledger.db postgresql://me@db/fairlead
  fairlead ledger grants fairlead_worker | psql postgresql://me@db/fairlead
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Look after the ledger: a SQLite file, or a database of a PostgreSQL server.

    `status`, `upgrade` and `grants` are about the installation's ledger ($FAIRLEAD_LEDGER).
    """


_STATUS = """\b
Examples:
  fairlead ledger status
  fairlead --ledger postgresql://me@db/fairlead ledger status --json
"""


@command.command("status", epilog=_STATUS, short_help="Show how the ledger is.")
@json_option
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Show where the ledger is, its revision, its size, and whether it is in use.

    Nothing is changed; no older ledger is upgraded. PostgreSQL estimates the rows of large tables.
    """
    from fairlead.control.ledger import ledger_status

    found = ledger_status(settings(ctx))
    if as_json:
        print_json(found)
        return
    print_fields(list(_fields(found)))
    if found.tables:
        click.echo()
        rows = [
            (f"{name} (estimated)" if each and each.estimated else name, each and each.rows)
            for name, each in found.tables.items()
        ]
        print_table(("table", "rows"), rows)


_UPGRADE = """\b
Examples:
  fairlead ledger upgrade
  fairlead ledger upgrade --live
"""


@command.command("upgrade", epilog=_UPGRADE, short_help="Bring its tables up to date.")
@click.option("--live", is_flag=True, help="Upgrade also while leases are alive on a server.")
@json_option
@click.pass_context
def upgrade(ctx: click.Context, *, live: bool, as_json: bool) -> None:
    """Bring the ledger's tables up to date, or make them.

    A SQLite file is upgraded by whatever opens it, too; a ledger on a PostgreSQL server only by
    this command, since workers of an older Fairlead may be using it: end them first. All of it is
    one transaction.
    """
    from fairlead.control.ledger import upgrade_ledger

    done = upgrade_ledger(settings(ctx), live=live)
    if as_json:
        print_json(done)
    else:
        note(_upgraded(done))


_COPY = """\b
Examples:
  fairlead ledger copy .fairlead/ledger.db postgresql://me@db/fairlead
  fairlead ledger copy postgresql://me@db/fairlead ledger.db --json
"""


@command.command("copy", epilog=_COPY, short_help="Copy a ledger into an empty database.")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--live", is_flag=True, help="Copy also while workers, runs or servers use FROM.")
@json_option
def copy(source: str, target: str, *, live: bool, as_json: bool) -> None:
    """Copy the ledger FROM into the empty database TO, and verify the copy.

    Both are files or URLs. TO must have no tables, or no rows in them; it has all of the copy or
    nothing. End workers, runs and servers of FROM first: what they write after the copy began is
    not in it. A task that was running is given to another worker of TO once its lease has ended.
    Artefacts are not copied. Passwords belong into ~/.pgpass or $PGPASSWORD: everybody on a machine
    can read command lines.
    """
    from fairlead.control.ledger import copy_ledger

    done = copy_ledger(source, target, live=live, on_progress=_Lines().show)
    if as_json:
        print_json(done)
        return
    print_table(
        ("table", "rows", "sha256"),
        [(each.name, each.rows, each.digest[:16]) for each in done.tables],
    )
    note(f"copied and verified {done.rows:,} rows: {done.source} is in {done.target}")


_GRANTS = """\b
Examples:
  fairlead ledger grants fairlead_worker
  fairlead ledger grants reports --for reader | psql service=fairlead
  FAIRLEAD_ROLE_PASSWORD=... fairlead ledger grants keda --for scaler --apply
"""


@command.command("grants", epilog=_GRANTS, short_help="Print the SQL of a role's rights.")
@click.argument("role")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["worker", "controller", "server", "reader", "scaler"]),
    default="worker",
    show_default=True,
    help="The programs that connect as ROLE.",
)
@click.option(
    "--apply",
    "run",
    is_flag=True,
    help="Run it; ROLE is made, with the password $FAIRLEAD_ROLE_PASSWORD.",
)
@json_option
@click.pass_context
def grants(ctx: click.Context, role: str, purpose: Purpose, *, run: bool, as_json: bool) -> None:
    """Print the SQL that gives a role of PostgreSQL the least rights that it needs.

    A worker claims tasks and ends them; a server is `fairlead serve`; a controller runs all other
    commands; a reader only looks; a scaler, such as KEDA, sees the number of open tasks by the view
    fairlead_load alone. Print it again after an upgrade.
    """
    from fairlead.control.ledger import apply_grants
    from fairlead.control.ledger import grants as statements

    options = settings(ctx)
    if run:
        said = apply_grants(options, role, purpose, password=_password())
    else:
        said = statements(options, role, purpose)
    if as_json:
        print_json({"role": role, "for": purpose, "statements": said})
    else:
        click.echo("\n".join(said))


def _password() -> str:
    found = os.environ.get("FAIRLEAD_ROLE_PASSWORD")
    if not found:
        raise click.UsageError("--apply needs a password for the role: $FAIRLEAD_ROLE_PASSWORD.")
    return found


class _Lines:
    """A line every few seconds about a copy that takes longer."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def show(self, progress: Progress) -> None:
        """Say how far it is, where the last line is long ago."""
        if time.monotonic() >= self._last + _EVERY:
            self._last = time.monotonic()
            what = "verified" if progress.verifying else "copied"
            note(f"{progress.table}: {progress.rows:,} rows {what}")


_STATES = {
    "empty": "a database without tables",
    "current": "current",
    "older": "of an older Fairlead",
    "newer": "of a newer Fairlead: upgrade this one",
    "other": "a database of something else",
}


def _fields(found: LedgerStatus) -> Iterator[tuple[str, str]]:
    yield "ledger", found.ledger
    database = found.database
    yield "database", f"{database.kind} {database.version}"
    if database.role is not None:
        yield "role", database.role
    revision = f"{found.revision}, " if found.revision else ""
    known = "" if found.state == "current" else f" (this Fairlead has {found.head})"
    yield "tables", f"{revision}{_STATES[found.state]}{known}"
    yield "size", size(database.size)
    yield "clock", f"{found.clock:+.3f} s from this machine's"
    used = ", ".join(f"{many} in {name}" for name, many in found.leases.items())
    yield "leases", f"{used or 'none'} alive"
    if (server := database.connections) is not None:
        yield "connections", f"{server.used} of {server.most} in use, {server.free} free"


def _upgraded(done: Upgrade) -> str:
    if done.before == done.after:
        return f"nothing to do: {done.ledger} is of revision {done.after}"
    if not done.before:
        return f"made the tables of {done.ledger}, revision {done.after}"
    return f"upgraded {done.ledger} from revision {done.before} to {done.after}"
