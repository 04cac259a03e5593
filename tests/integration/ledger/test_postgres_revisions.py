"""Ledgers on PostgreSQL of other revisions; what is dumped and restored; roles."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from fairlead.errors import Invalid
from fairlead.ledger import store
from fairlead.ledger.postgres import open_database
from fairlead.ledger.schema import metadata
from fairlead.ledger.store import open_ledger, revision
from fairlead.records import Counts, Version
from tests.integration.ledger.processes import STUDY, add_trials
from tests.support.postgres import database, programs

SCHEMA = """
SELECT 'column', c.table_name || '.' || c.column_name,
       c.data_type || ' ' || c.is_nullable || ' ' || coalesce(c.column_default, '')
  FROM information_schema.columns c WHERE c.table_schema = 'public'
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
"""


def schema(url: str) -> set[tuple[str, str, str]]:
    """Everything but the casts of checks, which PostgreSQL writes otherwise after a restore."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(SCHEMA).fetchall()
    return {(kind, name, re.sub(r"::[a-z ]+(\[\])?|[()]", "", said)) for kind, name, said in rows}


@pytest.fixture
def url(postgres: str) -> Iterator[str]:
    with database(postgres) as made:
        yield made


def _is_of_ledger(name: str | None, _kind: str, _parents: object) -> bool:
    return not (name or "").startswith("fairlead_")


def test_the_migrations_make_exactly_the_schema(postgres: str, url: str) -> None:
    migrated = open_database(url)
    migrated.prepare()
    migrated.write(lambda connection: store.migrate(connection, url))
    found = migrated.read(
        lambda connection: compare_metadata(
            MigrationContext.configure(connection, opts={"include_name": _is_of_ledger}), metadata
        )
    )
    migrated.close()
    assert found == []
    with database(postgres) as created:
        with open_ledger(created):
            pass
        assert schema(url) == schema(created)


def test_a_newer_ledger_is_refused_in_one_line_and_left_alone(url: str) -> None:
    with open_ledger(url), psycopg.connect(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'later'")
    before = schema(url)
    with pytest.raises(Invalid, match="a newer Fairlead made it") as caught:
        open_ledger(url)
    assert "\n" not in str(caught.value)
    assert schema(url) == before
    assert revision(url) == "later"


def test_what_is_dumped_and_restored_is_all_there(postgres: str, url: str, tmp_path: Path) -> None:
    bin_ = programs()
    assert bin_
    with open_ledger(url) as ledger:
        add_trials(ledger, 30)
        claim = ledger.tasks.claim("w", lease=60)
        assert claim
        ledger.versions.register(
            Version(model="m", number=0, study="s", trial=0, size=1, manifest="a" * 64)
        )
        token = claim.token
    dump = tmp_path / "ledger.dump"
    subprocess.run([bin_ / "pg_dump", "--format=custom", f"--file={dump}", url], check=True)
    with database(postgres) as other:
        subprocess.run([bin_ / "pg_restore", "--exit-on-error", "-d", other, dump], check=True)
        assert schema(other) == schema(url)
        with open_ledger(other) as ledger:
            assert ledger.studies.counts(STUDY.id) == Counts(ready=29, running=1)
            assert [version.number for version in ledger.versions.all("m")] == [1]
            again = ledger.tasks.claim("w2", lease=60)
            assert again
            assert again.token > token
