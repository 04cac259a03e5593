"""A ledger copied into another database: whole and verified, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from fairlead.errors import Failed, FairleadError, Invalid, NotFound
from fairlead.ledger.copying import LedgerCopy, Progress, copy_ledger
from fairlead.ledger.schema import metadata
from fairlead.ledger.store import open_database, open_ledger, revision
from fairlead.records import Run
from tests.contract.ledger_contract import LEASE, STUDY, must_claim, promotion, task
from tests.integration.ledger.filling import fill, rows, stored
from tests.integration.ledger.processes import python
from tests.support.postgres import database
from tests.support.waiting import wait_until

COPY = """
import sys
from fairlead.ledger.copying import copy_ledger
def wait(progress):
    if progress.table == "tasks":
        print(progress, flush=True)
        sys.stdin.read()
copy_ledger(sys.argv[1], sys.argv[2], live=True, on_progress=wait)
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite ledger with something in every table; tests read it."""
    file = tmp_path_factory.mktemp("filled") / "ledger.db"
    with open_ledger(file) as ledger:
        fill(ledger)
    return file


@pytest.fixture
def new(postgres: str) -> Iterator[Callable[[], str]]:
    """Makes new databases of the server."""
    with ExitStack() as made:
        yield lambda: made.enter_context(database(postgres))


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path, new: Callable[[], str]) -> str:
    """Where there is no ledger yet."""
    return f"sqlite:///{tmp_path / 'copy.db'}" if request.param == "sqlite" else new()


def copied(source: Path | str, target: Path | str, *, live: bool = True) -> LedgerCopy:
    return copy_ledger(source, target, live=live, on_progress=lambda _: None)


def is_empty(location: str) -> bool:
    """Whether no table has a row, or there is none."""
    if not revision(location):
        return True
    return not any(rows(location).values())


def refused(source: Path | str, target: Path | str, kind: type[FairleadError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        copied(source, target, live=False)
    assert "\n" not in str(caught.value)


# ---- everything is there --------------------------------------------------------------------


def test_what_is_filled_has_something_in_every_table(filled: Path) -> None:
    assert [name for name, found in rows(filled).items() if not found] == []
    assert {*rows(filled)} == {*metadata.tables}


def test_there_and_back_every_row_is_the_same(
    filled: Path, tmp_path: Path, new: Callable[[], str]
) -> None:
    there, back = new(), tmp_path / "back.db"
    first, second = copied(filled, there), copied(there, back)
    assert first.tables == second.tables
    assert {table.name: table.rows for table in first.tables} == {
        name: len(found) for name, found in rows(filled).items()
    }
    assert rows(there) == rows(filled)
    assert stored(back) == stored(filled)


def test_a_copy_of_the_same_kind_is_the_same(
    filled: Path, tmp_path: Path, new: Callable[[], str]
) -> None:
    copied(filled, tmp_path / "other.db")
    assert stored(tmp_path / "other.db") == stored(filled)
    first, second = new(), new()
    copied(filled, first)
    assert copied(first, second).tables == copied(first, new()).tables
    assert rows(second) == rows(filled)


def test_a_copy_goes_on_where_the_ledger_was(filled: Path, target: str) -> None:
    copied(filled, target)
    with open_ledger(filled) as before, open_ledger(target) as after:
        assert after.studies.counts(STUDY.id) == before.studies.counts(STUDY.id)
        assert after.studies.events(STUDY.id) == before.studies.events(STUDY.id)
        assert after.versions.history("prices") == before.versions.history("prices")
        assert after.routes.current("prices") == before.routes.current("prices")
        last = after.versions.champion("prices")
        assert last
        after.versions.promote(promotion(3, last.number))
        run = after.runs.open(Run(id="", study=STUDY.id, spec="{}"))
        assert after.runs.take(run.id, "next", lease=LEASE).holder == "next"
        after.studies.open(STUDY)
        after.tasks.add(STUDY.id, [task(8)])


def test_the_next_token_is_higher_than_any_before(
    filled: Path, tmp_path: Path, new: Callable[[], str]
) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        (highest,) = connection.execute("SELECT max(id) FROM events").fetchone()
    there, back = new(), tmp_path / "back.db"
    copied(filled, there)
    with open_ledger(there) as ledger:
        token = must_claim(ledger).token
        assert token > highest
    copied(there, back)
    with open_ledger(back) as ledger:
        assert must_claim(ledger).token > token


def test_an_id_that_was_deleted_is_not_given_again(tmp_path: Path, new: Callable[[], str]) -> None:
    places = [tmp_path / "a.db", new(), tmp_path / "b.db", new(), new()]
    with open_ledger(places[0]) as ledger:
        fill(ledger)
    last = 0
    for source, target in pairwise(places):
        with open_ledger(source) as ledger:
            champion = ledger.versions.champion("prices")
            assert champion
            other = 1 if champion.number == 2 else 2
            ledger.versions.promote(promotion(other, champion.number))
            sent = [entry for entry, _, _ in ledger.outbox.pending()]
            assert min(sent) > last
            last = max(sent)
            for entry in sent:
                ledger.outbox.sent(entry)
        copied(source, target)


def test_a_lease_is_copied_and_ends_by_itself(filled: Path, target: str) -> None:
    copied(filled, target)
    with open_ledger(filled) as before, open_ledger(target) as after:
        running = before.studies.counts("e" * 64).running
        assert (running, after.studies.counts("e" * 64).running) == (1, 1)
        assert after.tasks.lose("running") == 1


def test_a_copy_into_tables_without_rows_is_the_same(filled: Path, new: Callable[[], str]) -> None:
    made = new()
    with open_ledger(made):
        pass
    copied(filled, made)
    assert rows(made) == rows(filled)


def test_a_ledger_goes_back_into_a_home_that_has_its_artefacts(
    filled: Path, tmp_path: Path, new: Callable[[], str]
) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "one").touch()
    there = new()
    copied(filled, there)
    copied(there, tmp_path / "ledger.db")
    assert stored(tmp_path / "ledger.db") == stored(filled)


def test_rows_are_read_and_written_in_batches(filled: Path, target: str) -> None:
    seen: list[Progress] = []
    copy_ledger(filled, target, live=True, on_progress=seen.append)
    for verifying in (False, True):
        steps = [each.rows for each in seen if (each.table, each.verifying) == ("tasks", verifying)]
        assert steps == [1000, 2000, len(rows(filled)["tasks"])]


# ---- what is refused ------------------------------------------------------------------------


def test_a_ledger_in_use_is_refused(tmp_path: Path, target: str) -> None:
    source = tmp_path / "ledger.db"
    with open_ledger(source) as ledger:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0)])
        claim = must_claim(ledger)
        refused(source, target, Invalid, r"leases are alive \(1 in tasks\)")
        assert is_empty(target)
        ledger.tasks.release(claim, "enough")
    copied(source, target, live=False)
    assert rows(target) == rows(source)


def test_a_target_that_holds_something_is_left_as_it_is(
    filled: Path, tmp_path: Path, target: str
) -> None:
    source = tmp_path / "idle.db"
    with open_ledger(source), open_ledger(target) as ledger:
        ledger.studies.open(STUDY)
    before = rows(target)
    refused(source, target, Invalid, "it has rows in 'studies'; copy into an empty database")
    refused(target, target, Invalid, "it has rows in 'studies'")
    assert rows(target) == before


def test_a_database_of_something_else_is_left_as_it_is(tmp_path: Path, target: str) -> None:
    source = tmp_path / "idle.db"
    with open_ledger(source):
        pass
    with closing(open_database(target)) as other:
        other.write(
            lambda connection: connection.exec_driver_sql("CREATE TABLE mine (id INTEGER)"),
            durable=False,
        )
    refused(source, target, Invalid, "a database of something else")
    refused(target, source, Invalid, "a database of something else")


def test_a_source_that_is_no_current_ledger_is_refused(
    tmp_path: Path, new: Callable[[], str]
) -> None:
    target = new()
    refused(tmp_path / "none.db", target, NotFound, "there is no such file")
    refused(new(), target, NotFound, "a database without tables")
    for stamp, said in (("0001", "its tables are of revision 0001"), ("9999", "a newer Fairlead")):
        other = tmp_path / f"{stamp}.db"
        with open_ledger(other):
            pass
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", [stamp])
            connection.commit()
        refused(other, target, Invalid, said)
    assert revision(target) == ""
    assert not (tmp_path / "none.db").exists()


def test_a_row_that_the_target_cannot_hold_is_told_in_a_line(
    tmp_path: Path, new: Callable[[], str]
) -> None:
    source, target = tmp_path / "ledger.db", new()
    with open_ledger(source) as ledger:
        ledger.studies.open(STUDY)
        ledger.tasks.add(STUDY.id, [task(0)])
        ledger.tasks.release(must_claim(ledger), "a\0b")
    refused(source, target, Invalid, "a row of 'events' cannot be kept there: .*NUL")
    assert revision(target) == ""


def test_a_copy_that_is_not_what_was_read_is_not_kept(filled: Path, new: Callable[[], str]) -> None:
    target = new()
    with open_ledger(target), psycopg.connect(target) as connection:
        connection.execute(
            "CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.text := NEW.text || '!'; RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER changed BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION changed()"
        )
    with pytest.raises(Failed, match=r"the copy of 'events' has .* rows that are not the"):
        copied(filled, target)
    assert is_empty(target)


# ---- what happens meanwhile -----------------------------------------------------------------


def test_a_copy_that_is_killed_in_the_middle_leaves_nothing(filled: Path, target: str) -> None:
    process = python(COPY, filled, target)
    assert process.stdout
    assert "tasks" in process.stdout.readline()
    process.kill()
    process.communicate()
    wait_until(lambda: copied(filled, target))
    assert rows(target) == rows(filled)


def test_a_copy_that_is_killed_leaves_the_tables_of_the_target_empty(
    filled: Path, new: Callable[[], str]
) -> None:
    target = new()
    with open_ledger(target):
        pass
    process = python(COPY, filled, target)
    assert process.stdout
    assert "tasks" in process.stdout.readline()
    process.kill()
    process.communicate()
    assert is_empty(target)


def test_what_is_written_meanwhile_is_not_in_the_copy(
    filled: Path, tmp_path: Path, target: str
) -> None:
    source = tmp_path / "ledger.db"
    copied(filled, source)
    before, seen = rows(source), []

    def write(progress: Progress) -> None:
        if not seen:
            with open_ledger(source) as ledger:
                must_claim(ledger, "meanwhile")
        seen.append(progress)

    copy_ledger(source, target, live=True, on_progress=write)
    assert rows(target) == before
    assert rows(source) != before
    assert {each.table for each in seen if each.verifying} == {*metadata.tables}


@pytest.mark.parametrize("ended", ["source", "target"])
def test_a_connection_that_is_lost_has_the_copy_begin_again(
    filled: Path, new: Callable[[], str], ended: str
) -> None:
    places = {"source": new(), "target": new()}
    copied(filled, places["source"])
    killed: list[object] = []

    def kill(progress: Progress) -> None:
        if progress.table == "events" and not killed:
            with psycopg.connect(places[ended]) as connection:
                killed.extend(
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                        "datname = current_database() AND pid <> pg_backend_pid()"
                    ).fetchall()
                )

    copy_ledger(places["source"], places["target"], live=True, on_progress=kill)
    assert killed
    assert rows(places["target"]) == rows(filled)
