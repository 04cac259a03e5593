"""Many processes, one ledger file."""

from __future__ import annotations

import fcntl
import random
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from fairlead.errors import Busy
from fairlead.ledger.interface import Ledger
from fairlead.ledger.sqlite import SqliteDatabase
from fairlead.ledger.store import open_ledger
from fairlead.records import Counts, Server
from tests.integration.ledger.processes import (
    STUDY,
    add_trials,
    finished,
    ledger_file,
    python,
    start_together,
    writing,
)
from tests.support.waiting import wait_until

WORK = """
import sys
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import Result

with open_ledger(sys.argv[1]) as ledger:
    while claim := ledger.tasks.claim(sys.argv[2], lease=60):
        ledger.tasks.commit(claim, [
            Result(number=trial.number, state="done", reason=sys.argv[2]) for trial in claim.trials
        ])
"""

# Forked from one process that has loaded everything, so that all of them are there at once.
OPEN = """
import multiprocessing, sys
from fairlead.ledger.store import open_ledger
from fairlead.records import NewTask, Study, Trial

def work(number, together):
    together.wait()
    with open_ledger(sys.argv[1]) as ledger:
        for name in ("shared", str(number)):
            ledger.studies.open(Study(id=name, name=name, spec="{}", table="t", size=3))
            ledger.tasks.add(name, [
                NewTask(kind="trials", trials=(Trial(number=n, family="f", params={}),))
                for n in range(3)
            ])

forking = multiprocessing.get_context("fork")
together = forking.Barrier(32)
workers = [forking.Process(target=work, args=(number, together)) for number in range(32)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
assert [worker.exitcode for worker in workers] == [0] * 32
"""

WRITE = """
import sys, time
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import Study

longest = count = 0
print("loaded", flush=True)
sys.stdin.readline()
with open_ledger(sys.argv[1]) as ledger:
    until = time.monotonic() + float(sys.argv[3])
    while (began := time.monotonic()) < until:
        study = Study(id=f"{sys.argv[2]}-{count}", name="n", spec="{}", table="t", size=1)
        ledger.studies.open(study)
        count += 1
        longest = max(longest, time.monotonic() - began)
print(longest, count)
"""


def has_done(ledger: Ledger, goal: int) -> bool:
    return ledger.studies.counts(STUDY.id).done >= goal


def test_workers_killed_in_the_middle_of_commits_lose_nothing_and_count_nothing_twice(
    tmp_path: Path,
) -> None:
    with open_ledger(ledger_file(tmp_path)) as ledger:
        add_trials(ledger, 600)
        chance = random.Random(0)
        for number in range(12):
            before = ledger.studies.counts(STUDY.id).done
            goal = min(599, before + chance.randrange(1, 40))
            name = f"w{number}"
            process = python(WORK, ledger_file(tmp_path), name)
            wait_until(partial(has_done, ledger, goal))
            process.kill()
            process.communicate()
            ledger.tasks.lose(name)
        finished(python(WORK, ledger_file(tmp_path), "last"))
        results, _ = ledger.studies.results(STUDY.id)
        assert Counter(result.number for result in results) == Counter(range(600))
        assert {result.state for result in results} == {"done"}
        assert ledger.studies.counts(STUDY.id) == Counts(done=600)
        history = Counter(event.kind for event in ledger.studies.events(STUDY.id))
        assert history["committed"] == 600
        assert history["claimed"] == history["committed"] + history["lost"]


def test_processes_that_create_the_same_new_file_at_once_share_it(tmp_path: Path) -> None:
    finished(python(OPEN, ledger_file(tmp_path)))
    with open_ledger(ledger_file(tmp_path)) as ledger:
        assert {study.id for study in ledger.studies.all()} == {
            "shared",
            *(str(number) for number in range(32)),
        }
        assert all(
            ledger.studies.counts(study.id) == Counts(ready=3) for study in ledger.studies.all()
        )


@pytest.mark.parametrize("writers", [2, 8])
def test_no_writer_waits_over_a_second_while_others_write(tmp_path: Path, writers: int) -> None:
    processes = [python(WRITE, ledger_file(tmp_path), number, 4) for number in range(writers)]
    start_together(processes)
    figures = [finished(process).split() for process in processes]
    assert max(float(longest) for longest, _ in figures) < 1.0
    assert min(int(count) for _, count in figures) > 0


def test_a_writer_that_is_never_let_in_says_so(tmp_path: Path) -> None:
    with open_ledger(ledger_file(tmp_path)):
        pass
    waiter = SqliteDatabase(ledger_file(tmp_path), patience=0.05)
    with writing(ledger_file(tmp_path)), pytest.raises(Busy, match="others are writing"):
        waiter.write(lambda _: pytest.fail("two writers at once"))
    waiter.write(lambda _: None)
    waiter.close()


def test_a_server_that_cannot_extend_a_lease_hears_so_soon(tmp_path: Path) -> None:
    with open_ledger(ledger_file(tmp_path)) as ledger:
        began = time.monotonic()
        with writing(ledger_file(tmp_path)), pytest.raises(Busy, match="others are writing"):
            ledger.servers.seen(Server(id="one", url="u", processes=1), lease=5.0)
        assert time.monotonic() - began < 10
        ledger.servers.seen(Server(id="one", url="u", processes=1), lease=5.0)


def test_a_process_that_was_stopped_in_its_turn_holds_up_nobody_for_long(tmp_path: Path) -> None:
    with open_ledger(ledger_file(tmp_path)) as ledger:
        with ledger_file(tmp_path).with_name("ledger.db-turn").open() as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            began = time.monotonic()
            ledger.studies.open(STUDY)
        assert time.monotonic() - began < 10
        assert ledger.studies.get(STUDY.id).name == "boston"


def test_writers_do_without_turns_where_there_can_be_none(tmp_path: Path) -> None:
    ledger_file(tmp_path).with_name("ledger.db-turn").mkdir(parents=True)
    with open_ledger(ledger_file(tmp_path)) as ledger:
        add_trials(ledger, 1)
        assert ledger.studies.counts(STUDY.id) == Counts(ready=1)


def test_a_reader_is_not_held_up_by_a_writer(tmp_path: Path) -> None:
    with open_ledger(ledger_file(tmp_path), patience=0.0) as ledger:
        ledger.studies.open(STUDY)
        with writing(ledger_file(tmp_path)):
            assert ledger.studies.get(STUDY.id).name == "boston"
            assert ledger.tasks.claim("w", lease=1.0) is None


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with open_ledger(ledger_file(tmp_path)) as ledger:
        database = SqliteDatabase(ledger_file(tmp_path))
        with pytest.raises(ZeroDivisionError):
            database.write(_delete_and_fail)
        database.close()
        ledger.studies.open(STUDY)
    with open_ledger(ledger_file(tmp_path)) as ledger:
        assert [study.id for study in ledger.studies.all()] == [STUDY.id]


def _delete_and_fail(connection: sa.Connection) -> None:
    connection.exec_driver_sql("DELETE FROM alembic_version")
    raise ZeroDivisionError
