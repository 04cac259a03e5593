"""Observations: what each server has seen of a deployment's present step."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "observations",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("deployment", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("revisions", sa.Text(), nullable=False),
        sa.Column("edges", sa.Text(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model", "deployment"],
            ["deployments.model", "deployments.number"],
            name=op.f("observations_model_fk"),
        ),
        sa.PrimaryKeyConstraint("model", "server", name=op.f("observations_pk")),
    )
