"""Revisions of models, routes, deployments, servers, and the history of what is served."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create their tables."""
    op.create_table(
        "revisions",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("allowance", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("changed", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "state IN ('loading', 'ready', 'serving', 'draining', 'retired', 'failed')",
            name=op.f("revisions_state_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["model", "version"],
            ["versions.model", "versions.number"],
            name=op.f("revisions_model_fk"),
        ),
        sa.PrimaryKeyConstraint("model", "name", name=op.f("revisions_pk")),
        sa.UniqueConstraint(
            "model", "version", "number", name=op.f("revisions_model_version_number_uq")
        ),
    )
    op.create_table(
        "deployments",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("bounds", sa.Text(), nullable=False),
        sa.Column("sticky", sa.String(), nullable=True),
        sa.Column("base", sa.Integer(), nullable=True),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("began", sa.Double(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("server", sa.String(), nullable=True),
        sa.Column("lease", sa.Double(), nullable=True),
        sa.Column("lease_ends", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "state = 'running' OR server IS NULL", name=op.f("deployments_server_ck")
        ),
        sa.CheckConstraint(
            "state IN ('running', 'done', 'undone', 'failed', 'superseded')",
            name=op.f("deployments_state_ck"),
        ),
        sa.ForeignKeyConstraint(
            ["model", "revision"],
            ["revisions.model", "revisions.name"],
            name=op.f("deployments_model_fk"),
        ),
        sa.PrimaryKeyConstraint("model", "number", name=op.f("deployments_pk")),
    )
    op.create_index(
        "deployments_running",
        "deployments",
        ["model"],
        unique=True,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "routes",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("traffic", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("details", sa.String(), nullable=False),
        sa.Column("sticky", sa.String(), nullable=True),
        sa.Column("deployment", sa.Integer(), nullable=True),
        sa.Column("before", sa.Integer(), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.CheckConstraint("kind IN ('deploy', 'set', 'undo')", name=op.f("routes_kind_ck")),
        sa.ForeignKeyConstraint(
            ["model", "before"], ["routes.model", "routes.number"], name="routes_before_fk"
        ),
        sa.ForeignKeyConstraint(
            ["model", "deployment"],
            ["deployments.model", "deployments.number"],
            name="routes_deployment_fk",
        ),
        sa.PrimaryKeyConstraint("model", "number", name=op.f("routes_pk")),
    )
    op.create_table(
        "routes_in_force",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model", "number"],
            ["routes.model", "routes.number"],
            name=op.f("routes_in_force_model_fk"),
        ),
        sa.PrimaryKeyConstraint("model", name=op.f("routes_in_force_pk")),
    )
    op.create_table(
        "serving_events",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("revision", sa.String(), nullable=True),
        sa.Column("route", sa.Integer(), nullable=True),
        sa.Column("deployment", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("serving_events_pk")),
    )
    op.create_index("serving_events_model", "serving_events", ["model", "id"], unique=False)
    op.create_table(
        "servers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("processes", sa.Integer(), nullable=False),
        sa.Column("models", sa.Text(), nullable=True),
        sa.Column("routes", sa.Text(), nullable=False),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("seen", sa.Double(), nullable=False),
        sa.Column("lease", sa.Double(), nullable=False),
        sa.Column("lease_ends", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("servers_pk")),
    )
