"""Hints through a real PostgreSQL server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
import sqlalchemy as sa

from fairlead.errors import Unreachable
from fairlead.queue.interface import Queue
from fairlead.queue.postgres import open_queue
from tests.contract.queue_contract import HINT, SHORT, Open, TellingContract
from tests.support.postgres import database
from tests.support.proxy import Proxy
from tests.support.waiting import DEADLINE, wait_until


@pytest.fixture
def url(postgres: str) -> Iterator[str]:
    with database(postgres) as made:
        yield made


class TestPostgresQueue(TellingContract):
    @pytest.fixture
    def open_queue(self, url: str) -> Iterator[Open]:
        with contextlib.ExitStack() as stack:

            def opened() -> Queue:
                queue = open_queue(url, notice=lambda _: None)
                stack.callback(queue.close)
                return queue

            yield opened

    def test_one_announcement_is_for_everybody(
        self, open_queue: Open, pool: ThreadPoolExecutor
    ) -> None:
        teller, hearers = open_queue(), [open_queue() for _ in range(3)]
        for one in hearers:
            one.next(0.01)  # listens from now on
        teller.announce(HINT)
        heard = [one.next(DEADLINE) for one in hearers]
        assert [one.hint for one in heard if one] == [HINT] * 3
        assert [one.next(SHORT) for one in hearers] == [None] * 3


def test_the_workers_of_a_study_hear_of_it_alone(url: str) -> None:
    teller = open_queue(url, notice=lambda _: None)
    own = open_queue(url, notice=lambda _: None, study=HINT.study)
    other = open_queue(url, notice=lambda _: None, study="other")
    assert own.next(0.0) is other.next(0.0) is None
    teller.announce(HINT)
    assert own.next(DEADLINE)
    assert other.next(SHORT) is None
    teller.announce(replace(HINT, study="other"))
    assert other.next(DEADLINE)
    for one in (teller, own, other):
        one.close()


def test_a_hint_is_there_within_a_moment(url: str) -> None:
    teller, hearer = (open_queue(url, notice=lambda _: None) for _ in range(2))
    hearer.next(0.0)
    took = []
    with ThreadPoolExecutor(1) as pool:
        for _ in range(20):
            waiting = pool.submit(hearer.next, DEADLINE)
            began = time.monotonic()
            teller.announce(HINT)
            assert waiting.result()
            took.append(time.monotonic() - began)
    for one in (teller, hearer):
        one.close()
    assert sorted(took)[10] < 0.1


def test_what_is_no_hint_is_not_told(url: str) -> None:
    hearer = open_queue(url, notice=lambda _: None)
    hearer.next(0.0)
    with psycopg.connect(url, autocommit=True) as somebody:
        somebody.execute("SELECT pg_notify('fairlead_tasks', 'nonsense')")
    assert hearer.next(SHORT) is None
    hearer.close()


def test_a_server_that_is_away_brings_nothing_and_is_heard_again_when_it_is_back(url: str) -> None:
    parsed = sa.make_url(url)
    assert parsed.port
    proxy = Proxy(parsed.port)
    near = parsed.set(port=proxy.port).render_as_string(hide_password=False)
    notices: list[str] = []
    hearer = open_queue(near, notice=notices.append)
    teller = open_queue(url, notice=lambda _: None)
    hearer.next(0.0)
    proxy.go_down()
    began = time.monotonic()
    assert hearer.next(0.5) is None
    assert 0.4 < time.monotonic() - began < DEADLINE
    (lost,) = notices
    assert lost.startswith("the queue at the ledger's server: ")
    assert lost.endswith("; workers look into the ledger meanwhile")
    with pytest.raises(Unreachable, match="the queue at the ledger's server"):
        hearer.announce(HINT)
    proxy.come_back()
    wait_until(lambda: hearer.next(0.1) or len(notices) > 1)
    assert notices[1:] == ["the queue at the ledger's server is back"]
    teller.announce(HINT)
    assert hearer.next(DEADLINE)
    hearer.announce(HINT)
    assert hearer.next(DEADLINE)
    for one in (hearer, teller):
        one.close()
    proxy.close()
