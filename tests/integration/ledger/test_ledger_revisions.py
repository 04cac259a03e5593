"""Ledger files of other revisions."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from fairlead.errors import Invalid
from fairlead.ledger import store
from fairlead.ledger.interface import Ledger
from fairlead.ledger.schema import HEAD, metadata
from fairlead.ledger.sqlite import SqliteDatabase
from fairlead.ledger.store import open_ledger
from fairlead.records import Counts, Deployment
from tests.integration.ledger.processes import STUDY, add_trials, ledger_file

RECORDED = Path(__file__).parent / "recorded"

NEXT = '''
"""A revision that does not exist yet."""

import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table("studies") as studies:
        studies.add_column(sa.Column("owner", sa.String, server_default="nobody"))
'''


# By the revision of the recorded ledger: states of revisions, traffic, what became of deployments.
SERVED: dict[str, tuple[list[str], list[object], list[str]]] = {
    "0003": (
        ["v1 serving", "v1-2 serving"],
        [{"v1": 100}, {"v1": 90, "v1-2": 10}],
        ["v1 done", "v1-2 running"],
    ),
    "0004": (
        ["v1 serving", "v1-2 serving"],
        [{"v1": 100}, {"v1": 90, "v1-2": 10}, {}],
        ["v1 done", "v1-2 superseded"],
    ),
}
SERVED["0014"] = SERVED["0013"] = SERVED["0012"] = SERVED["0011"] = SERVED["0010"] = SERVED[
    "0009"
] = SERVED["0008"] = SERVED["0007"] = SERVED["0006"] = SERVED["0005"] = SERVED["0004"]


def served(ledger: Ledger) -> tuple[list[str], list[object], list[str]]:
    revisions = [f"{each.name} {each.state}" for each in ledger.routes.revisions("boston")]
    routes = ledger.routes.history("boston")
    assert ledger.routes.in_force() == routes[-1:]
    numbers = {route.deployment for route in routes if route.deployment}
    deployments = [ledger.deployments.get("boston", number) for number in sorted(numbers)]
    return (
        revisions,
        [route.traffic for route in routes],
        [f"{each.revision} {each.state}" for each in deployments],
    )


def observations(ledger: Ledger, deployment: Deployment) -> list[tuple[str, int]]:
    found = ledger.deployments.observations(deployment)
    return [(one.server, one.revisions["v1"].requests) for one in found]


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(store.MIGRATIONS))
    return ScriptDirectory.from_config(config)


def pieces(statement: str) -> frozenset[str]:
    """Columns, constraints and options of a statement: their order and its blanks mean nothing."""
    head, _, rest = re.sub(r'[\s"]+', "", statement).partition("(")
    body, _, options = rest.rpartition(")")
    depth, parts = 0, [""]
    for letter in body:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return frozenset([head, options, *parts])


def tables(file: Path) -> set[tuple[str, str, frozenset[str]]]:
    """Everything that the file's schema says."""
    connection = sqlite3.connect(file)
    rows = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master").fetchall()
    connection.close()
    return {(kind, name, pieces(statement)) for kind, name, statement in rows}


def migrated(file: Path, migrations: Path = store.MIGRATIONS) -> SqliteDatabase:
    database = SqliteDatabase(file)
    database.prepare()
    database.write(lambda connection: store.migrate(connection, str(file), scripts=migrations))
    return database


def test_the_migrations_make_exactly_the_schema(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "created.db"):
        pass
    database = migrated(tmp_path / "migrated.db")
    found = database.read(
        lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)
    )
    assert found == []
    database.close()
    assert tables(tmp_path / "migrated.db") == tables(tmp_path / "created.db")


def test_the_head_is_the_last_migration() -> None:
    assert scripts().get_heads() == [HEAD]


def test_every_revision_has_a_recorded_ledger() -> None:
    known = {script.revision for script in scripts().walk_revisions()}
    assert {file.stem for file in RECORDED.glob("*.sql")} == known


