"""Samples of the rows that judgements rest on.

The rows of earlier judgements are known by their digest alone, from which no sample can be made.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create their table."""
    op.create_table(
        "judged_rows",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("sample", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("judged_rows_pk")),
    )
