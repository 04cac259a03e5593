"""What every queue keeps; inherited by the test of each, which gives `open_queue`.

`QueueContract` holds for all; `TellingContract` for those that tell who waits, `DurableContract`
for those that keep a hint until somebody has taken it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from fairlead.queue.interface import Delivery, Hint, Queue
from tests.support.waiting import DEADLINE, wait_until

HINT = Hint(study="ab" * 8, ready=3)
SHORT = 0.3
"""Seconds in which nothing comes, where nothing should."""

Open = Callable[[], Queue]


class QueueContract:
    """The promises of the Protocol `Queue`."""

    @pytest.fixture
    def open_queue(self) -> Iterator[Open]:
        """Opens one more user of the same queue, which no other test uses."""
        raise NotImplementedError

    @pytest.fixture
    def queue(self, open_queue: Open) -> Queue:
        return open_queue()

    @pytest.fixture
    def pool(self) -> Iterator[ThreadPoolExecutor]:
        with ThreadPoolExecutor() as threads:
            yield threads

    def drained(self, queue: Queue) -> int:
        """How many hints there are; each is acknowledged."""
        count = 0
        while delivery := queue.next(SHORT):
            queue.acknowledge(delivery)
            count += 1
        return count

    def test_nothing_arrives_within_the_timeout(self, queue: Queue) -> None:
        began = time.monotonic()
        assert queue.next(SHORT) is None
        assert SHORT - 0.05 <= time.monotonic() - began < DEADLINE

    def test_to_wait_costs_no_processor_time(self, queue: Queue) -> None:
        queue.next(SHORT)  # whatever it takes to connect
        before = time.process_time()
        assert queue.next(1.5) is None
        assert time.process_time() - before < 0.2

    def test_no_time_to_wait_is_a_look(self, queue: Queue) -> None:
        assert queue.next(0.0) is None
        assert queue.next(-1.0) is None

    def test_an_announcement_that_nobody_hears_is_no_error(self, queue: Queue) -> None:
        queue.announce(HINT)

    def test_many_announcements_do_not_add_up(self, open_queue: Open) -> None:
        teller, hearer = open_queue(), open_queue()
        for _ in range(200):
            teller.announce(HINT)
        assert self.drained(hearer) < 100

    def test_closed_twice_is_closed_and_leaves_no_thread(self, open_queue: Open) -> None:
        before = set(threading.enumerate())
        queue = open_queue()
        queue.next(SHORT)
        queue.close()
        queue.close()
        assert set(threading.enumerate()) <= before

    def test_who_waits_is_let_go_when_it_is_closed(
        self, queue: Queue, pool: ThreadPoolExecutor
    ) -> None:
        waiting = pool.submit(queue.next, 2 * DEADLINE)
        wait_until(waiting.running)
        queue.close()
        assert waiting.result(DEADLINE) is None


class TellingContract(QueueContract):
    """A queue that tells who waits."""

    def announced_until(self, teller: Queue, *waiting: Future[Delivery | None]) -> list[Delivery]:
        """Announce until each has heard: a hint may be lost."""

        def all_heard() -> bool:
            if all(one.done() for one in waiting):
                return True
            teller.announce(HINT)
            return False

        wait_until(all_heard, every=0.1)
        heard = [one.result() for one in waiting]
        assert None not in heard
        return [one for one in heard if one is not None]

    def test_what_is_announced_arrives(self, open_queue: Open, pool: ThreadPoolExecutor) -> None:
        teller, hearer = open_queue(), open_queue()
        waiting = pool.submit(hearer.next, DEADLINE)
        (delivery,) = self.announced_until(teller, waiting)
        assert delivery.hint == HINT
        hearer.acknowledge(delivery)

    def test_each_of_several_that_wait_gets_a_hint(
        self, open_queue: Open, pool: ThreadPoolExecutor
    ) -> None:
        teller, hearers = open_queue(), [open_queue() for _ in range(3)]
        waiting = [pool.submit(hearer.next, DEADLINE) for hearer in hearers]
        heard = self.announced_until(teller, *waiting)
        assert [one.hint for one in heard] == [HINT] * 3

    def test_it_can_be_waited_for_again_and_again(
        self, open_queue: Open, pool: ThreadPoolExecutor
    ) -> None:
        teller, hearer = open_queue(), open_queue()
        for _ in range(5):
            assert hearer.next(0.01) is None
            waiting = pool.submit(hearer.next, DEADLINE)
            (delivery,) = self.announced_until(teller, waiting)
            hearer.acknowledge(delivery)
            self.drained(hearer)

    def test_a_hint_acknowledged_late_or_twice_is_no_error(
        self, open_queue: Open, pool: ThreadPoolExecutor
    ) -> None:
        teller, hearer = open_queue(), open_queue()
        waiting = pool.submit(hearer.next, DEADLINE)
        (delivery,) = self.announced_until(teller, waiting)
        hearer.acknowledge(delivery)
        hearer.acknowledge(delivery)
        self.drained(hearer)
        again = pool.submit(hearer.next, DEADLINE)
        self.announced_until(teller, again)
        hearer.close()
        hearer.acknowledge(delivery)


class DurableContract(TellingContract):
    """A queue that keeps a hint until it was acknowledged, and gives it to one."""

    def test_what_nobody_heard_is_there_later(self, open_queue: Open) -> None:
        teller = open_queue()
        teller.announce(HINT)
        teller.close()
        delivery = open_queue().next(DEADLINE)
        assert delivery is not None
        assert delivery.hint == HINT

    def test_an_unacknowledged_announcement_comes_back(self, open_queue: Open) -> None:
        first, second = open_queue(), open_queue()
        first.announce(HINT)
        assert first.next(DEADLINE) is not None
        assert second.next(SHORT) is None
        first.close()
        delivery = second.next(DEADLINE)
        assert delivery is not None
        assert delivery.hint == HINT

    def test_an_acknowledged_one_does_not(self, open_queue: Open) -> None:
        first, second = open_queue(), open_queue()
        first.announce(HINT)
        delivery = first.next(DEADLINE)
        assert delivery is not None
        first.acknowledge(delivery)
        first.close()
        assert second.next(SHORT) is None

    def test_one_announcement_is_for_one_worker(
        self, open_queue: Open, pool: ThreadPoolExecutor
    ) -> None:
        teller, hearers = open_queue(), [open_queue() for _ in range(3)]
        waiting = [pool.submit(hearer.next, 2.0) for hearer in hearers]
        teller.announce(HINT)
        heard = [one.result() for one in waiting]
        assert heard.count(None) == 2

    def test_who_holds_one_is_given_no_other(self, open_queue: Open) -> None:
        """A worker that trains must not keep hints from idle ones."""
        busy, idle = open_queue(), open_queue()
        busy.announce(HINT)
        held = busy.next(DEADLINE)
        assert held is not None
        busy.acknowledge(held)
        busy.announce(HINT)
        assert idle.next(DEADLINE) is not None
