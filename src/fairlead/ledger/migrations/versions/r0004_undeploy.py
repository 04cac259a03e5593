"""Routes without traffic, of the kind 'undeploy'.

SQLite changes a check only by making its table anew. Foreign keys cannot be switched off inside of
a transaction, so the rows that name routes stand aside meanwhile.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_IN_FORCE = sa.table("routes_in_force", sa.column("model"), sa.column("number"))


_KINDS = "kind IN ('deploy', 'set', 'undo', 'undeploy')"


def upgrade() -> None:
    """Change the check of what routes there are."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        _make_anew(connection)
    else:
        op.drop_constraint(op.f("routes_kind_ck"), "routes")
        op.create_check_constraint(op.f("routes_kind_ck"), "routes", _KINDS)


def _make_anew(connection: sa.Connection) -> None:
    """Make the table of routes anew, with all that is in it."""
    in_force = [row._asdict() for row in connection.execute(sa.select(_IN_FORCE))]
    connection.execute(_IN_FORCE.delete())
    _create("routes_anew")
    op.execute("INSERT INTO routes_anew SELECT * FROM routes")
    op.drop_table("routes")
    op.rename_table("routes_anew", "routes")
    op.bulk_insert(_IN_FORCE, in_force)


def _create(name: str) -> None:
    """The table under another name; its key to itself follows when it is renamed."""
    op.create_table(
        name,
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("traffic", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("details", sa.String(), nullable=False),
        sa.Column("sticky", sa.String(), nullable=True),
        sa.Column("deployment", sa.Integer(), nullable=True),
        sa.Column("before", sa.Integer(), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.CheckConstraint(_KINDS, name=op.f("routes_kind_ck")),
        sa.ForeignKeyConstraint(
            ["model", "before"], [f"{name}.model", f"{name}.number"], name="routes_before_fk"
        ),
        sa.ForeignKeyConstraint(
            ["model", "deployment"],
            ["deployments.model", "deployments.number"],
            name="routes_deployment_fk",
        ),
        sa.PrimaryKeyConstraint("model", "number", name=op.f("routes_pk")),
    )
