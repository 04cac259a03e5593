"""What every engine does; inherited by the test of each, which gives `engine` and `hub`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fairlead.engines.engine import Engine, GangRequest, RankStatus
from fairlead.engines.gang import EngineGang
from fairlead.gang.hub import Hub
from tests.support.gangs import SharedStudy, shared_study
from tests.support.waiting import wait_until


class EngineContract:
    """The promises of the Protocol `Engine`.

    A class that inherits it gives `kill`, which ends a rank from outside, the fixture `engine`, and
    the fixture `hub`, which listens where ranks of the engine reach it. Where these cannot read a
    folder of this machine, it overrides `study`.
    """

    def kill(self, engine: Engine, gang: GangRequest, rank: int) -> None:
        raise NotImplementedError

    @pytest.fixture
    def study(self, tmp_path: Path) -> SharedStudy:
        return shared_study(tmp_path)

    @pytest.fixture
    def gang(self, engine: Engine, hub: Hub, study: SharedStudy) -> Iterator[GangRequest]:
        """A request for two ranks, which stay until they are ended."""
        request = study.request(hub, key="contract")
        yield request
        engine.stop(request.key)

    def alive(self, engine: Engine, handle: str) -> Sequence[RankStatus]:
        return [rank for rank in engine.poll(handle) if rank.alive]

    def running(self, engine: Engine, handle: str, hub: Hub, count: int) -> None:
        wait_until(lambda: hub.alive() == count and len(self.alive(engine, handle)) == count)

    def processes(self, hub: Hub) -> dict[int, tuple[str, int]]:
        return {hello.rank: (hello.host, hello.process) for hello in hub.ranks()}

    def test_a_gang_that_was_never_asked_for_has_no_ranks(self, engine: Engine) -> None:
        assert list(engine.poll("unknown")) == []
        assert engine.logs("unknown", 0) == ""
        engine.stop("unknown")

    def test_its_ranks_call_the_driver(self, engine: Engine, hub: Hub, gang: GangRequest) -> None:
        handle = engine.start(gang)
        self.running(engine, handle, hub, 2)
        assert sorted(self.processes(hub)) == [0, 1]
        assert sorted(rank.rank for rank in engine.poll(handle)) == [0, 1]

    def test_asked_twice_is_once(self, engine: Engine, hub: Hub, gang: GangRequest) -> None:
        handle = engine.start(gang)
        self.running(engine, handle, hub, 2)
        before = self.processes(hub)
        assert engine.start(gang) == handle
        self.running(engine, handle, hub, 2)
        assert self.processes(hub) == before

    def test_more_are_added_and_none_is_ended(
        self, engine: Engine, hub: Hub, gang: GangRequest, study: SharedStudy
    ) -> None:
        handle = engine.start(gang)
        self.running(engine, handle, hub, 2)
        before = self.processes(hub)
        engine.start(study.request(hub, key=gang.key, ranks=3))
        self.running(engine, handle, hub, 3)
        assert before.items() <= self.processes(hub).items()

    def test_one_that_was_killed_is_said_to_be_and_is_started_again(
        self, engine: Engine, hub: Hub, gang: GangRequest
    ) -> None:
        handle = engine.start(gang)
        self.running(engine, handle, hub, 2)
        before = self.processes(hub)
        self.kill(engine, gang, 1)
        wait_until(lambda: len(self.alive(engine, handle)) == 1)
        dead = next(rank for rank in engine.poll(handle) if rank.rank == 1)
        assert (dead.state, dead.killed) == ("ended", True)
        assert dead.why
        engine.start(gang)
        self.running(engine, handle, hub, 2)
        after = self.processes(hub)
        assert after[0] == before[0]  # the other may have the same number: pods count from 1

    def test_one_that_ends_by_itself_tells_why_and_leaves_its_log(
        self, engine: Engine, hub: Hub, gang: GangRequest
    ) -> None:
        broken = GangRequest(**{**vars(gang), "ranks": 1, "secret": "of another gang"})
        handle = engine.start(broken)
        wait_until(lambda: not self.alive(engine, handle))
        (ended,) = engine.poll(handle)
        assert (ended.state, ended.killed) == ("ended", False)
        assert ended.why
        assert "secret" in engine.logs(handle, 0)

    def test_stopping_ends_all_and_forgets_the_gang(
        self, engine: Engine, hub: Hub, gang: GangRequest
    ) -> None:
        handle = engine.start(gang)
        self.running(engine, handle, hub, 2)
        engine.stop(handle)
        wait_until(lambda: hub.alive() == 0)
        assert list(engine.poll(handle)) == []

    def test_gangs_are_apart(
        self, engine: Engine, hub: Hub, gang: GangRequest, study: SharedStudy
    ) -> None:
        handle = engine.start(gang)
        self.running(engine, handle, hub, 2)
        other = GangRequest(**{**vars(gang), "key": "contract-2", "secret": "of another gang"})
        apart = engine.start(other)
        assert engine.start(gang) == handle
        engine.stop(apart)
        assert len(self.alive(engine, handle)) == 2

    def test_a_fit_has_the_bits_of_one_process(
        self, engine: Engine, hub: Hub, gang: GangRequest, study: SharedStudy
    ) -> None:
        job = study.fit()
        with EngineGang(engine, gang, hub) as made:
            made.open(job)
            assert study.train(job, made) == study.train(job, None)
