"""Whatever happens to ranks, the model has the bits of one process. Ranks are real processes."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.support.gangs import (
    HASTY,
    SECRET,
    SharedStudy,
    process_of,
    rank_process,
    shared_study,
)
from tests.support.waiting import wait_until

from fairlead.engines.engine import GangRequest
from fairlead.engines.gang import EngineGang
from fairlead.engines.local import LocalEngine
from fairlead.errors import Diverged, Failed
from fairlead.gang.assignment import Patience
from fairlead.gang.hub import Hub
from fairlead.gang.network import StepResult

ENDS_WITHIN = 5.0
"""Seconds in which ranks end when their driver is gone."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SharedStudy:
    return shared_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def alone(study: SharedStudy) -> str:
    """What one process makes of the fit."""
    return study.train(study.fit(), None)


class LocalGang:
    """A gang of local processes, and what a test does to it."""

    def __init__(self, gang: EngineGang, engine: LocalEngine, request: GangRequest) -> None:
        self.gang = gang
        self.engine = engine
        self.request = request

    def process(self, rank: int) -> psutil.Process:
        return process_of(self.request, rank)

    def all_there(self, count: int) -> None:
        wait_until(lambda: self.gang.alive() == count)


@contextmanager
def local_gang(
    study: SharedStudy,
    folder: Path,
    *,
    ranks: int = 2,
    patience: Patience = HASTY,
    memory: int = 2 << 30,
    notice: Callable[[str], None] = print,
) -> Iterator[LocalGang]:
    engine = LocalEngine(logs=folder / "logs")
    with Hub(secret=SECRET, patience=patience) as hub:
        request = study.request(hub, ranks=ranks, memory=memory)
        with EngineGang(engine, request, hub, notice=notice) as gang:
            yield LocalGang(gang, engine, request)


def at(steps: Mapping[int, Callable[[], object]]) -> Callable[[StepResult], None]:
    """What is done after these steps."""

    def listen(result: StepResult) -> None:
        if result.step in steps:
            steps[result.step]()

    return listen


def test_a_rank_that_is_killed_changes_nothing_and_comes_back(
    study: SharedStudy, alone: str, tmp_path: Path
) -> None:
    job = study.fit(pause=0.03)
    with local_gang(study, tmp_path) as local:
        local.gang.open(job)
        local.all_there(2)
        listen = at({4: lambda: local.process(1).kill(), 40: lambda: local.all_there(2)})
        assert study.train(job, local.gang, listen) == alone


def test_a_rank_that_is_stopped_and_continued_changes_nothing(
    study: SharedStudy, alone: str, tmp_path: Path
) -> None:
    job = study.fit(pause=0.03)
    with local_gang(study, tmp_path) as local:
        local.gang.open(job)
        local.all_there(2)
        stopped = local.process(1)

        def stop() -> None:
            stopped.send_signal(signal.SIGSTOP)
            local.all_there(1)

        def go_on() -> None:
            stopped.send_signal(signal.SIGCONT)
            local.all_there(2)

        assert study.train(job, local.gang, at({4: stop, 20: go_on})) == alone
        assert stopped.is_running()


def test_a_rank_that_stays_stopped_is_given_up_and_let_in_again_when_it_goes_on(
    study: SharedStudy, alone: str, tmp_path: Path
) -> None:
    hasty = replace(HASTY, quiet=0.7, silent=1.5)
    with local_gang(study, tmp_path, patience=hasty) as local:
        job = study.fit(pause=0.03)
        local.gang.open(job)
        local.all_there(2)
        stopped = local.process(1)

        def stop() -> None:
            stopped.send_signal(signal.SIGSTOP)
            local.all_there(1)
            time.sleep(2.0)  # past `silent`: there is nothing to see from outside

        def go_on() -> None:
            stopped.send_signal(signal.SIGCONT)
            local.all_there(2)

        assert study.train(job, local.gang, at({4: stop, 10: go_on})) == alone
        assert stopped.is_running()


