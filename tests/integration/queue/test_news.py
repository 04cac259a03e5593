"""Who carries a study on PostgreSQL hears when a worker had nothing to do after its commit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.ledger_contract import (
    LEASE,
    STUDY,
    commit_and_claim,
    done,
    must_claim,
    refit,
    task,
)
from tests.support.postgres import database

from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import Result
from fairlead.settings import Settings
from fairlead.stores import hearing

OTHER = replace(STUDY, id="b" * 64, name="other")


@pytest.fixture
def url(postgres: str) -> Iterator[str]:
    with database(postgres) as made:
        yield made


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with open_ledger(url) as ledger:
        ledger.studies.open(STUDY)
        ledger.studies.open(OTHER)
        yield ledger


def news(url: str) -> Settings:
    return Settings(home=Path(), ledger=url)


def test_only_a_commit_after_which_nothing_is_left_is_heard(ledger: Ledger, url: str) -> None:
    ledger.tasks.add(STUDY.id, [task(0), task(1)])
    with hearing(news(url), study=STUDY.id) as hear:
        assert hear is not None
        assert hear(0.01) is None  # it listens from here on
        claim = must_claim(ledger)
        following = commit_and_claim(ledger, claim, [done(0)], lease=LEASE)
        assert following is not None
        assert hear(0.2) is None
        assert commit_and_claim(ledger, following, [done(1)], lease=LEASE) is None
        before = time.monotonic()
        assert hear(30.0) is not None
        assert time.monotonic() - before < 10


def test_a_refit_and_a_fault_are_heard_and_another_study_is_not(ledger: Ledger, url: str) -> None:
    with (
        hearing(news(url), study=STUDY.id) as hear,
        hearing(news(url), study=OTHER.id) as of_other,
    ):
        assert hear is not None
        assert of_other is not None
        assert hear(0.01) is of_other(0.01) is None
        ledger.tasks.add(STUDY.id, [refit(0)])
        ledger.tasks.commit_refit(must_claim(ledger), "c" * 64)
        assert hear(30.0) is not None
        ledger.tasks.add(STUDY.id, [task(1)])
        ledger.tasks.fault(must_claim(ledger), "broken")
        assert hear(30.0) is not None
        ledger.tasks.commit(must_claim(ledger), [Result(number=1, state="done")])
        assert hear(30.0) is not None
        assert of_other(0.2) is None


def test_where_another_queue_was_chosen_or_on_sqlite_there_are_none(tmp_path: Path) -> None:
    for settings in (
        Settings(home=tmp_path),
        Settings(home=tmp_path, ledger="postgresql://u@h/d", queue="none"),
    ):
        with hearing(settings, study="s") as hear:
            assert hear is None
