"""What a broker cannot be made to do at will: to answer in the moment in which nobody waits."""

from __future__ import annotations

import queue as queues
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.support.waiting import DEADLINE, wait_until

from fairlead.errors import Invalid, Unreachable
from fairlead.queue.interface import Hint
from fairlead.queue.message import encoded
from fairlead.queue.session_thread import Message, ThreadedQueue

HINT = Hint(study="a")


class Scripted:
    """A session that does what the test says, and notes what it was asked for."""

    def __init__(self) -> None:
        self.consuming = False
        self.done: list[Any] = []
        self.arriving: queues.SimpleQueue[Message | None] = queues.SimpleQueue()
        self.may_confirm = threading.Event()
        self.may_confirm.set()
        self.when_consumed: list[Message] = []
        self.when_cancelled: Callable[[], object] = lambda: None

    def publish(self, body: bytes) -> None:
        self.done.append("publishing")
        assert self.may_confirm.wait(DEADLINE)
        self.done.append(body)

    def consume(self) -> None:
        self.consuming = True
        while self.when_consumed:
            self.arriving.put(self.when_consumed.pop())

    def cancel(self) -> None:
        self.consuming = False
        self.when_cancelled()

    def acknowledge(self, tag: int) -> None:
        self.done.append(("acknowledged", tag))

    def give_back(self, tag: int) -> None:
        self.done.append(("given back", tag))

    def bury(self, message: Message, reason: str) -> None:
        self.done.append(("buried", message.tag))

    def turn(self, seconds: float) -> Message | None:
        return self.arriving.get(timeout=DEADLINE)

    def wake(self) -> None:
        self.arriving.put(None)

    def close(self) -> None:
        self.done.append("closed")


Open = Callable[..., ThreadedQueue]


@pytest.fixture
def session() -> Scripted:
    return Scripted()


@pytest.fixture
def opened(session: Scripted) -> Iterator[Open]:
    with ExitStack() as stack:

        def opened(
            connect: Callable[[], Scripted] = lambda: session, patience: float = DEADLINE
        ) -> ThreadedQueue:
            queue = ThreadedQueue(
                connect, name="a broker", notice=session.done.append, patience=patience
            )
            stack.callback(queue.close)
            return queue

        yield opened


def message(tag: int) -> Message:
    return Message(tag=tag, body=encoded(HINT))


def test_a_hint_that_comes_when_nobody_waits_any_more_goes_back(
    session: Scripted, opened: Open
) -> None:
    queue = opened()
    assert queue.next(0.0) is None
    session.arriving.put(message(1))
    wait_until(lambda: ("given back", 1) in session.done)
    wait_until(lambda: not session.consuming)


def test_no_more_are_asked_for_when_the_hint_is_told(session: Scripted, opened: Open) -> None:
    queue = opened()
    session.when_consumed.append(message(1))
    session.when_cancelled = lambda: session.done.append(("told", queue._waiting is None))
    delivery = queue.next(DEADLINE)
    assert delivery is not None
    assert session.done == [("told", False)]
    queue.acknowledge(delivery)
    wait_until(lambda: ("acknowledged", 1) in session.done)


def test_what_was_given_up_before_its_turn_is_not_published(
    session: Scripted, opened: Open
) -> None:
    """Its caller was told that it failed, and announces it again."""
    queue = opened(patience=0.2)
    session.may_confirm.clear()
    with pytest.raises(Unreachable, match=r"a broker did not confirm a hint within 0\.2 s"):
        queue.announce(Hint(study="first"))
    with pytest.raises(Unreachable):
        queue.announce(Hint(study="second"))
    session.may_confirm.set()
    wait_until(lambda: encoded(Hint(study="first")) in session.done)
    queue.close()
    assert session.done.count("publishing") == 1
    assert session.done[-1] == "closed"


def test_the_receipt_of_a_lost_session_acknowledges_nothing_in_the_next(opened: Open) -> None:
    first, second = Scripted(), Scripted()
    sessions = iter([first, second])
    queue = opened(lambda: next(sessions))
    first.when_consumed.append(message(7))
    delivery = queue.next(DEADLINE)
    assert delivery is not None

    def lose(_tag: int) -> None:
        raise Unreachable("the connection is lost")

    first.acknowledge = lose  # type: ignore[method-assign]
    queue.acknowledge(delivery)
    wait_until(lambda: "closed" in first.done)
    queue.acknowledge(delivery)
    wait_until(lambda: _announced(queue), every=0.05)
    assert encoded(HINT) in second.done
    assert ("acknowledged", 7) not in second.done


def _announced(queue: ThreadedQueue) -> bool:
    try:
        queue.announce(HINT)
    except Unreachable:
        return False
    return True


def test_a_setting_that_is_wrong_only_now_is_told_and_tried_again(
    session: Scripted, opened: Open
) -> None:
    """Such as a file with the password that is being replaced."""
    tries = iter([Invalid("no password"), None])

    def connect() -> Scripted:
        if error := next(tries):
            raise error
        return session

    queue = opened(connect)
    wait_until(lambda: _announced(queue), every=0.05)
    assert session.done[:2] == [
        "no password; workers look into the ledger meanwhile",
        "the queue at a broker is back",
    ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_waits_for_a_thread_that_failed_is_let_go(session: Scripted, opened: Open) -> None:
    def connect() -> Scripted:
        raise RuntimeError("nobody foresaw this")

    queue = opened(connect)
    assert queue.next(DEADLINE) is None
    with pytest.raises(Unreachable, match="the queue at a broker was closed"):
        queue.announce(HINT)
