"""Hints through a real RabbitMQ broker."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fairlead.errors import Unreachable
from fairlead.queue.interface import Hint, Queue
from fairlead.queue.rabbitmq import Limits, open_queue
from tests.contract.queue_contract import HINT, SHORT, DurableContract, Open
from tests.support import rabbitmq
from tests.support.rabbitmq import Operator
from tests.support.waiting import DEADLINE, wait_until

LIMITS = Limits(length=20, deliveries=2)


@pytest.fixture(scope="module")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return rabbitmq.shared_url(tmp_path_factory)


@pytest.fixture
def url(broker_url: str) -> str:
    return rabbitmq.own_names(broker_url)


@pytest.fixture
def operator(url: str) -> Iterator[Operator]:
    operator = Operator(url)
    yield operator
    for queue in (operator.tasks, operator.dead):
        operator.channel.queue_delete(queue)
    operator.connection.close()


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def opened(url: str, operator: Operator, notices: list[str]) -> Iterator[Callable[..., Queue]]:
    with contextlib.ExitStack() as stack:

        def opened(limits: Limits = LIMITS, **more: Any) -> Queue:
            queue = open_queue(url, notice=notices.append, limits=limits, **more)
            stack.callback(queue.close)
            return queue

        yield opened


class TestRabbitQueue(DurableContract):
    @pytest.fixture
    def open_queue(self, opened: Callable[..., Queue]) -> Open:
        return opened


def test_a_full_queue_takes_no_more_and_says_nothing_of_it(
    opened: Callable[..., Queue], operator: Operator
) -> None:
    teller = opened()
    for _ in range(100):
        teller.announce(HINT)
    assert operator.count(operator.tasks) < 2 * LIMITS.length
    assert operator.count(operator.dead) == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"hello", "not JSON: .*", id="no JSON"),
        pytest.param(b"\xff\xfe", "not JSON: .*", id="no text"),
        pytest.param(b"[]", "not of schema version 1: Expected `object`.*", id="no object"),
        pytest.param(b'{"version":2}', "not of schema version 1: .*2.*", id="a later version"),
        pytest.param(
            b'{"version":1,"study":"a","ready":0}', "not of schema version 1: .*ready.*", id="none"
        ),
        pytest.param(b" " * 5000, "5000 bytes, of at most 4096", id="too large"),
    ],
)
def test_a_poisoned_message_is_a_dead_letter_with_the_reason_and_the_next_arrives(
    opened: Callable[..., Queue], operator: Operator, body: bytes, reason: str
) -> None:
    hearer = opened()
    hearer.announce(HINT)  # the queues are there
    delivery = hearer.next(DEADLINE)
    assert delivery is not None
    hearer.acknowledge(delivery)
    operator.put(body)
    hearer.announce(HINT)
    delivery = hearer.next(DEADLINE)
    assert delivery is not None
    assert delivery.hint == HINT
    dead, headers = operator.dead_letter()
    assert dead == body[:4096]
    assert re.fullmatch(reason, headers["x-fairlead-reason"])
    assert headers["x-fairlead-queue"] == operator.tasks


def test_a_hint_that_many_workers_did_not_acknowledge_is_a_dead_letter(
    opened: Callable[..., Queue], operator: Operator
) -> None:
    opened().announce(HINT)
    for _ in range(LIMITS.deliveries + 1):
        worker = opened()
        assert worker.next(DEADLINE) is not None
        worker.close()
    _, headers = operator.dead_letter()
    assert headers["x-death"][0]["reason"] == "delivery_limit"
    assert operator.count(operator.tasks) == 0


def test_a_hint_that_nobody_took_in_time_is_a_dead_letter(
    opened: Callable[..., Queue], operator: Operator
) -> None:
    opened(Limits(seconds=0.5)).announce(HINT)
    _, headers = operator.dead_letter()
    assert headers["x-death"][0]["reason"] == "expired"


def test_a_hint_that_came_twice_is_told_twice(
    opened: Callable[..., Queue], operator: Operator
) -> None:
    hearer = opened()
    hearer.announce(HINT)
    hearer.announce(HINT)
    for _ in range(2):
        delivery = hearer.next(DEADLINE)
        assert delivery is not None
        hearer.acknowledge(delivery)
    assert hearer.next(SHORT) is None


def test_a_queue_that_was_deleted_is_declared_again(
    opened: Callable[..., Queue], operator: Operator, notices: list[str]
) -> None:
    """Its hints are lost, and a publish that the broker cannot place is no success."""
    teller = opened()
    teller.announce(HINT)
    operator.channel.queue_delete(operator.tasks)
    with pytest.raises(Unreachable, match="has the queue no longer; it is declared again"):
        teller.announce(HINT)
    wait_until(lambda: any("is back" in one for one in notices))
    teller.announce(HINT)
    assert opened().next(DEADLINE) is not None


def test_who_waits_when_the_queue_is_deleted_waits_for_the_new_one(
    opened: Callable[..., Queue], operator: Operator, notices: list[str]
) -> None:
    """pika says nothing of a consumer that the broker cancelled."""
    hearer = opened()
    assert hearer.next(SHORT) is None
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(hearer.next, DEADLINE)
        wait_until(lambda: operator.consumers(operator.tasks) == 1)
        operator.channel.queue_delete(operator.tasks)
        wait_until(lambda: any("is back" in one for one in notices))
        opened().announce(HINT)
        assert waiting.result() is not None


def test_queues_that_an_operator_made_are_used_as_they_are(
    opened: Callable[..., Queue], operator: Operator
) -> None:
    operator.channel.queue_declare(operator.tasks, durable=True)
    operator.channel.queue_declare(operator.dead, durable=True)
    opened().announce(HINT)
    assert opened().next(DEADLINE) is not None
    assert operator.count(operator.dead) == 0


def test_hints_of_a_study_are_heard_by_its_workers_alone(
    opened: Callable[..., Queue], operator: Operator
) -> None:
    mine, other = opened(study="a" * 16), opened(study="b" * 16)
    other.announce(Hint(study="b" * 16))
    mine.announce(Hint(study="a" * 16))
    for queue, study in ((mine, "a" * 16), (other, "b" * 16)):
        delivery = queue.next(DEADLINE)
        assert delivery is not None
        assert delivery.hint.study == study
        queue.acknowledge(delivery)
        assert queue.next(SHORT) is None
        operator.channel.queue_delete(f"{operator.tasks}.{study}")
