"""Schedules: when champions are trained again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "schedules",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("every", sa.Double(), nullable=False),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("deploy", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("first", sa.Double(), nullable=False),
        sa.Column("due", sa.Double(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("run", sa.String(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("noted", sa.Double(), nullable=True),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("lease", sa.Double(), nullable=True),
        sa.Column("lease_ends", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('began', 'unchanged', 'skipped', 'failed')",
            name=op.f("schedules_outcome_ck"),
        ),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("schedules_run_fk")),
        sa.PrimaryKeyConstraint("model", name=op.f("schedules_pk")),
    )
