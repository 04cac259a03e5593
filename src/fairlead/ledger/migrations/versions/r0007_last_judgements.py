"""The last judgement of a version, found without its model's history."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("judgements_version", "judgements", ["model", "version", "id"])