@pytest.mark.parametrize("dump", sorted(RECORDED.glob("*.sql")), ids=lambda dump: dump.stem)
def test_a_recorded_ledger_opens_with_all_that_was_in_it(tmp_path: Path, dump: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.db") as old:
        old.executescript(dump.read_text())
    old.close()
    with open_ledger(tmp_path / "ledger.db") as ledger:
        (study,) = ledger.studies.all()
        assert (study.name, study.size, study.state, study.best) == ("boston", 3, "finished", 1)
        states = [row.state for row in ledger.studies.trials(study.id)]
        assert states == ["failed", "done", "pruned"]
        assert ledger.studies.counts(study.id) == Counts(done=1, failed=1, pruned=1)
        curves = [row.result.curve for row in ledger.studies.trials(study.id) if row.result]
        assert curves == [(), (), (0.5, 0.75) if dump.stem >= "0014" else ()]
        assert ledger.tasks.refit(study.id, 1) == ("c" * 64, None)
        champion = ledger.versions.champion("boston")
        assert champion is not None
        assert [entry.version for entry in ledger.versions.history("boston")] == [1]
        (judgement,) = ledger.versions.judgements("boston")
        assert judgement.verdict.decision == "promote"
        known = {} if dump.stem == "0001" else {judgement.rows: b"12345678"}
        assert ledger.versions.samples("boston") == known
        assert len(ledger.outbox.pending()) == 2
        assert served(ledger) == SERVED.get(dump.stem, ([], [], []))
        ran = [(run.stage, run.state, run.version) for run in ledger.runs.all(study.id)]
        cancelled = [("search", "cancelled", None)] if dump.stem >= "0008" else []
        assert ran == [*cancelled, *([("judge", "done", 1)] if dump.stem >= "0005" else [])]
        assert ledger.tasks.is_leaving("worker-1") == (dump.stem >= "0005")
        decided = [(one.cause, one.wanted, one.leave) for one in ledger.autoscaling.decisions()]
        assert decided == ([("work", 2, ("w1",))] if dump.stem >= "0009" else [])
        observed = [
            each for one in ledger.deployments.running() for each in observations(ledger, one)
        ]
        assert observed == ([("s1", 3)] if dump.stem >= "0012" else [])
        told = [(one.task, one.progress.step) for one in ledger.fits.reports(study.id)]
        assert told == ([(2, 39)] if dump.stem >= "0013" else [])
        assert ledger.studies.open(study) == study
    with sqlite3.connect(tmp_path / "ledger.db") as opened:
        assert opened.execute("PRAGMA foreign_key_check").fetchall() == []
    opened.close()
    database = SqliteDatabase(tmp_path / "ledger.db")
    assert database.read(lambda connection: store.revision_of(connection, "")) == HEAD
    database.close()


def test_an_older_ledger_is_migrated_with_what_is_in_it(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        add_trials(ledger, 3)
    migrations = tmp_path / "migrations"
    shutil.copytree(store.MIGRATIONS, migrations)
    (migrations / "versions" / "next.py").write_text(NEXT.format(head=HEAD))
    migrated(tmp_path / "ledger.db", migrations).close()
    connection = sqlite3.connect(tmp_path / "ledger.db")
    assert connection.execute("SELECT id, owner, ready FROM studies").fetchall() == [
        (STUDY.id, "nobody", 3)
    ]
    connection.close()


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        add_trials(ledger, 3)
    before = tables(tmp_path / "ledger.db")
    migrations = tmp_path / "migrations"
    shutil.copytree(store.MIGRATIONS, migrations)
    broken = NEXT.format(head=HEAD) + "    raise ZeroDivisionError\n"
    (migrations / "versions" / "next.py").write_text(broken)
    with pytest.raises(ZeroDivisionError):
        migrated(tmp_path / "ledger.db", migrations)
    assert tables(tmp_path / "ledger.db") == before
    with open_ledger(tmp_path / "ledger.db") as ledger:
        assert ledger.studies.counts(STUDY.id) == Counts(ready=3)


def test_a_newer_ledger_is_refused_in_one_line_and_left_alone(tmp_path: Path) -> None:
    file = ledger_file(tmp_path)
    with open_ledger(file):
        pass
    connection = sqlite3.connect(file)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    before = file.read_bytes()
    with pytest.raises(Invalid, match="a newer Fairlead made it") as caught:
        open_ledger(file)
    assert "\n" not in str(caught.value)
    assert file.read_bytes() == before


def test_opening_a_current_or_a_new_ledger_needs_no_alembic(tmp_path: Path) -> None:
    program = (
        "import sys; from fairlead.ledger.store import open_ledger\n"
        "for _ in range(2): open_ledger(sys.argv[1]).__exit__(None, None, None)\n"
        "heavy = {'alembic', 'pandas', 'numpy', 'sklearn', 'optuna', 'mlflow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program, ledger_file(tmp_path)], check=True)
