"""Runs, under leases; and workers that are asked to leave."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create their tables."""
    op.create_table(
        "leaving_workers",
        sa.Column("worker", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("worker", name=op.f("leaving_workers_pk")),
    )
    op.create_table(
        "runs",
        sa.Column("number", _KEY, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("study", _KEY, nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("deploy", sa.Boolean(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("began", sa.Double(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("lease", sa.Double(), nullable=True),
        sa.Column("lease_ends", sa.Double(), nullable=True),
        sa.CheckConstraint("state = 'running' OR holder IS NULL", name=op.f("runs_holder_ck")),
        sa.CheckConstraint(
            "stage IN ('search', 'refit', 'register', 'judge', 'deploy')",
            name=op.f("runs_stage_ck"),
        ),
        sa.CheckConstraint("state IN ('running', 'done', 'failed')", name=op.f("runs_state_ck")),
        sa.ForeignKeyConstraint(["study"], ["studies.number"], name=op.f("runs_study_fk")),
        sa.PrimaryKeyConstraint("number", name=op.f("runs_pk")),
        sa.UniqueConstraint("id", name=op.f("runs_id_uq")),
    )
    op.create_index("runs_study", "runs", ["study", "number"])
