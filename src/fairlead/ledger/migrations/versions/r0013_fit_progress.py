"""The progress of fits, and the last checkpoint of each task."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("tasks", sa.Column("checkpoint", sa.String(), nullable=True))
    op.create_table(
        "fit_progress",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("study", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("task", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("fold", sa.Integer(), nullable=True),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Double(), nullable=False),
        sa.Column("loss", sa.Double(), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=True),
        sa.Column("rows_per_second", sa.Double(), nullable=False),
        sa.Column("workers", sa.Integer(), nullable=False),
        sa.Column("checkpoint", sa.String(), nullable=True),
        sa.Column("checkpointed", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["study"], ["studies.number"], name=op.f("fit_progress_study_fk")),
        sa.ForeignKeyConstraint(["task"], ["tasks.id"], name=op.f("fit_progress_task_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("fit_progress_pk")),
        sa.UniqueConstraint("task", "number", name=op.f("fit_progress_task_number_uq")),
    )
    op.create_index("fit_progress_study", "fit_progress", ["study", "id"])
    op.create_index("fit_progress_trial", "fit_progress", ["study", "trial", "id"])
