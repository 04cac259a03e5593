"""A gang whose engine does not answer for a while, which no real one does at will."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from fairlead.engines.engine import GangRequest, RankStatus
from fairlead.engines.gang import EngineGang
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
