"""Autoscalers, and what they decided."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_COUNTS = ("wanted", "there", "starting", "busy", "ready", "running", "start")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "autoscalers",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("workers", sa.Text(), nullable=False),
        sa.Column("spent", sa.Double(), nullable=False),
        sa.Column("began", sa.Double(), nullable=False),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("lease", sa.Double(), nullable=True),
        sa.Column("lease_ends", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("autoscalers_pk")),
    )
    op.create_table(
        "scaling_decisions",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("autoscaler", sa.String(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in _COUNTS),
        sa.Column("leave", sa.Text(), nullable=False),
        sa.Column("spent", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["autoscaler"], ["autoscalers.name"], name=op.f("scaling_decisions_autoscaler_fk")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("scaling_decisions_pk")),
    )
    op.create_index("scaling_decisions_autoscaler", "scaling_decisions", ["autoscaler", "id"])