def test_a_rank_that_is_ten_times_slower_changes_nothing(
    study: SharedStudy, alone: str, tmp_path: Path
) -> None:
    job = study.fit(pause=0.02, slow=1)
    with local_gang(study, tmp_path, patience=replace(HASTY, least=0.05)) as local:
        local.gang.open(job)
        assert study.train(job, local.gang) == alone


def test_a_rank_that_ends_again_and_again_is_told_of_and_the_other_goes_on(
    study: SharedStudy, alone: str, tmp_path: Path
) -> None:
    told: list[str] = []

    def wait_until_told() -> None:
        def is_told() -> bool:
            local.gang.poll()
            return bool(told)

        wait_until(is_told)

    with local_gang(study, tmp_path, notice=told.append) as local:
        job = study.fit(fault="end of rank 1")
        local.gang.open(job)
        assert study.train(job, local.gang, at({4: wait_until_told})) == alone
    (line,) = told
    assert "rank 1 ended 3 times before it computed anything (status 3): a library of C" in line


def test_a_rank_out_of_memory_is_ended_and_its_parts_go_to_others(
    study: SharedStudy, alone: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = study.fit(pause=0.02, hog=1)
    with local_gang(study, tmp_path, memory=600 << 20) as local:
        local.gang.open(job)
        local.all_there(2)
        listen = at({20: lambda: wait_until(lambda: looked_at(local, caplog))})
        with caplog.at_level(logging.WARNING):
            assert study.train(job, local.gang, listen) == alone
    assert "train.resources.memory" in caplog.text


def looked_at(local: LocalGang, caplog: pytest.LogCaptureFixture) -> bool:
    local.gang.poll()
    return "train.resources.memory" in caplog.text


def test_a_fit_that_no_rank_has_the_memory_for_fails_with_that(
    study: SharedStudy, tmp_path: Path
) -> None:
    job = study.fit(hog=0)
    with local_gang(study, tmp_path, ranks=1, memory=600 << 20) as local:
        local.gang.open(job)
        with pytest.raises(Failed, match=r"train\.resources\.memory"):
            study.train(job, local.gang)


def test_ranks_that_come_in_the_middle_change_nothing(
    study: SharedStudy, alone: str, tmp_path: Path
) -> None:
    job = study.fit(pause=0.03)
    with local_gang(study, tmp_path, ranks=1) as local:
        local.gang.open(job)

        def grow() -> None:
            local.gang.grow(3)
            local.all_there(3)

        assert study.train(job, local.gang, at({4: grow})) == alone


def test_a_gang_computes_one_fit_after_another(study: SharedStudy, tmp_path: Path) -> None:
    with local_gang(study, tmp_path) as local:
        for fold in (0, 1, None):
            job = study.fit(fold=fold, learning_rate=0.001)
            local.gang.open(job)
            assert study.train(job, local.gang) == study.train(job, None)


def test_what_a_fit_cannot_be_opened_for_is_said(study: SharedStudy, tmp_path: Path) -> None:
    job = study.fit(fault="open")
    with local_gang(study, tmp_path, ranks=1) as local:
        local.gang.open(job)
        with pytest.raises(Failed, match="its rows cannot be used"):
            study.train(study.fit(), local.gang)


def test_one_rank_that_cannot_open_the_fit_leaves_it_to_the_others(
    study: SharedStudy, tmp_path: Path
) -> None:
    job = study.fit(fault="open on rank 0")
    with local_gang(study, tmp_path) as local:
        local.gang.open(job)
        assert study.train(job, local.gang) == study.train(job, None)


def test_what_a_part_raises_is_said_and_the_gang_goes_on(
    study: SharedStudy, alone: str, tmp_path: Path
) -> None:
    with local_gang(study, tmp_path) as local:
        job = study.fit(fault="part")
        local.gang.open(job)
        with pytest.raises(Failed, match="ValueError: a part that fails"):
            study.train(job, local.gang)
        local.gang.open(study.fit())
        assert study.train(study.fit(), local.gang) == alone


def test_a_loss_that_is_no_number_ends_the_fit_as_that(study: SharedStudy, tmp_path: Path) -> None:
    job = study.fit(fault="diverge")
    with local_gang(study, tmp_path) as local:
        local.gang.open(job)
        with pytest.raises(Diverged, match="step 3: the loss is nan"):
            study.train(job, local.gang)


def test_ranks_that_end_as_soon_as_they_start_fail_the_fit_with_what_they_printed(
    study: SharedStudy, tmp_path: Path
) -> None:
    engine = LocalEngine(logs=tmp_path / "logs")
    other = Hub(secret="of another gang")
    with EngineGang(engine, study.request(other), other) as gang:
        gang.open(study.fit())
        with pytest.raises(Failed, match="the secret of this rank is that of another gang"):
            study.train(study.fit(), gang)


def test_two_ranks_of_one_number_the_newer_waits_until_the_older_is_gone(
    study: SharedStudy, alone: str
) -> None:
    with two_of_one_number(study, HASTY) as (hub, older, newer):
        hub.open(study.fit())
        assert study.train(study.fit(), hub) == alone
        assert pids(hub) == [older.pid]
        older.kill()
        wait_until(lambda: pids(hub) == [newer.pid])
        hub.open(study.fit())
        assert study.train(study.fit(), hub) == alone


@contextmanager
def two_of_one_number(
    study: SharedStudy, patience: Patience
) -> Iterator[tuple[Hub, subprocess.Popen[str], subprocess.Popen[str]]]:
    """A hub, the rank that it has let in, and a newer process that says it is the same."""
    with Hub(secret=SECRET, patience=patience) as hub, rank_process(study, hub.address, 0) as older:
        wait_until(lambda: pids(hub) == [older.pid])
        with rank_process(study, hub.address, 0) as newer:
            yield hub, older, newer


def pids(hub: Hub) -> list[int]:
    return [rank.process for rank in hub.ranks()]


def test_two_ranks_of_one_number_the_newer_has_the_place_of_one_that_says_nothing(
    study: SharedStudy, alone: str
) -> None:
    with two_of_one_number(study, replace(HASTY, silent=60.0)) as (hub, older, newer):
        older.send_signal(signal.SIGSTOP)
        wait_until(lambda: pids(hub) == [newer.pid])
        older.send_signal(signal.SIGCONT)
        hub.open(study.fit())
        assert study.train(study.fit(), hub) == alone
        assert pids(hub) == [newer.pid]


def test_a_rank_of_another_gang_ends_with_one_line(study: SharedStudy) -> None:
    with Hub(secret=SECRET) as hub, rank_process(study, hub.address, 0, secret="other") as rank:
        _, printed = rank.communicate(timeout=60.0)
        assert rank.returncode == 1
        assert hub.alive() == 0
    (line,) = printed.splitlines()
    assert "the secret of this rank is that of another gang" in line


def test_a_rank_without_its_variables_ends_with_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "fairlead.training.rank"],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "a rank of a gang is started by an engine, which sets $FAIRLEAD_GANG_ADDRESS: it is not set"
    ]


@contextmanager
def driver(folder: Path, *, ranks: int) -> Iterator[subprocess.Popen[str]]:
    program = [sys.executable, "-m", "tests.support.driving", str(folder), str(ranks)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    """The next line of a driver."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_ranks_end_with_a_driver_on_their_machine(tmp_path: Path) -> None:
    with driver(tmp_path, ranks=2) as process:
        assert said(process)
        assert "step=0" in said(process)
        ranks = psutil.Process(process.pid).children()
        assert len(ranks) == 2
        process.kill()
        process.wait()
        wait_until(lambda: not any(map(is_alive, ranks)), seconds=ENDS_WITHIN)


def test_ranks_end_with_a_driver_on_another_machine_in_the_middle_of_a_part(
    study: SharedStudy, tmp_path: Path
) -> None:
    with driver(tmp_path, ranks=0) as process, rank_process(study, said(process), 0) as rank:
        assert rank.stderr is not None
        assert rank.stderr.readline() == "it stalls\n"
        process.kill()
        process.wait()
        assert rank.wait(ENDS_WITHIN) == 1
        (line,) = rank.stderr.read().splitlines()
    assert line == "the driver of the gang is gone: ending in the middle of a part"
