"""Workers that are alive, studies that take turns, and runs that were cancelled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_READY = sa.text("state = 'ready'")
_STATES = "state IN ('running', 'done', 'failed', 'cancelled')"


def upgrade() -> None:
    """Add the columns, the table and the state."""
    op.add_column(
        "studies", sa.Column("priority", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
    op.add_column(
        "studies", sa.Column("paused", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column(
        "studies", sa.Column("needs", sa.Text(), nullable=False, server_default=sa.text("'{}'"))
    )
    op.add_column(
        "studies", sa.Column("served", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    )
    op.add_column(
        "tasks", sa.Column("family", sa.String(), nullable=False, server_default=sa.text("''"))
    )
    op.drop_index("tasks_ready", "tasks")
    op.create_index(
        "tasks_ready",
        "tasks",
        ["study", "family", "id"],
        sqlite_where=_READY,
        postgresql_where=_READY,
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("process", sa.Integer(), nullable=False),
        sa.Column("offer", sa.Text(), nullable=False),
        sa.Column("study", sa.String(), nullable=True),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("seen", sa.Double(), nullable=False),
        sa.Column("lease", sa.Double(), nullable=False),
        sa.Column("lease_ends", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("workers_pk")),
    )
    with op.batch_alter_table("runs") as runs:
        runs.drop_constraint(op.f("runs_state_ck"), type_="check")
        runs.create_check_constraint(op.f("runs_state_ck"), _STATES)
