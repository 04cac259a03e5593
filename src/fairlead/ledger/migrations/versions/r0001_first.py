"""Every table of the first ledger.

Made by Alembic from ledger/schema.py; a revision that has been released is never edited.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "outbox",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("outbox_pk")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "studies",
        sa.Column("number", _KEY, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("table_digest", sa.String(), nullable=False),
        sa.Column("sources", sa.Text(), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("limit_seconds", sa.Double(), nullable=True),
        sa.Column("limit_memory", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("best", sa.Integer(), nullable=True),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("finished", sa.Double(), nullable=True),
        sa.Column("ready", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("running", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("pruned", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("results", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("state IN ('searching', 'finished')", name=op.f("studies_state_ck")),
        sa.PrimaryKeyConstraint("number", name=op.f("studies_pk")),
        sa.UniqueConstraint("id", name=op.f("studies_id_uq")),
    )
    op.create_index("studies_name", "studies", ["name"], unique=False)
    op.create_table(
        "versions",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("manifest", sa.String(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("model", "number", name=op.f("versions_pk")),
        sa.UniqueConstraint("model", "manifest", name=op.f("versions_model_manifest_uq")),
    )
    op.create_table(
        "champions",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model", "version"],
            ["versions.model", "versions.number"],
            name=op.f("champions_model_fk"),
        ),
        sa.PrimaryKeyConstraint("model", name=op.f("champions_pk")),
    )
    op.create_table(
        "judgements",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("champion", sa.Integer(), nullable=True),
        sa.Column("rows", sa.String(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model", "version"],
            ["versions.model", "versions.number"],
            name=op.f("judgements_model_fk"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("judgements_pk")),
    )
    op.create_index("judgements_rows", "judgements", ["model", "rows"], unique=False)
    op.create_table(
        "promotions",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("previous", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('gate', 'promote', 'rollback')", name=op.f("promotions_kind_ck")
        ),
        sa.ForeignKeyConstraint(
            ["model", "version"],
            ["versions.model", "versions.number"],
            name=op.f("promotions_model_fk"),
        ),
        sa.PrimaryKeyConstraint("model", "number", name=op.f("promotions_pk")),
    )
    op.create_table(
        "tasks",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("study", _KEY, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("trials", sa.Text(), nullable=False),
        sa.Column("refit", sa.Integer(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("faults", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lost", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=True),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("lease", sa.Double(), nullable=True),
        sa.Column("lease_ends", sa.Double(), nullable=True),
        sa.Column("candidate", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("(kind = 'refit') = (refit IS NOT NULL)", name=op.f("tasks_refit_ck")),
        sa.CheckConstraint(
            "(state = 'running') = (token IS NOT NULL)", name=op.f("tasks_token_ck")
        ),
        sa.CheckConstraint("kind IN ('trials', 'refit')", name=op.f("tasks_kind_ck")),
        sa.CheckConstraint(
            "state IN ('ready', 'running', 'done', 'failed', 'withdrawn')",
            name=op.f("tasks_state_ck"),
        ),
        sa.ForeignKeyConstraint(["study"], ["studies.number"], name=op.f("tasks_study_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("tasks_pk")),
    )
    op.create_index(
        "tasks_live_refit",
        "tasks",
        ["study", "refit"],
        unique=True,
        sqlite_where=sa.text("kind = 'refit' AND state != 'failed'"),
        postgresql_where=sa.text("kind = 'refit' AND state != 'failed'"),
    )
    op.create_index("tasks_of_study", "tasks", ["study", "state", "id"], unique=False)
    op.create_index(
        "tasks_ready",
        "tasks",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'ready'"),
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "tasks_refit",
        "tasks",
        ["study", "refit", "id"],
        unique=False,
        sqlite_where=sa.text("kind = 'refit'"),
        postgresql_where=sa.text("kind = 'refit'"),
    )
    op.create_index(
        "tasks_running",
        "tasks",
        ["lease_ends"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "trials",
        sa.Column("study", _KEY, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.number"], name=op.f("trials_study_fk")),
        sa.PrimaryKeyConstraint("study", "number", name=op.f("trials_pk")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("study", _KEY, nullable=False),
        sa.Column("task", _KEY, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.number"], name=op.f("events_study_fk")),
        sa.ForeignKeyConstraint(["task"], ["tasks.id"], name=op.f("events_task_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("events_pk")),
    )
    op.create_index("events_study", "events", ["study", "id"], unique=False)
    op.create_table(
        "results",
        sa.Column("study", _KEY, nullable=False),
        sa.Column("mark", sa.Integer(), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("scores", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.CheckConstraint("state IN ('done', 'failed', 'pruned')", name=op.f("results_state_ck")),
        sa.ForeignKeyConstraint(
            ["study", "trial"], ["trials.study", "trials.number"], name=op.f("results_study_fk")
        ),
        sa.PrimaryKeyConstraint("study", "mark", name=op.f("results_pk")),
        sa.UniqueConstraint("study", "trial", name=op.f("results_study_trial_uq")),
        sqlite_with_rowid=False,
    )
