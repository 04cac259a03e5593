"""Upkeep of a ledger: its status and upgrade, copies of it, the rights of its database's roles."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlead.errors import Invalid, NextStep, NotFound
from fairlead.ledger.copying import LedgerCopy, OnProgress
from fairlead.ledger.copying import copy_ledger as _copy_ledger
from fairlead.ledger.database import Database
from fairlead.ledger.rights import LOAD, LOAD_QUERY, PURPOSES, Purpose, rights_of
from fairlead.ledger.schema import HEAD
from fairlead.ledger.status import LedgerStatus, live_leases, refuse_leases, status
from fairlead.ledger.store import bring_to_head, exists, open_database, revision_of, standing
from fairlead.settings import Settings, ledger_url

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["PURPOSES", "LedgerCopy", "LedgerStatus", "Purpose", "Upgrade"]

_LIVE = NextStep(
    action="ledger.upgrade",
    arguments={"live": True},
    effect="upgrades it all the same, under programs that were not written for it",
)


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """What an upgrade did; `before` is empty where there were no tables."""

    ledger: str
    before: str
    after: str


def ledger_status(settings: Settings) -> LedgerStatus:
    """How the installation's ledger is; changes nothing.

    Raises:
        NotFound: There is none.
        Invalid: It cannot be read.
    """
    with closing(_found(settings)) as database:
        return status(database)


def upgrade_ledger(settings: Settings, *, live: bool = False) -> Upgrade:
    """Bring the tables of the installation's ledger to the head, or make them.

    Args:
        settings: The installation's.
        live: Whether to do it while programs of the older version have leases in a shared one.

    Raises:
        Invalid: It is something else, of a newer Fairlead, or in use.
    """
    with closing(_opened(settings)) as database:
        if not (live or database.upgrades_on_opening):
            _refuse_used(database)
        return Upgrade(
            ledger=database.name, before=bring_to_head(database, upgrade=True), after=HEAD
        )


def copy_ledger(
    source: str, target: str, *, live: bool = False, on_progress: OnProgress
) -> LedgerCopy:
    """Copy a ledger into an empty database; see ledger/copying.py.

    Args:
        source: A file, or a URL.
        target: A file, or a URL.
        live: Whether to copy also while somebody uses the source.
        on_progress: Called with each batch.

    Raises:
        NotFound: There is no ledger at the source.
        Invalid: The source is no current ledger or in use, or the target is not empty.
        Failed: The copy is not what was read.
    """
    urls = ledger_url(source), ledger_url(target)
    return _copy_ledger(*urls, live=live, on_progress=on_progress)


def grants(settings: Settings, role: str, purpose: Purpose) -> Sequence[str]:
    """The statements that give a role of the ledger's database the least rights for its purpose.

    Raises:
        Invalid: The database has no roles or no current ledger, or no role has this name.
    """
    with closing(_found(settings)) as database:
        database.upkeep.check_role(role)

        def said(connection: Connection) -> Sequence[str]:
            _refuse_other_revision(revision_of(connection, database.name), database.name)
            return _statements(database, connection, role, purpose)

        return database.read(said)


def apply_grants(
    settings: Settings, role: str, purpose: Purpose, *, password: str
) -> Sequence[str]:
    """Give a role these rights, which is made if it is not there, as is a ledger.

    Args:
        settings: The installation's; its ledger is reached as an owner who may make roles.
        role: Its name.
        purpose: What it is for.
        password: Of the role from now on.

    Returns:
        The statements that were run.

    Raises:
        Invalid: As for `grants`.
    """
    with closing(_opened(settings)) as database:
        bring_to_head(database)

        def give(connection: Connection) -> Sequence[str]:
            database.upkeep.keep_role(connection, role, password)
            said = _statements(database, connection, role, purpose)
            for statement in said:
                connection.exec_driver_sql(statement)
            return said

        return database.write(give, lock=f"role:{role}")


def _statements(
    database: Database, connection: Connection, role: str, purpose: Purpose
) -> Sequence[str]:
    if purpose == "scaler":
        return database.upkeep.view_grants(connection, role, LOAD, LOAD_QUERY)
    return database.upkeep.grants(connection, role, rights_of(purpose))


def _found(settings: Settings) -> Database:
    """The ledger's database; a file that is not there is not made."""
    if not exists(settings.ledger_url):
        raise NotFound(
            f"there is no ledger at {settings.ledger_url!r}: a run makes one", code="no_ledger"
        )
    return _opened(settings)


def _opened(settings: Settings) -> Database:
    return open_database(settings.ledger_url, setting=settings.ledger_setting)


def _refuse_other_revision(revision: str, name: str) -> None:
    if revision != HEAD:
        raise Invalid(
            f"ledger {name!r}: rights are given to the tables of revision {HEAD}, not "
            f"{revision or 'none'}",
            code="older_ledger",
            next_steps=(NextStep(action="ledger.upgrade", effect="makes them"),),
        )


def _refuse_used(database: Database) -> None:
    """Refuse to change the tables under programs that were written for the older ones."""

    def refuse(connection: Connection) -> None:
        if standing(revision_of(connection, database.name)) == "older":
            refuse_leases(live_leases(connection), database.name, _LIVE)

    database.read(refuse)
