"""`fairlead ledger`, as a process: what it prints, what it refuses, what it leaves alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from fairlead.errors import Invalid
from fairlead.ledger import store
from fairlead.ledger.schema import HEAD, metadata
from fairlead.ledger.store import open_database, open_ledger, revision
from fairlead.records import Counts
from tests.contract.ledger_contract import STUDY, must_claim, task
from tests.integration.ledger.filling import rows
from tests.integration.ledger.processes import add_trials
from tests.support.postgres import database, of_database

SECRET = "sw0rdfish"
RECORDED = Path(__file__).parent / "recorded"


def run(*words: object, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fairlead", *map(str, words)],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def done(*words: object, cwd: Path, **environ: str) -> str:
    ran = run(*words, cwd=cwd, **environ)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout + ran.stderr


def refused(*words: object, cwd: Path, **environ: str) -> str:
    """The one line of a command that was refused."""
    ran = run(*words, cwd=cwd, **environ)
    assert ran.returncode == 2, ran.stderr
    assert (ran.stdout, ran.stderr.count("\n")) == ("", 1)
    return ran.stderr


@pytest.fixture
def url(postgres: str) -> Iterator[str]:
    """A new database; its URL has a password, which nothing may show."""
    with database(postgres) as made:
        name = psycopg.conninfo.conninfo_to_dict(made)["dbname"]
        given = psycopg.conninfo.conninfo_to_dict(made).get("password")
        yield made if given else of_database(made, str(name), password=SECRET)


@pytest.fixture
def older(url: str, tmp_path: Path) -> str:
    """A ledger on a server whose tables lack the last migration."""
    migrations = tmp_path / "migrations"
    shutil.copytree(store.MIGRATIONS, migrations)
    for last in (migrations / "versions").glob(f"r{HEAD}_*.py"):
        last.unlink()
    with closing(open_database(url)) as made:
        made.prepare()
        made.write(lambda connection: store.migrate(connection, url, scripts=migrations))
    return url


def older_file(file: Path) -> Path:
    last = sorted(RECORDED.glob("*.sql"))[-2]
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(last.read_text())
    return file


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


# ---- upgrade --------------------------------------------------------------------------------


def test_an_older_ledger_on_a_server_is_not_upgraded_by_the_way(older: str, tmp_path: Path) -> None:
    before = revision(older)
    assert before not in ("", HEAD)
    with pytest.raises(Invalid, match="an older Fairlead made it") as caught:
        open_ledger(older)
    assert caught.value.next_steps[0].action == "ledger.upgrade"
    line = refused("studies", cwd=tmp_path, FAIRLEAD_LEDGER=older)
    assert f"(revision {before}, this one has {HEAD})" in line
    assert "its workers and servers must have ended before; `fairlead ledger upgrade`" in line
    assert SECRET not in line
    assert revision(older) == before


def test_an_older_file_is_upgraded_by_what_opens_it(tmp_path: Path) -> None:
    file = older_file(tmp_path / "ledger.db")
    with open_ledger(file):
        pass
    assert revision(file) == HEAD


def test_a_database_without_tables_becomes_a_ledger_where_it_is_opened(url: str) -> None:
    with open_ledger(url):
        pass
    assert revision(url) == HEAD


def test_an_upgrade_says_from_where_to_where_and_a_second_that_there_is_nothing_to_do(
    older: str, tmp_path: Path
) -> None:
    before = revision(older)
    said = done("ledger", "upgrade", cwd=tmp_path, FAIRLEAD_LEDGER=older)
    assert said.endswith(f"from revision {before} to {HEAD}\n")
    assert SECRET not in said
    assert revision(older) == HEAD
    said = done("ledger", "upgrade", cwd=tmp_path, FAIRLEAD_LEDGER=older)
    assert said.startswith("nothing to do: ")
    again = json.loads(done("ledger", "upgrade", "--json", cwd=tmp_path, FAIRLEAD_LEDGER=older))
    assert (again["before"], again["after"]) == (HEAD, HEAD)
    with open_ledger(older) as ledger:
        add_trials(ledger, 3)


def test_an_upgrade_of_a_file_makes_it_or_brings_it_to_the_head(tmp_path: Path) -> None:
    made = json.loads(done("ledger", "upgrade", "--json", cwd=tmp_path))
    assert (made["before"], made["after"]) == ("", HEAD)
    assert revision(tmp_path / ".fairlead" / "ledger.db") == HEAD
    file = older_file(tmp_path / "older.db")
    before = revision(file)
    said = done("--ledger", file, "ledger", "upgrade", cwd=tmp_path)
    assert said == f"upgraded {file} from revision {before} to {HEAD}\n"


def test_an_upgrade_under_a_worker_of_the_older_version_is_refused(
    older: str, tmp_path: Path
) -> None:
    with psycopg.connect(older) as connection:
        connection.execute(
            "INSERT INTO studies (id, name, spec, table_digest, sources, asked, size, state, "
            "created) VALUES ('s', 's', '{}', 't', '{}', 1, 1, 'searching', 0)"
        )
        connection.execute(
            "INSERT INTO tasks (study, kind, state, trials, token, worker, lease, lease_ends) "
            "VALUES (1, 'trials', 'running', '[]', 1, 'w', 60, extract(epoch from now()) + 60)"
        )
    before = revision(older)
    line = refused("ledger", "upgrade", cwd=tmp_path, FAIRLEAD_LEDGER=older)
    assert "leases are alive (1 in tasks)" in line
    assert "`fairlead ledger upgrade --live`" in line
    assert revision(older) == before
    done("ledger", "upgrade", "--live", cwd=tmp_path, FAIRLEAD_LEDGER=older)
    assert revision(older) == HEAD


def test_a_newer_ledger_is_refused(url: str, tmp_path: Path) -> None:
    with open_ledger(url), psycopg.connect(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'later'")
    line = refused("ledger", "upgrade", cwd=tmp_path, FAIRLEAD_LEDGER=url)
    assert "a newer Fairlead made it" in line
    assert revision(url) == "later"


# ---- status ---------------------------------------------------------------------------------


def test_the_status_of_a_file_changes_nothing(tmp_path: Path) -> None:
    file = older_file(tmp_path / "ledger.db")
    before = digest(file)
    said = json.loads(done("--ledger", file, "ledger", "status", "--json", cwd=tmp_path))
    assert (said["ledger"], said["state"], said["head"]) == (str(file), "older", HEAD)
    assert said["database"]["kind"] == "sqlite"
    assert said["database"]["version"] == sqlite3.sqlite_version
    assert said["database"]["size"] >= file.stat().st_size
    assert said["tables"]["studies"] == {"rows": 1, "estimated": False}
    assert abs(said["clock"]) < 5
    assert digest(file) == before
    text = done("--ledger", file, "ledger", "status", cwd=tmp_path)
    assert f"of an older Fairlead (this Fairlead has {HEAD})" in text


def test_the_status_of_a_ledger_on_a_server_names_its_role_and_no_password(
    url: str, tmp_path: Path
) -> None:
    with open_ledger(url) as ledger:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0), task(1)])
        must_claim(ledger)
    text = done("ledger", "status", cwd=tmp_path, FAIRLEAD_LEDGER=url)
    assert SECRET not in text
    assert f"{HEAD}, current" in text
    assert "1 in tasks alive" in text
    said = json.loads(done("ledger", "status", "--json", cwd=tmp_path, FAIRLEAD_LEDGER=url))
    with psycopg.connect(url) as connection:
        (version,) = connection.execute("SHOW server_version").fetchone() or ("",)
        (most,) = connection.execute("SHOW max_connections").fetchone() or ("",)
        (role,) = connection.execute("SELECT current_user").fetchone() or ("",)
    assert SECRET not in json.dumps(said)
    assert said["database"]["kind"] == "postgresql"
    assert (said["database"]["version"], said["database"]["role"]) == (version, role)
    connections = said["database"]["connections"]
    assert connections["most"] == int(most)
    assert 0 < connections["used"] <= connections["most"]
    assert connections["free"] < connections["most"] - connections["used"] + 1
    assert said["leases"] == {"tasks": 1}
    assert {*said["tables"]} == {*metadata.tables}
    assert said["tables"]["tasks"]["rows"] == 2


def test_the_status_of_a_database_without_tables_and_of_something_else(
    url: str, tmp_path: Path
) -> None:
    def state() -> str:
        said = json.loads(done("ledger", "status", "--json", cwd=tmp_path, FAIRLEAD_LEDGER=url))
        return str(said["state"])

    assert state() == "empty"
    assert revision(url) == ""
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE mine (id INT)")
    assert state() == "other"
    assert "something else" in done("ledger", "status", cwd=tmp_path, FAIRLEAD_LEDGER=url)


def test_the_status_of_no_ledger_makes_none(tmp_path: Path) -> None:
    assert "there is no ledger at" in refused("ledger", "status", cwd=tmp_path)
    assert not (tmp_path / ".fairlead").exists()


def test_the_rows_of_a_large_table_are_estimated(url: str, tmp_path: Path) -> None:
    with open_ledger(url), psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO judged_rows SELECT n::text, '' FROM generate_series(1, 150000) AS n"
        )
        connection.execute("ANALYZE judged_rows")
    said = json.loads(done("ledger", "status", "--json", cwd=tmp_path, FAIRLEAD_LEDGER=url))
    assert said["tables"]["judged_rows"]["estimated"]
    assert 100_000 < said["tables"]["judged_rows"]["rows"] < 200_000
    assert not said["tables"]["studies"]["estimated"]
    assert "judged_rows (estimated)" in done("ledger", "status", cwd=tmp_path, FAIRLEAD_LEDGER=url)


# ---- copy and grants ------------------------------------------------------------------------


def test_a_copy_says_what_it_copied_and_the_ledger_goes_on_there(url: str, tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        add_trials(ledger, 30)
    said = json.loads(done("ledger", "copy", "ledger.db", url, "--json", cwd=tmp_path))
    assert (said["source"], said["revision"]) == (str(tmp_path / "ledger.db"), HEAD)
    assert SECRET not in json.dumps(said)
    assert {each["name"]: each["rows"] for each in said["tables"]} == {
        name: len(found) for name, found in rows(url).items()
    }
    assert all(len(each["digest"]) == 64 for each in said["tables"])
    with open_ledger(url) as ledger:
        assert ledger.studies.counts("5" * 64) == Counts(ready=30)
    text = done("ledger", "copy", url, "back.db", cwd=tmp_path)
    assert "copied and verified 62 rows" in text
    assert SECRET not in text
    with open_ledger(tmp_path / "back.db") as ledger:
        assert ledger.studies.counts("5" * 64) == Counts(ready=30)


def test_a_copy_of_a_ledger_in_use_is_refused_with_the_way_on(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        add_trials(ledger, 3)
        must_claim(ledger)
    line = refused("ledger", "copy", "ledger.db", "copy.db", cwd=tmp_path)
    assert "end its workers, runs and servers first; `fairlead ledger copy FROM TO --live`" in line
    assert not (tmp_path / "copy.db").exists()
    done("ledger", "copy", "ledger.db", "copy.db", "--live", cwd=tmp_path)
    assert rows(tmp_path / "copy.db") == rows(tmp_path / "ledger.db")


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("none.db", "copy.db", "there is no such file"),
        ("ledger.db", "ledger.db", "it has rows in 'studies'"),
        ("ledger.db", f"oracle://me:{SECRET}@db/x", "it must be a file, or a URL like"),
        ("ledger.db", "postgresql://me@db", "the URL names no database"),
        ("ledger.db", f"postgresql://me:{SECRET}@db:port/x", "cannot be read"),
        ("notes.txt", "copy.db", "it is no SQLite file"),
        ("ledger.db", "notes.txt", "it is no SQLite file"),
        ("ledger.db", ".", "it cannot be opened"),
        ("ledger.db", "notes.txt/copy.db", "its folder cannot be made"),
        ("", "copy.db", "it must be a file, or a URL like"),
    ],
    ids=["none", "itself", "scheme", "database", "url", "from", "to", "folder", "inside", "empty"],
)
def test_what_cannot_be_copied_is_refused_in_a_line(
    tmp_path: Path, source: str, target: str, said: str
) -> None:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        add_trials(ledger, 1)
    (tmp_path / "notes.txt").write_text("not a database " * 100)
    before = rows(tmp_path / "ledger.db")
    line = refused("ledger", "copy", source, target, cwd=tmp_path)
    assert said in line
    assert SECRET not in line
    assert not (tmp_path / "copy.db").exists()
    assert rows(tmp_path / "ledger.db") == before


def test_a_server_that_is_not_there_is_told_in_a_line(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db"):
        pass
    ran = run("ledger", "copy", "ledger.db", "postgresql://me:x@127.0.0.1:1/x", cwd=tmp_path)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "no connection to the server" in ran.stderr
    assert "see that it runs, and that TO is right" in ran.stderr


def test_grants_prints_sql_and_nothing_else(url: str, tmp_path: Path) -> None:
    with open_ledger(url):
        pass
    printed = run("ledger", "grants", "me", cwd=tmp_path, FAIRLEAD_LEDGER=url)
    assert (printed.returncode, printed.stderr) == (0, "")
    lines = printed.stdout.splitlines()
    assert all(line.startswith("GRANT ") and line.endswith(' TO "me";') for line in lines)
    said = json.loads(done("ledger", "grants", "me", "--json", cwd=tmp_path, FAIRLEAD_LEDGER=url))
    assert (said["role"], said["for"], said["statements"]) == ("me", "worker", lines)
    reader = done("ledger", "grants", "me", "--for", "reader", cwd=tmp_path, FAIRLEAD_LEDGER=url)
    assert "INSERT" not in reader


def test_grants_of_a_file_are_refused(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db"):
        pass
    line = refused("--ledger", "ledger.db", "ledger", "grants", "me", cwd=tmp_path)
    assert "SQLite has no role 'me'; the permissions of the file" in line


@pytest.mark.parametrize("name", ["status", "upgrade", "copy", "grants"])
def test_each_part_has_help_with_examples(name: str, tmp_path: Path) -> None:
    text = done("ledger", name, "--help", cwd=tmp_path)
    assert "Examples:" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_check_of_an_installation_says_how_the_ledger_is(older: str, tmp_path: Path) -> None:
    def found(**environ: str) -> dict[str, str]:
        ran = run("doctor", "--json", cwd=tmp_path, FAIRLEAD_MLFLOW_URI="none", **environ)
        checks = {check["name"]: check for check in json.loads(ran.stdout)["checks"]}
        return dict(checks["ledger"])

    shared = found(FAIRLEAD_LEDGER=older)
    assert shared["state"] == "fail"
    assert "of an older Fairlead" in shared["text"]
    own = found(FAIRLEAD_LEDGER=str(older_file(tmp_path / "ledger.db")))
    assert own["state"] == "ok"
    assert f"the next command brings it to {HEAD}" in own["text"]
