"""Calls in the background of a loop."""

from __future__ import annotations

import queue
import threading

import pytest

from fairlead.rollout.background import BackgroundCalls

DEADLINE = 30.0


@pytest.fixture
def hanging() -> threading.Event:
    """Set at the end of the test, so that what hangs until then ends."""
    return threading.Event()


def test_a_call_that_hangs_keeps_no_other_waiting(hanging: threading.Event) -> None:
    ended: queue.Queue[None] = queue.Queue()
    calls: BackgroundCalls[bool] = BackgroundCalls(
        max_parallel=1, on_finished=lambda: ended.put(None), slow_after=0.01
    )
    try:
        assert calls.poll("hangs", lambda: hanging.wait(DEADLINE)) is None
        assert calls.poll("works", lambda: False) is None
        ended.get(timeout=DEADLINE)
        works = calls.poll("works", lambda: False)
        assert works
        assert works.result is False
        assert calls.poll("hangs", lambda: True) is None
    finally:
        hanging.set()


def test_no_more_are_done_at_once_than_may_be_while_none_hangs() -> None:
    ended: queue.Queue[None] = queue.Queue()
    calls: BackgroundCalls[int] = BackgroundCalls(
        max_parallel=2, on_finished=lambda: ended.put(None)
    )
    lock, now, most = threading.Lock(), [0], [0]
    both = threading.Barrier(2)

    def work() -> int:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        both.wait(DEADLINE)
        with lock:
            now[0] -= 1
        return 1

    for key in range(6):
        calls.poll(key, work)
    for _ in range(6):
        ended.get(timeout=DEADLINE)
    assert most == [2]
