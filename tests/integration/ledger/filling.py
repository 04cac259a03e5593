"""A ledger with something in every table, and in every state."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from fairlead.ledger.interface import MAX_FAULTS, Ledger
from fairlead.ledger.schema import metadata
from fairlead.ledger.store import open_database, requests_of
from fairlead.records import (
    Answer,
    Autoscaler,
    Basis,
    FitProgress,
    FleetWorker,
    Judgement,
    Limits,
    NewTask,
    Offer,
    Request,
    Result,
    Run,
    ScalingDecision,
    Schedule,
    Server,
    Trial,
)
from tests.contract.ledger_contract import (
    LEASE,
    STUDY,
    VERDICT,
    done,
    must_claim,
    promotion,
    refit,
    task,
    version,
)
from tests.contract.serving_contract import IDLE, begin, change, observation, revise

MANY = 2500
"""Tasks of the large study: more rows than are read at once."""

_TEXT = "näïve “quotes” ' \" \\ \n \t 🚢"


def fill(ledger: Ledger) -> None:
    """Put rows into every table."""
    _searched(ledger)
    _large(ledger)
    _finished(ledger)
    _registered(ledger)
    _served(ledger)
    ledger.runs.take(ledger.runs.open(_run()).id, "carrier", lease=LEASE)
    ledger.tasks.ask_to_leave(["leaving"])
    offer = Offer(packages={"xgboost": "3.1"}, memory=1 << 33)
    ledger.workers.seen(FleetWorker(name="w", host="h", process=1, offer=offer), lease=LEASE)
    _scaled(ledger)
    request = Request(caller="ann", key="k", digest="d")
    requests_of(ledger).keep(request, Answer(body=b"\0\xff", location="/api/v1/runs/1"))
    _scheduled(ledger)


def _scaled(ledger: Ledger) -> None:
    scaler = Autoscaler(name="local", holder="h", workers=("w1",), spent=1 / 3)
    ledger.autoscaling.take(scaler, lease=LEASE)
    decision = ScalingDecision(
        autoscaler="local", cause="work", reason=_TEXT, wanted=2, leave=("w1",), spent=1 / 3
    )
    ledger.autoscaling.decided(decision, holder="h")


def _scheduled(ledger: Ledger) -> None:
    asked = Schedule(
        model="prices", every=60 + 1 / 3, source=_TEXT, deploy=True, priority=-3, by=_TEXT
    )
    held = ledger.schedules.put(asked)
    ledger.schedules.take(held, "c", lease=LEASE)
    ledger.schedules.begin(replace(held, holder="c"), _run(), due=2 / 3)
    ledger.schedules.put(Schedule(model="other", every=60.0))
    ledger.schedules.pause("other")


def _searched(ledger: Ledger) -> None:
    """A study with results of each kind, and attempts that ended in each way."""
    ledger.studies.open(replace(STUDY, limits=Limits(seconds=1.5, memory=1 << 40), size=100))
    odd = Trial(number=4, family="f", params={"nan": float("nan"), "big": 1 << 70, "t": _TEXT})
    tasks = [task(0), task(1), task(2, 3), NewTask(kind="trials", trials=(odd,)), task(5), task(6)]
    ledger.tasks.add(STUDY.id, tasks)
    ledger.tasks.commit(must_claim(ledger), [done(0, score=-0.0)])
    scores = (1e-300, float("inf"))
    pruned = Result(
        number=1, state="pruned", scores=scores, score=0.1 + 0.2, seconds=0.5, curve=(1 / 3, 2.0)
    )
    ledger.tasks.commit(must_claim(ledger), [pruned])
    ledger.tasks.commit(must_claim(ledger), [done(2), done(3)])
    for _ in range(MAX_FAULTS):
        ledger.tasks.fault(must_claim(ledger), _TEXT)
    ledger.tasks.release(must_claim(ledger), "drained")
    ledger.fits.report(must_claim(ledger, "dead"), _progress())
    ledger.tasks.lose("dead")
    ledger.tasks.add(STUDY.id, [refit(0)])
    for _ in range(2):
        ledger.tasks.commit(claim := must_claim(ledger), [done(claim.trials[0].number)])
    ledger.tasks.commit_refit(must_claim(ledger), "c" * 64)


def _progress() -> FitProgress:
    return FitProgress(
        trial=5,
        fold=None,
        step=9,
        steps=100,
        epoch=1 / 3,
        loss=0.1 + 0.2,
        accuracy=1 / 7,
        rows_per_second=1e-300,
        workers=2,
        checkpoint="e" * 64,
    )


def _large(ledger: Ledger) -> None:
    ledger.studies.open(replace(STUDY, id="e" * 64, name="large", size=MANY))
    ledger.tasks.add("e" * 64, [task(number) for number in range(MANY)])
    must_claim(ledger, "running")


def _finished(ledger: Ledger) -> None:
    """A study that ended early: what it did not need is withdrawn."""
    study = replace(STUDY, id="f" * 64, name="ended", sources={"./f.py": "d" * 64})
    ledger.studies.open(study)
    ledger.tasks.add(study.id, [task(0), task(1)])
    assert ledger.studies.finish(study.id, of=study.size, size=1, best=None)


def _registered(ledger: Ledger) -> None:
    for manifest in "abc":
        ledger.versions.register(version(manifest=manifest))
    ledger.versions.register(version(model="other"))
    judged = Judgement(model="prices", version=1, champion=None, rows="r" * 64, verdict=VERDICT)
    basis = Basis(judgements=0, sample=b"\0\xff8bytes!")
    ledger.versions.promote(promotion(1, None), judged, basis)
    ledger.versions.promote(promotion(2, 1))
    for entry, _, _ in ledger.outbox.pending()[:2]:
        ledger.outbox.sent(entry)


def _served(ledger: Ledger) -> None:
    revise(ledger, 1)
    revise(ledger, 1, IDLE)
    revise(ledger, 2)
    change(ledger, {"v1": 100})
    begin(ledger)
    server = Server(id="s", url="http://127.0.0.1:1", processes=2, routes={"prices": 1})
    ledger.servers.seen(server, lease=LEASE)
    ledger.deployments.take("s", lease=LEASE)
    change(ledger, {"v1": 90, "v2": 10})
    ledger.deployments.observe(observation(deployment=begin(ledger).number))


def _run() -> Run:
    return Run(id="", study=STUDY.id, spec='{"name": "boston"}')


def rows(location: Path | str) -> dict[str, list[object]]:
    """Everything that a ledger holds, as its records say it."""
    with closing(open_database(location)) as database:
        return database.read(_rows)


def _rows(connection: sa.Connection) -> dict[str, list[object]]:
    return {
        table.name: sorted(repr(row) for row in connection.execute(sa.select(table)))
        for table in metadata.sorted_tables
    }


def stored(file: Path) -> dict[str, list[object]]:
    """Every row of a SQLite file, as the file has it."""
    with closing(sqlite3.connect(file)) as connection:
        return {
            table: sorted(map(repr, connection.execute(f"SELECT * FROM {table}")))
            for table in (*metadata.tables, "alembic_version", "sqlite_sequence")
        }
