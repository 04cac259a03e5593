"""The events of one deployment are found without reading all of its model."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index("serving_events_deployment", "serving_events", ["model", "deployment", "id"])
