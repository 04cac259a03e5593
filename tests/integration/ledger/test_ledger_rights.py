"""What a role of PostgreSQL may do with the ledger, by the rights that `ledger grants` prints."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from fairlead.control.ledger import Purpose, apply_grants, grants, ledger_status
from fairlead.errors import FairleadError, Invalid
from fairlead.ledger.interface import MAX_FAULTS
from fairlead.ledger.rights import _CONTROLLER
from fairlead.ledger.schema import metadata
from fairlead.ledger.store import open_ledger
from fairlead.ledger.upkeep import RowCount
from fairlead.records import Counts, Run, Server, ServingEvent
from fairlead.settings import Settings
from tests.contract.ledger_contract import (
    LEASE,
    STUDY,
    commit_and_claim,
    done,
    must_claim,
    promotion,
    refit,
    task,
    version,
)
from tests.contract.serving_contract import begin, change, deployment, observation, revise
from tests.integration.ledger.filling import fill, rows
from tests.support.postgres import database, of_database

_COUNT = itertools.count()
_OF_WORKERS = {"leaving_workers", "workers", "fit_progress", "fairlead_sessions"}


@pytest.fixture
def url(postgres: str) -> Iterator[str]:
    """A new ledger, as its owner names it."""
    with database(postgres) as made:
        with open_ledger(made):
            pass
        yield made


@contextmanager
def role(url: str, purpose: Purpose) -> Iterator[str]:
    """The URL by which a new role with just these rights names the ledger."""
    name = f'fairlead-"{purpose}"-{os.getpid()}-{next(_COUNT)}'
    quoted = sql.Identifier(name)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(quoted))
        try:
            for statement in grants(Settings(home=Path(), ledger=url), name, purpose):
                owner.execute(statement.encode())
            yield of_database(
                url, psycopg.conninfo.conninfo_to_dict(url)["dbname"], username=name, password="x"
            )
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {}").format(quoted))
            owner.execute(sql.SQL("DROP ROLE {}").format(quoted))


def may_not(url: str, *statements: str) -> None:
    for statement in statements:
        with (
            psycopg.connect(url) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement.encode())


def lacks_the_right(*changes: Callable[[], object]) -> None:
    for refused in changes:
        with pytest.raises(FairleadError, match="the role lacks a right") as caught:
            refused()
        assert isinstance(caught.value, Invalid)


def may_not_change_the_schema(url: str) -> None:
    for table in metadata.tables:
        may_not(url, f"DROP TABLE {table}", f"TRUNCATE {table}", f"ALTER TABLE {table} ADD x INT")
    may_not(url, "UPDATE alembic_version SET version_num = 'x'", "DROP TABLE fairlead_sessions")


def deletable(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = "
            "'public'::regnamespace AND has_table_privilege(oid, 'DELETE')"
        )
        return {name for (name,) in found}


def test_each_table_has_rights_of_its_own() -> None:
    assert {*_CONTROLLER} == {*metadata.tables}


def test_a_worker_can_do_all_that_workers_do(url: str) -> None:
    with open_ledger(url) as owner, role(url, "worker") as named, open_ledger(named) as ledger:
        owner.studies.open(replace(STUDY, size=20))
        tasks = [task(0), task(1), task(2, 3), task(4), task(5), task(6), task(7)]
        owner.tasks.add(STUDY.id, tasks)
        owner.tasks.ask_to_leave(["w2"])

        claim = must_claim(ledger)
        assert ledger.studies.get(claim.study).id == STUDY.id
        ledger.tasks.heartbeat(claim, lease=LEASE)
        following = commit_and_claim(ledger, claim, [done(0)], lease=LEASE, study=STUDY.id)
        assert following
        ledger.tasks.commit(following, [done(1)])
        for _ in range(MAX_FAULTS):  # a shared fit, which is split
            ledger.tasks.fault(must_claim(ledger), "no")
        for _ in range(MAX_FAULTS):
            ledger.tasks.fault(must_claim(ledger), "no")
        ledger.tasks.release(must_claim(ledger), "drained")
        must_claim(ledger)
        assert ledger.tasks.lose("w") == 1
        assert ledger.tasks.is_leaving("w2")
        assert ledger.tasks.claim("w2", lease=LEASE) is None
        ledger.tasks.lose("w2")
        assert not ledger.tasks.is_leaving("w2")
        assert ledger.tasks.open(STUDY.id) == ledger.tasks.open() == 5
        for _ in range(5):
            ledger.tasks.commit(each := must_claim(ledger), [done(each.trials[0].number)])
        owner.tasks.add(STUDY.id, [refit(0)])
        ledger.tasks.commit_refit(must_claim(ledger), "c" * 64)
        assert ledger.tasks.refit(STUDY.id, 0) == ("c" * 64, None)
        assert owner.studies.counts(STUDY.id) == Counts(done=7, failed=1)


def test_a_worker_can_do_nothing_else(url: str) -> None:
    with open_ledger(url) as owner, role(url, "worker") as named, open_ledger(named) as ledger:
        fill(owner)
        before = rows(url)
        last = owner.versions.champion("prices")
        assert last
        lacks_the_right(
            lambda: ledger.studies.open(replace(STUDY, id="9" * 64)),
            lambda: ledger.studies.finish("e" * 64, of=2500, size=1, best=None),
            lambda: ledger.tasks.add(STUDY.id, [task(50)]),
            lambda: ledger.versions.register(version(manifest="z")),
            lambda: ledger.versions.promote(promotion(3, last.number)),
            lambda: ledger.versions.champion("prices"),
            lambda: ledger.outbox.sent(1),
            lambda: revise(ledger, 3),
            lambda: change(ledger, {"v2": 100}),
            lambda: begin(ledger),
            lambda: ledger.servers.gone("s"),
            lambda: ledger.runs.open(Run(id="", study=STUDY.id, spec="{}")),
        )
        assert rows(url) == before
        assert deletable(named) == _OF_WORKERS
        may_not(
            named,
            "UPDATE studies SET spec = '{}'",
            "UPDATE tasks SET study = 1",
            "UPDATE events SET text = ''",
            "UPDATE results SET score = 0",
            "SELECT setval('events_id_seq', 1)",
        )
        may_not_change_the_schema(named)


def test_a_worker_is_shown_what_it_may_see(url: str) -> None:
    with open_ledger(url) as owner, role(url, "worker") as named:
        fill(owner)
        shown = ledger_status(Settings(home=Path(), ledger=named))
        assert (shown.state, shown.database.role) == ("current", sa.make_url(named).username)
        assert shown.leases == {"tasks": 1, "workers": 1}
        assert shown.tables["promotions"] is None
        assert shown.tables["tasks"] == RowCount(rows=len(rows(url)["tasks"]))
        assert shown.database.connections
        assert shown.database.connections.used >= 2  # the owner's are among them


def test_a_controller_can_do_all_that_people_ask_for(url: str) -> None:
    with role(url, "controller") as named, open_ledger(named) as ledger:
        fill(ledger)
        for entry, _, _ in ledger.outbox.pending():
            ledger.outbox.sent(entry)
        ledger.servers.gone("s")
        assert ledger.tasks.lose("running") == 1
        assert ledger.tasks.lose("leaving") == 0
        assert ledger.roots.digests()
        ledger.schedules.resume("other", due=1.0)
        ledger.schedules.remove("other")
        of_controllers = {
            "outbox",
            "servers",
            "observations",
            "schedules",
            "scaling_decisions",
            "requests",
        }
        assert deletable(named) == _OF_WORKERS | of_controllers
        histories = (
            "events results fit_progress versions judgements promotions routes serving_events "
            "trials scaling_decisions"
        )
        may_not(
            named, *(f"UPDATE {table} SET {_column(table)} = NULL" for table in histories.split())
        )
        may_not_change_the_schema(named)


def test_a_server_can_carry_out_deployments_and_nothing_else(url: str) -> None:
    with open_ledger(url) as owner, role(url, "server") as named, open_ledger(named) as ledger:
        for manifest in "abc":
            owner.versions.register(version(manifest=manifest))
        revise(owner, 2)
        ledger.deployments.begin(deployment(revise(ledger, 1).name))
        change(ledger, {"v1": 100})
        begin(owner)

        server = Server(id="s", url="http://127.0.0.1:1", processes=2)
        ledger.servers.seen(server, lease=LEASE)
        (taken,) = ledger.deployments.take("s", lease=LEASE)
        assert ledger.routes.mark("prices", "v2", "ready", "verified", was="loading")
        change(ledger, {"v1": 90, "v2": 10}, replace(taken, step=1))
        ledger.deployments.observe(observation(deployment=taken.number, step=1))
        ledger.deployments.advance(replace(taken, step=2))
        assert ledger.deployments.observations(replace(taken, step=1)) == []
        ledger.routes.note(ServingEvent(model="prices", kind="refused", text="no"))
        ledger.servers.seen(Server(id="s2", url="http://127.0.0.1:2", processes=1), lease=LEASE)
        ledger.servers.gone("s")
        assert [each.id for each in ledger.servers.alive()] == ["s2"]
        assert ledger.versions.get("prices", 1)
        lacks_the_right(
            lambda: ledger.versions.register(version(manifest="z")),
            lambda: ledger.versions.promote(promotion(1, None)),
            lambda: ledger.outbox.sent(1),
            lambda: ledger.studies.open(STUDY),
        )
        assert deletable(named) == {"servers", "observations", "fairlead_sessions"}
        may_not_change_the_schema(named)


def test_a_reader_reads_everything_and_writes_nothing(url: str) -> None:
    with open_ledger(url) as owner, role(url, "reader") as named, open_ledger(named) as ledger:
        fill(owner)
        assert rows(named) == rows(url)
        assert ledger.studies.counts(STUDY.id) == owner.studies.counts(STUDY.id)
        assert ledger.routes.history("prices") == owner.routes.history("prices")
        lacks_the_right(
            lambda: ledger.tasks.claim("w", lease=LEASE),
            lambda: ledger.studies.withdraw(STUDY.id),
            lambda: ledger.routes.note(ServingEvent(model="prices", kind="refused", text="no")),
        )
        assert deletable(named) == set()
        may_not_change_the_schema(named)


def _column(table: str) -> str:
    return next(column.name for column in metadata.tables[table].columns)


@pytest.mark.parametrize(
    "name",
    ["", "public", "PUBLIC", "a\nb", "r" * 64],
    ids=["empty", "public", "PUBLIC", "line", "long"],
)
def test_what_is_no_name_of_a_role_is_refused(url: str, name: str) -> None:
    with pytest.raises(Invalid, match="no role can have this name") as caught:
        grants(Settings(home=Path(), ledger=url), name, "worker")
    assert "\n" not in str(caught.value)


def test_a_ledger_without_tables_has_no_rights_to_give(postgres: str) -> None:
    with database(postgres) as empty:
        with pytest.raises(Invalid, match="rights are given to the tables of revision") as caught:
            grants(Settings(home=Path(), ledger=empty), "someone", "worker")
        assert caught.value.next_steps[0].action == "ledger.upgrade"


def test_a_file_has_no_roles(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    with open_ledger(file):
        pass
    with pytest.raises(Invalid, match="SQLite has no role 'someone'; the permissions"):
        grants(Settings(home=tmp_path, ledger=f"sqlite:///{file}"), "someone", "worker")


def test_a_scaler_sees_how_many_tasks_are_open_and_nothing_else(url: str) -> None:
    with open_ledger(url) as ledger, role(url, "scaler") as scaler:
        assert _load(scaler) == (0, 0)
        study = ledger.studies.open(STUDY)
        ledger.tasks.add(study.id, [task(0), task(1), task(2)])
        must_claim(ledger, "one")
        assert _load(scaler) == (2, 1)
        ledger.studies.pause(study.id)
        assert _load(scaler) == (0, 0)
        may_not(
            scaler,
            "SELECT 1 FROM studies",
            "SELECT 1 FROM tasks",
            "SELECT 1 FROM alembic_version",
            "INSERT INTO events (kind) VALUES ('x')",
            "CREATE TABLE mine (n int)",
        )


def test_rights_that_are_applied_make_ledger_and_role_and_are_applied_again(postgres: str) -> None:
    name = f"fairlead_keda_{os.getpid()}"
    with database(postgres) as made:
        settings = Settings(home=Path(), ledger=made)
        dbname = psycopg.conninfo.conninfo_to_dict(made)["dbname"]
        try:
            for password in ("it's-one%", "another"):
                apply_grants(settings, name, "scaler", password=password)
                asked = of_database(made, dbname, username=name, password=password)
                assert _load(asked) == (0, 0)
        finally:
            with psycopg.connect(made, autocommit=True) as owner:
                quoted = sql.Identifier(name)
                owner.execute(sql.SQL("DROP OWNED BY {}").format(quoted))
                owner.execute(sql.SQL("DROP ROLE {}").format(quoted))


def _load(url: str) -> tuple[int, ...]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT ready, running FROM fairlead_load").fetchone()
    assert found is not None
    return found
