"""Ranks as processes of this machine do what those of every engine do."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.engines.engine import Engine, GangRequest
from fairlead.engines.local import LocalEngine
from fairlead.gang.hub import Hub
from tests.contract.engine_contract import EngineContract
from tests.support.gangs import HASTY, SECRET, SharedStudy, process_of
from tests.support.waiting import wait_until


class TestLocalEngine(EngineContract):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> LocalEngine:
        return LocalEngine(logs=tmp_path / "logs", stopped=2.0)

    @pytest.fixture
    def hub(self) -> Iterator[Hub]:
        with Hub(secret=SECRET, patience=HASTY) as hub:
            yield hub

    def kill(self, engine: Engine, gang: GangRequest, rank: int) -> None:
        process_of(gang, rank).kill()

    def test_one_that_stays_stopped_is_killed_and_said_to_be(
        self, engine: LocalEngine, hub: Hub, gang: GangRequest
    ) -> None:
        handle = engine.start(gang)
        self.running(engine, handle, hub, 2)
        process_of(gang, 0).send_signal(signal.SIGSTOP)
        wait_until(lambda: engine.poll(handle)[0].state == "stuck")
        wait_until(lambda: engine.poll(handle)[0].state == "ended")
        assert "SIGSTOP" in engine.poll(handle)[0].why
        assert not engine.poll(handle)[0].killed

    def test_one_that_holds_too_much_memory_is_killed_and_said_to_be(
        self, engine: LocalEngine, gang: GangRequest
    ) -> None:
        small = GangRequest(**{**vars(gang), "ranks": 1, "memory": 1 << 20})
        handle = engine.start(small)
        wait_until(lambda: engine.poll(handle)[0].state == "ended")
        (ended,) = engine.poll(handle)
        assert "train.resources.memory" in ended.why
        assert not ended.killed

    def test_the_end_of_a_collective_gangs_rank_ends_all(
        self, engine: LocalEngine, hub: Hub, gang: GangRequest
    ) -> None:
        handle = engine.start(GangRequest(**{**vars(gang), "collective": True}))
        self.running(engine, handle, hub, 2)
        self.kill(engine, gang, 1)
        wait_until(lambda: not self.alive(engine, handle))

    def test_what_keeps_ranks_from_being_looked_after_is_told_and_others_are(
        self, hub: Hub, study: SharedStudy, tmp_path: Path
    ) -> None:
        told: list[str] = []
        engine = LocalEngine(logs=tmp_path, stopped=0.5, notice=told.append)
        gang = study.request(hub, key="faulty")
        handle = engine.start(gang)
        try:
            (tmp_path / "faulty-0.log").unlink()
            (tmp_path / "faulty-0.log").mkdir()
            wait_until(lambda: len(told) == 1)
            process_of(gang, 1).send_signal(signal.SIGSTOP)
            wait_until(lambda: engine.poll(handle)[1].state == "ended")
            assert told[0].startswith("looking after ranks: rank 0 of gang faulty: ")
            assert len(told) == 1
        finally:
            engine.stop(handle)

    def test_empty_logs_that_a_killed_driver_left_are_removed_and_those_in_use_are_not(
        self, hub: Hub, study: SharedStudy, tmp_path: Path
    ) -> None:
        (tmp_path / "gang-left-0.log").touch()
        (tmp_path / "gang-said-0.log").write_text("something")
        engines = [LocalEngine(logs=tmp_path) for _ in range(2)]
        for engine, key in zip(engines, ("gang-first", "gang-second"), strict=True):
            engine.start(study.request(hub, key=key, ranks=1))
        try:
            logs = {log.name for log in tmp_path.glob("*.log")}
            assert logs == {"gang-said-0.log", "gang-first-0.log", "gang-second-0.log"}
        finally:
            for engine, key in zip(engines, ("gang-first", "gang-second"), strict=True):
                engine.stop(key)
        assert [log.name for log in tmp_path.glob("*.log")] == ["gang-said-0.log"]

    def test_a_log_is_kept_short(
        self, engine: LocalEngine, hub: Hub, gang: GangRequest, tmp_path: Path
    ) -> None:
        handle = engine.start(gang)
        self.running(engine, handle, hub, 2)
        log = tmp_path / "logs" / f"{gang.key}-0.log"
        with log.open("ab") as content:
            content.write(b"many lines\n" * 500_000)
        wait_until(lambda: log.stat().st_size < 1 << 20)
        assert "many lines" in engine.logs(handle, 0)
