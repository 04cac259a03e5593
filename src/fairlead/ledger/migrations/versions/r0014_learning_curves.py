"""The learning curves of trials that are scored at the end of each epoch."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("results", sa.Column("curve", sa.Text(), nullable=True))
