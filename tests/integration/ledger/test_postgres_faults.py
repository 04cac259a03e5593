"""A ledger on PostgreSQL whose server or network fails: what was said to be written is, once."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
import sqlalchemy as sa

from fairlead.errors import Busy, DiskFull, Invalid, Unreachable
from fairlead.ledger.postgres import PostgresDatabase, open_database
from fairlead.ledger.store import bring_to_head, open_ledger
from fairlead.records import Promotion, Version
from tests.support.postgres import PostgresServer, database, of_database
from tests.support.proxy import Cut, Proxy
from tests.support.waiting import wait_until

INSERT = sa.text("INSERT INTO marks VALUES (:number)")
UPDATE = sa.text("UPDATE marks SET number = :number")


def mark(number: int) -> Callable[[sa.Connection], int]:
    def write(connection: sa.Connection) -> int:
        connection.execute(INSERT, {"number": number})
        return number

    return write


def change(number: int) -> Callable[[sa.Connection], int]:
    def write(connection: sa.Connection) -> int:
        connection.execute(UPDATE, {"number": number})
        return number

    return write


def marks(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return sorted(row[0] for row in connection.execute("SELECT number FROM marks"))


def make_marks(url: str) -> None:
    """Open a ledger there, and make a table in which nothing is the same twice by itself."""
    with open_ledger(url), psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE marks (number INT)")


@pytest.fixture
def url(postgres: str) -> Iterator[str]:
    with database(postgres) as made:
        make_marks(made)
        yield made


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    port = sa.make_url(url).port
    assert port
    proxy = Proxy(port)
    yield proxy
    proxy.close()


@pytest.fixture
def near(url: str, proxy: Proxy) -> str:
    """The URL by way of the proxy; the server gives up a silent client after a second."""
    silence = {"options": "-c idle_in_transaction_session_timeout=1s"}
    way = sa.make_url(url).set(port=proxy.port, query=silence)
    return way.render_as_string(hide_password=False)


@pytest.fixture
def through(near: str) -> Iterator[PostgresDatabase]:
    database = open_database(near)
    yield database
    database.close()


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.close()


class TestWaitingForTheLog:
    """The server has to hear of a standby that is not there: a commit that waits does not end."""

    @pytest.fixture
    def lonely(self) -> Iterator[PostgresServer]:
        server = PostgresServer(synchronous_standby_names="nobody")
        yield server
        server.close()

    def test_a_durable_write_holds_nobody_up_while_it_waits(self, lonely: PostgresServer) -> None:
        local = f"{lonely.url}?options=-csynchronous_commit%3Dlocal"  # waits for no standby
        make_marks(local)
        with (
            psycopg.connect(local, autocommit=True) as admin,
            closing(open_database(lonely.url)) as database,
            ThreadPoolExecutor(1) as pool,
        ):
            admin.execute("INSERT INTO marks VALUES (1)")
            written = pool.submit(database.write, change(2))
            wait_until(lambda: marks(local) == [2])
            database.write(change(3), durable=False)  # of the same row
            assert marks(local) == [3]
            waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            wait_until(lambda: admin.execute(f"SELECT 1 {waiting}").fetchone())
            assert not written.done()
            admin.execute(f"SELECT pg_cancel_backend(pid) {waiting}")
            assert written.result(60) == 2


def test_a_read_may_be_silent_longer_than_a_write(url: str) -> None:
    show = "SHOW idle_in_transaction_session_timeout"
    with closing(open_database(url)) as database:
        limits = [
            ask(lambda connection: connection.exec_driver_sql(show).scalar_one())
            for ask in (database.read, database.write)
        ]
    assert limits == ["5min", "5s"]


class TestCommitsInDoubt:
    @pytest.mark.parametrize("when", ["before", "after", "unheard"])
    def test_a_write_whose_commit_was_cut_is_there_once(
        self, url: str, proxy: Proxy, through: PostgresDatabase, when: Cut
    ) -> None:
        through.write(mark(1))
        proxy.cut(b"COMMIT", when)
        assert through.write(mark(2)) == 2
        assert proxy.cuts == 1
        assert through.write(mark(3)) == 3
        assert marks(url) == [1, 2, 3]

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_the_first_write_of_a_connection_is_there_once(
        self, url: str, proxy: Proxy, through: PostgresDatabase, when: Cut
    ) -> None:
        proxy.cut(b"COMMIT", when)
        through.write(mark(1))
        assert proxy.cuts == 1
        assert marks(url) == [1]

    @pytest.mark.parametrize("when", ["before", "after", "unheard"])
    def test_a_promotion_whose_commit_was_cut_is_one_promotion(
        self, near: str, proxy: Proxy, when: Cut
    ) -> None:
        with open_ledger(near) as ledger:
            for manifest in ("a" * 64, "b" * 64):
                ledger.versions.register(
                    Version(model="m", number=0, study="s", trial=0, size=1, manifest=manifest)
                )
            proxy.cut(b"COMMIT", when)
            first = Promotion(
                model="m", number=0, version=2, previous=None, kind="promote", why="good"
            )
            assert ledger.versions.promote(first).number == 1
            assert proxy.cuts == 1
            assert [one.version for one in ledger.versions.history("m")] == [2]

    def test_where_it_cannot_be_found_out_the_message_says_so(
        self, near: str, proxy: Proxy
    ) -> None:
        impatient = open_database(near, patience=0.5, setting="$FAIRLEAD_LEDGER")

        def write(connection: sa.Connection) -> None:
            mark(1)(connection)
            proxy.cut(b"COMMIT", "after")
            proxy._down = True  # lets nobody in from here on

        with pytest.raises(Unreachable, match="whether that came about is not known"):
            impatient.write(write)
        impatient.close()


class TestLostConnections:
    def test_reads_and_writes_go_on_over_a_new_connection(
        self, url: str, proxy: Proxy, through: PostgresDatabase
    ) -> None:
        proxy.cut(b"SELECT", "after", times=3)
        assert (
            through.read(lambda connection: connection.execute(sa.text("SELECT 7")).scalar()) == 7
        )
        proxy.cut(b"INSERT INTO marks", "before", times=2)
        through.write(mark(1))
        assert proxy.cuts == 5
        assert marks(url) == [1]

    def test_a_server_that_is_away_for_a_while_is_waited_for(
        self, url: str, proxy: Proxy, through: PostgresDatabase
    ) -> None:
        proxy.go_down()
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(through.write, mark(1))
            time.sleep(0.5)
            assert not writing.done()
            proxy.come_back()
            assert writing.result(timeout=30) == 1
        assert marks(url) == [1]

    def test_one_that_stays_away_is_said_in_a_line(self, near: str, proxy: Proxy) -> None:
        known = sa.make_url(near).set(password="secret").render_as_string(hide_password=False)
        impatient = open_database(known, patience=0.3, setting="$FAIRLEAD_LEDGER")
        proxy.go_down()
        with pytest.raises(Unreachable) as caught:
            impatient.write(mark(1))
        impatient.close()
        says = str(caught.value)
        assert "no connection to the server" in says
        assert "$FAIRLEAD_LEDGER" in says
        assert "secret" not in says
        assert "\n" not in says

    def test_an_idle_connection_that_the_server_closed_is_replaced(self, url: str) -> None:
        database = open_database(url)
        database.write(mark(1))
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'fairlead' AND datname = current_database()"
            )
        database.write(mark(2))
        database.close()
        assert marks(url) == [1, 2]


class TestConflicts:
    def test_a_deadlock_is_run_again(self, url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute("INSERT INTO marks VALUES (1), (2)")
        met = threading.Barrier(2, timeout=30)
        tries = Counter[int]()

        def cross(first: int, second: int) -> Callable[[sa.Connection], None]:
            def change(connection: sa.Connection) -> None:
                tries[first] += 1
                _touch(connection, first)
                if tries[first] == 1:
                    met.wait()
                _touch(connection, second)

            return change

        database = open_database(url)
        with ThreadPoolExecutor(2) as pool:
            crossing = [pool.submit(database.write, cross(*way)) for way in ((1, 2), (2, 1))]
            for one in crossing:
                one.result(timeout=60)
        database.close()
        assert sum(tries.values()) == 3
        assert marks(url) == [21, 22]

    def test_a_serialization_failure_is_run_again(self, url: str) -> None:
        database = open_database(url)
        tries = 0

        def change(connection: sa.Connection) -> None:
            nonlocal tries
            tries += 1
            mark(tries)(connection)
            if tries < 3:
                connection.exec_driver_sql(
                    "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$"
                )

        database.write(change)
        database.close()
        assert marks(url) == [3]

    def test_a_lock_that_is_not_let_go_of_is_busy(self, url: str) -> None:
        database = open_database(url, patience=30)
        held, over = threading.Event(), threading.Event()

        def hold(_: sa.Connection) -> None:
            held.set()
            assert over.wait(30)

        with ThreadPoolExecutor(1) as pool:
            holding = pool.submit(database.write, hold, lock="study:1")
            assert held.wait(30)
            database.write(mark(1), lock="study:2")
            database.write(mark(2))
            with pytest.raises(Busy, match="others hold what this writes"):
                database.write(mark(3), lock="study:1", patience=0.2)
            over.set()
            holding.result(timeout=30)
        database.close()
        assert marks(url) == [1, 2]

    def test_a_transaction_whose_process_was_stopped_is_ended_by_the_server(self, url: str) -> None:
        named = sa.make_url(url).set(
            query={"options": "-c idle_in_transaction_session_timeout=300ms"}
        )
        stopped = open_database(named.render_as_string(hide_password=False))
        other = open_database(url)
        tries = 0

        def stall(connection: sa.Connection) -> None:
            nonlocal tries
            tries += 1
            mark(1)(connection)
            if tries == 1:
                time.sleep(1)

        with ThreadPoolExecutor(1) as pool:
            stalling = pool.submit(stopped.write, stall, lock="study:1")
            wait_until(lambda: tries)
            other.write(mark(2), lock="study:1")
            stalling.result(timeout=30)
        stopped.close()
        other.close()
        assert tries == 2
        assert marks(url) == [1, 2]

    def test_more_threads_than_connections_take_turns(self, url: str) -> None:
        database = open_database(url)
        with ThreadPoolExecutor(40) as pool:
            assert sorted(pool.map(lambda n: database.write(mark(n)), range(400))) == [*range(400)]
        database.close()
        assert marks(url) == [*range(400)]


def _touch(connection: sa.Connection, number: int) -> None:
    """Add ten to the mark that ends with this digit."""
    change = sa.text("UPDATE marks SET number = number + 10 WHERE number % 10 = :number")
    connection.execute(change, {"number": number})


class TestRestarts:
    @pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT, signal.SIGKILL])
    def test_what_was_acknowledged_is_there_once(
        self, own_server: PostgresServer, how: signal.Signals
    ) -> None:
        """Eight threads write while the server is ended and started; none of them notices."""
        url = own_server.url
        make_marks(url)
        database = open_database(url)
        said: list[int] = []
        over = threading.Event()

        def write_on(me: int) -> None:
            number = me
            while not over.is_set():
                said.append(database.write(mark(number)))
                number += 8

        with ThreadPoolExecutor(8) as pool:
            writing = [pool.submit(write_on, me) for me in range(8)]
            for _ in range(3):
                before = len(said)
                wait_until(lambda before=before: len(said) > before + 200)
                own_server.end(how)
                own_server.start()
            over.set()
            for one in writing:
                one.result(timeout=60)
        database.close()
        assert marks(url) == sorted(said)


class TestOpening:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("postgresql://me:secret@127.0.0.1:1/db", "postgresql://me:***@127.0.0.1:1/db"),
            ("postgresql://127.0.0.1:1/db?password=secret", "127.0.0.1:1/db?password=***"),
            ("postgresql://127.0.0.1:1/db?sslpassword=secret", "127.0.0.1:1/db?sslpassword=***"),
        ],
    )
    def test_a_server_that_is_not_there_is_said_at_once(self, url: str, shown: str) -> None:
        began = time.monotonic()
        with pytest.raises(Unreachable) as caught:
            open_ledger(url, setting="$FAIRLEAD_LEDGER")
        assert time.monotonic() - began < 5
        assert shown in str(caught.value)
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        ("location", "says"),
        [
            ("postgresql://", "names no database"),
            ("postgresql://host:port/db", "cannot be read"),
            ("mysql://host/db", "postgresql://USER@HOST/DATABASE"),
        ],
    )
    def test_what_is_no_url_of_a_database_is_refused(self, location: str, says: str) -> None:
        with pytest.raises(Invalid, match=says):
            open_ledger(location)

    def test_a_database_that_is_not_there_is_said(self, postgres: str) -> None:
        with pytest.raises(Unreachable, match='database "none" does not exist'):
            open_ledger(of_database(postgres, "none"))

    def test_the_database_of_something_else_is_refused_and_left_alone(self, postgres: str) -> None:
        with database(postgres) as url:
            with psycopg.connect(url) as connection:
                for table in ("alembic_version", "studies", "trials"):  # as Optuna has them
                    connection.execute(f"CREATE TABLE {table} (id INT)".encode())
            with pytest.raises(Invalid, match="a database of something else"):
                open_ledger(url)
            with psycopg.connect(url) as connection:
                tables = connection.execute(
                    "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
                ).fetchone()
            assert tables == (3,)

    def test_a_schema_of_its_own_keeps_it_apart(self, postgres: str) -> None:
        with database(postgres) as url:
            with psycopg.connect(url) as connection:
                connection.execute("CREATE TABLE studies (id INT)")
                connection.execute("CREATE SCHEMA tuning")
            with open_ledger(f"{url}?options=-csearch_path%3Dtuning") as ledger:
                assert ledger.studies.all() == []

    def test_several_that_make_the_same_ledger_at_once_share_it(self, postgres: str) -> None:
        with database(postgres) as url, ThreadPoolExecutor(8) as pool:
            for ledger in pool.map(open_ledger, [url] * 8):
                assert ledger.studies.all() == []
                ledger.__exit__(None, None, None)

    def test_a_role_without_rights_is_told_so(self, url: str) -> None:
        role = f"nobody_{sa.make_url(url).database}"
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(f"CREATE ROLE {role} LOGIN".encode())
        try:
            theirs = sa.make_url(url).set(username=role).render_as_string(hide_password=False)
            with pytest.raises(Invalid, match="the role lacks a right"):
                open_ledger(theirs)
        finally:
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute(f"DROP ROLE {role}".encode())

    def test_a_full_disk_is_said_in_a_line(self, url: str) -> None:
        database = open_database(url)

        def fill(connection: sa.Connection) -> None:
            connection.exec_driver_sql(
                "DO $$ BEGIN RAISE EXCEPTION 'No space left on device' "
                "USING ERRCODE = '53100'; END $$"
            )

        with pytest.raises(DiskFull, match="the server's disk is full"):
            database.write(fill)
        database.close()

    def test_bringing_it_to_head_twice_changes_nothing(self, url: str) -> None:
        database = open_database(url)
        bring_to_head(database)
        bring_to_head(database)
        database.close()
