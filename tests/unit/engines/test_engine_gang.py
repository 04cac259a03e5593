"""Gangs whose engine or ranks do what no real one does at will."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from fairlead.engines.engine import GangRequest, RankStatus
from fairlead.engines.gang import LONGEST_REST, EngineGang, Streak, continued, rest_after
from fairlead.errors import Unreachable
from fairlead.gang.hub import Hub


class Away:
    """An engine whose rank has ended, and which answers every second request to start it."""

    def __init__(self) -> None:
        self.starts = 0
        self.running = True

    def start(self, gang: GangRequest) -> str:
        self.starts += 1
        if self.starts == 2:
            raise Unreachable("the API server did not answer")
        self.running = True
        return gang.key

    def poll(self, handle: str) -> Sequence[RankStatus]:
        assert handle == "away"
        return [RankStatus(rank=0, state="running" if self.running else "ended", killed=True)]

    def stop(self, handle: str) -> None:
        assert handle == "away"

    def logs(self, handle: str, rank: int) -> str:
        raise NotImplementedError((handle, rank))


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(secret="a secret") as opened:
        yield opened


def test_a_rank_that_could_not_be_started_again_is_at_the_next_look(hub: Hub) -> None:
    engine = Away()
    request = GangRequest(key="away", ranks=1, address=hub.address, secret="", artifacts="")
    with EngineGang(engine, request, hub) as gang:
        engine.running = False
        gang.poll()
        assert (engine.starts, engine.running) == (2, False)
        gang.poll()
        assert (engine.starts, engine.running) == (3, True)
        gang.poll()
        assert engine.starts == 3


def test_a_rank_that_ends_again_and_again_rests_longer_each_time() -> None:
    rests = [rest_after(ends) for ends in range(1, 12)]
    assert rests[:5] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert rests[-1] == rest_after(10**6) == LONGEST_REST


def test_a_rank_that_has_answered_since_is_started_again_at_once() -> None:
    streak = Streak()
    for _ in range(4):
        streak = continued(streak, answers=7, now=100.0)
    assert (streak.ends, streak.rests) == (4, 102.0)
    assert continued(streak, answers=8, now=200.0) == Streak(ends=1, answers=8, rests=200.0)


class OneFails:
    """An engine of two ranks: one goes on, the other ends as soon as it is started."""

    def __init__(self) -> None:
        self.starts: list[frozenset[int]] = []
        self.seconds = 0.0

    def start(self, gang: GangRequest) -> str:
        self.starts.append(gang.resting)
        if 1 not in gang.resting:
            self.seconds += 1.0  # of another process than before
        return gang.key

    def poll(self, handle: str) -> Sequence[RankStatus]:
        failed = RankStatus(rank=1, state="ended", why="status 1", seconds=self.seconds)
        return [RankStatus(rank=0, state="running"), failed]

    def stop(self, handle: str) -> None:
        pass

    def logs(self, handle: str, rank: int) -> str:
        return "no library of that name\n"


def test_one_rank_that_cannot_start_is_told_of_once_and_the_others_go_on(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, told, engine = [0.0], [], OneFails()
    request = GangRequest(key="one", ranks=2, address=hub.address, secret="", artifacts="")
    monkeypatch.setattr("fairlead.engines.gang.time.monotonic", lambda: now[0])
    with EngineGang(engine, request, hub, notice=told.append) as gang:
        for _ in range(400):
            now[0] += 0.5
            gang.poll()
    (line,) = told
    assert line == (
        "rank 1 ended 3 times before it computed anything (status 1): no library of that name; it "
        "is tried again, at the most 30 s apart, and the fit goes on with the others"
    )
    tries = sum(1 not in resting for resting in engine.starts)
    assert 10 <= tries <= 14  # of 200 s: once a second would be 200
