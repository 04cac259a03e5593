"""Databases of other tools, looked at before the tool makes its tables in one.

The names of their tables are much alike: Optuna has `studies` and `trials` as Fairlead's ledger
has, and the ledger, Optuna and MLflow keep their revisions in `alembic_version`. A tool that takes
another's tables for its own spoils them.
"""

from __future__ import annotations

import sqlalchemy as sa

from fairlead.errors import Invalid
from fairlead.formatting import without_password

_TAKEN = {"studies", "trials", "alembic_version"}


def refuse_other_tables(url: str, *, mark: str) -> None:
    """Refuse a database that another program has its tables in.

    Args:
        url: Of the database.
        mark: A table that the tool alone has.

    Raises:
        Invalid: It is no URL, lacks a package, cannot be opened, or is another program's.
        SQLAlchemyError: Its server did not answer.
    """
    shown = without_password(url)
    engine = _engine(url, shown)
    try:
        tables = set(sa.inspect(engine).get_table_names())
    except sa.exc.DatabaseError as error:
        if engine.dialect.name == "sqlite":
            raise Invalid(f"{shown!r} cannot be opened: {error.orig}") from error
        raise
    finally:
        engine.dispose()
    if tables & _TAKEN and mark not in tables:
        raise Invalid(f"{shown!r} is a database of something else: name one of its own")


def _engine(url: str, shown: str) -> sa.Engine:
    try:
        return sa.create_engine(url)
    except sa.exc.ArgumentError:  # it would name the password
        raise Invalid(f"{shown!r} is no URL of a database; such as sqlite:///trials.db") from None
    except ImportError as error:
        lacking = f"the package {error.name!r}, which is not installed"
        raise Invalid(f"{shown!r} needs {lacking}: pip install {error.name}") from None
