"""`fairlead autoscale` as a person runs it: real workers come with the tasks, and go."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil
import pytest

from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import ScalingDecision
from fairlead.settings import Settings, from_environment
from fairlead.spec.load import load
from fairlead.study.outcome import RunOutcome
from fairlead.study.progress import Silent
from fairlead.study.run import RunRequest, run
from fairlead.study.stop import Stopped, StopRequest
from tests.integration.job import families, specs
from tests.integration.job.conftest import Place, processes_of
from tests.support.postgres import PostgresServer, database
from tests.support.waiting import wait_until

QUICK = ("--within", "1", "--cooldown", "1")


def settings(place: Place) -> Settings:
    return from_environment({**os.environ, **place.environ}, home=place.home)


@dataclass
class Carrier(threading.Thread):
    """Carries the run of a spec without any worker of its own."""

    place: Place
    stop: StopRequest = field(default_factory=StopRequest)
    outcomes: list[RunOutcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        path = self.place.folder / "slow.yaml"
        request = RunRequest(spec=load(path).spec, base=self.place.folder, workers=0)
        with suppress(Stopped):
            self.outcomes.append(run(request, settings(self.place), Silent(), self.stop))


@contextmanager
def carried(place: Place, trials: int = 12, seconds: float = 0.3) -> Iterator[Carrier]:
    place.write("slow.py", families.SLOW)
    place.write("slow.yaml", specs.slow(trials=trials, seconds=seconds))
    carrier = Carrier(place)
    carrier.start()
    try:
        yield carrier
    finally:
        carrier.stop.ask()
        carrier.stop.ask()
        carrier.join(60)


@pytest.fixture
def quick(place: Place) -> Place:
    place.environ["FAIRLEAD_LEASE"] = "2"
    return place


@pytest.fixture(params=["sqlite", "postgresql"])
def anywhere(quick: Place, request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "sqlite":
        quick.home.mkdir()
        with ledger(quick):
            pass
        yield quick
        return
    with database(request.getfixturevalue("postgres")) as url:
        quick.environ["FAIRLEAD_LEDGER"] = url
        with ledger(quick):
            pass
        yield quick
        for process in processes_of(quick):
            process.kill()


def ledger(place: Place) -> Ledger:
    return open_ledger(settings(place).ledger_url)


def decisions(place: Place) -> Sequence[ScalingDecision]:
    """The oldest first."""
    with ledger(place) as opened:
        return list(reversed(opened.autoscaling.decisions(limit=10_000)))


def workers(place: Place) -> Mapping[str, psutil.Process]:
    """Their processes by name; one that is about to become a child goes by its worker's."""
    found: dict[str, psutil.Process] = {}
    for process in processes_of(place):
        words = process.info["cmdline"]
        if "worker" in words:
            found.setdefault(words[words.index("--name") + 1], process)
    return found


def results(place: Place) -> tuple[int, int]:
    """How many there are, and of how many trials."""
    with ledger(place) as opened:
        (study,) = opened.studies.all()
        found, _ = opened.studies.results(study.id)
    return len(found), len({result.number for result in found})


def refit_done(carrier: Carrier) -> RunOutcome:
    wait_until(lambda: carrier.outcomes or not carrier.is_alive())
    return carrier.outcomes[0]


def test_workers_come_with_the_tasks_and_go_when_all_is_done(anywhere: Place) -> None:
    place = anywhere
    scaler = place.start("autoscale", "--max", "3", *QUICK)
    wait_until(lambda: [each.cause for each in decisions(place)] == ["none"])
    assert not workers(place)
    with carried(place) as carrier:
        outcome = refit_done(carrier)
    assert outcome.version.number == 1
    assert results(place) == (12, 12)
    wait_until(lambda: decisions(place)[-1].cause == "none")
    wait_until(lambda: not workers(place))
    told = decisions(place)
    assert (told[1].there, told[1].start > 0) == (0, True)
    most = [each.there + each.start for each in told]
    assert 2 <= max(most) <= 3
    assert all("\n" not in each.reason and each.reason for each in told)
    assert [each.spent for each in told] == sorted(each.spent for each in told)
    scaler.send_signal(signal.SIGTERM)
    assert scaler.wait(60) == 0
    assert decisions(place)[-1].cause == "stopping"
    with ledger(place) as opened:
        assert [each.holder for each in opened.autoscaling.all()] == [None]
        assert opened.workers.alive() == []
    printed = (place.folder / "output.log").read_text().splitlines()
    assert [line for line in printed if "->" in line] == printed
    assert len(printed) == len(decisions(place))
    assert place.run("fleet", "--decisions").stdout.splitlines() == printed


def test_of_two_at_once_one_decides_and_the_next_takes_over(quick: Place) -> None:
    quick.home.mkdir()
    with ledger(quick):
        pass
    first = quick.start("autoscale", "--max", "2", *QUICK)
    wait_until(lambda: decisions(quick))
    second = quick.start("autoscale", "--max", "2", *QUICK)
    with carried(quick) as carrier:
        seen = []
        wait_until(lambda: seen.append(len(workers(quick))) or results_or_none(quick) >= 3)
        assert max(seen) <= 2
        before = {*workers(quick)}
        first.kill()
        first.wait()
        wait_until(lambda: not before & {*workers(quick)})
        refit_done(carrier)
    assert results(quick) == (12, 12)
    assert "is held by" in (quick.folder / "output.log").read_text()
    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 0
    told = decisions(quick)
    assert [each.spent for each in told] == sorted(each.spent for each in told)


def results_or_none(place: Place) -> int:
    with ledger(place) as opened:
        studies = opened.studies.all()
        return opened.studies.counts(studies[0].id).done if studies else 0


def test_one_that_was_stopped_finds_its_place_taken_and_there_are_never_too_many(
    quick: Place,
) -> None:
    quick.home.mkdir()
    with ledger(quick):
        pass
    first = quick.start("autoscale", "--min", "1", "--max", "1", *QUICK)
    (mine,) = wait_until(lambda: workers(quick))
    with ledger(quick) as opened:
        wait_until(opened.workers.alive)
    first.send_signal(signal.SIGSTOP)
    second = quick.start("autoscale", "--min", "1", "--max", "1", *QUICK)
    taken = wait_until(lambda: decisions(quick)[1:])[0]
    assert (taken.cause, taken.start) == ("most", 0)
    assert "1 of them another's" in taken.reason
    assert {*workers(quick)} == {mine}
    first.send_signal(signal.SIGCONT)
    with ledger(quick) as opened:
        seen = []

        def another() -> bool:
            alive = {worker.name for worker in opened.workers.alive()}
            seen.append(len(alive))
            return bool(alive - {mine})

        wait_until(another)
    wait_until(lambda: mine not in workers(quick))
    assert max(seen) == 1
    for process in (second, first):  # the other one does not begin anew
        process.send_signal(signal.SIGTERM)
    assert [process.wait(60) for process in (second, first)] == [0, 0]


def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(quick: Place) -> None:
    quick.home.mkdir()
    with ledger(quick):
        pass
    scaler = quick.start("autoscale", "--max", "2", *QUICK)
    with carried(quick) as carrier:
        for done in (1, 3, 5):
            wait_until(lambda done=done: results_or_none(quick) >= done)
            next(iter(wait_until(lambda: workers(quick)).values())).kill()
        refit_done(carrier)
    assert results(quick) == (12, 12)
    scaler.send_signal(signal.SIGTERM)
    assert scaler.wait(60) == 0


def test_asked_to_stop_its_workers_finish_what_they_have(quick: Place) -> None:
    quick.home.mkdir()
    with ledger(quick):
        pass
    scaler = quick.start("autoscale", "--max", "1", "--drain", "60", *QUICK)
    with carried(quick, seconds=2.0):
        wait_until(lambda: running(quick))
        scaler.send_signal(signal.SIGTERM)
        assert scaler.wait(90) == 0
        assert not workers(quick)
        assert results(quick) == (1, 1)
        with ledger(quick) as opened:
            kinds = {each.kind for each in opened.studies.events(opened.studies.all()[0].id)}
        assert "released" not in kinds
        assert "lost" not in kinds


def test_asked_twice_it_ends_at_once_and_the_task_waits_again(quick: Place) -> None:
    quick.home.mkdir()
    with ledger(quick):
        pass
    scaler = quick.start("autoscale", "--max", "1", "--drain", "600", *QUICK)
    with carried(quick, seconds=300.0):
        wait_until(lambda: running(quick))
        scaler.send_signal(signal.SIGTERM)
        wait_until(lambda: decisions(quick)[-1].cause == "stopping")
        scaler.send_signal(signal.SIGTERM)
        assert scaler.wait(60) == 0
        assert not workers(quick)
        assert running(quick) == 0


def running(place: Place) -> int:
    with ledger(place) as opened:
        studies = opened.studies.all()
        return opened.studies.counts(studies[0].id).running if studies else 0


def test_once_the_budget_is_spent_no_worker_is_left(quick: Place) -> None:
    quick.home.mkdir()
    with ledger(quick):
        pass
    hours = str(4 / 3600)
    scaler = quick.start("autoscale", "--max", "2", "--budget", hours, *QUICK)
    with carried(quick, trials=200):
        wait_until(lambda: decisions(quick) and decisions(quick)[-1].cause == "spent")
        wait_until(lambda: not workers(quick))
        with ledger(quick) as opened:
            assert opened.tasks.open() > 0
    spent = next(each for each in decisions(quick) if each.cause == "spent")
    assert spent.leave
    assert "worker-hours is spent" in spent.reason
    scaler.send_signal(signal.SIGTERM)
    assert scaler.wait(60) == 0


def test_a_ledger_that_is_away_is_waited_for(quick: Place) -> None:
    server = PostgresServer(fsync="on", max_connections=50)
    try:
        quick.environ["FAIRLEAD_LEDGER"] = server.url
        with ledger(quick):
            pass
        scaler = quick.start("autoscale", "--max", "2", "--drain", "2", *QUICK)
        wait_until(lambda: decisions(quick))
        server.end(signal.SIGQUIT)
        wait_until(lambda: "trying again" in (quick.folder / "output.log").read_text())
        server.start()
        with carried(quick, trials=4) as carrier:
            refit_done(carrier)
        assert results(quick) == (4, 4)
        server.end(signal.SIGQUIT)
        scaler.send_signal(signal.SIGTERM)  # it ends also while the ledger is away
        assert scaler.wait(60) == 0
        assert not workers(quick)
    finally:
        for process in processes_of(quick):
            process.kill()
        server.close()


def test_decisions_are_printed_as_json_one_a_line(quick: Place) -> None:
    quick.home.mkdir()
    with ledger(quick):
        pass
    scaler = quick.start("autoscale", "--min", "1", "--max", "1", "--json")
    wait_until(lambda: workers(quick))
    scaler.send_signal(signal.SIGINT)
    assert scaler.wait(60) == 0
    lines = [json.loads(line) for line in (quick.folder / "output.log").read_text().splitlines()]
    assert [(line["cause"], line["wanted"]) for line in lines] == [("least", 1), ("stopping", 0)]
    assert quick.json("fleet", "--decisions") == lines


def test_a_study_that_was_searched_can_be_replayed(quick: Place) -> None:
    quick.write("slow.py", families.SLOW)
    quick.write("slow.yaml", specs.slow(trials=6, seconds=0.1))
    assert quick.run("run", "slow.yaml", "--workers", "1").returncode == 0
    plan = ("autoscale", "--plan", "study:slow", "--within", "1", "--max", "4")
    replayed = quick.json(*plan)
    assert (replayed["tasks"], replayed["done"]) == (7, 7)  # with the refit
    assert 1 <= replayed["most"] <= 4
    assert replayed["decisions"][-1]["cause"] == "shrinking"
    text = quick.run(*plan)
    assert text.returncode == 0
    assert "7 tasks of 10 s each (assumed, none has ended yet) wait" in text.stdout
    unknown = quick.run("autoscale", "--plan", "study:nothing")
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--min", "5", "--max", "4"), "the least must not be above the most"),
        (("--study", "nothing"), "nothing"),
        (("--budget", "0"), "budget"),
        (("--within", "nan"), "is not a number"),
    ],
    ids=["bounds", "study", "budget", "nan"],
)
def test_what_cannot_be_is_refused_in_a_line(
    quick: Place, args: tuple[str, ...], said: str
) -> None:
    quick.home.mkdir()
    with ledger(quick):
        pass
    refused = quick.run("autoscale", *args)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert said in refused.stderr
    assert decisions(quick) == []


def test_in_a_new_home_it_waits_for_what_is_submitted(place: Place) -> None:
    scaler = place.start("autoscale", *QUICK)
    wait_until((place.home / "ledger.db").exists)
    wait_until(lambda: [each.cause for each in decisions(place)] == ["none"])
    scaler.send_signal(signal.SIGTERM)
    assert scaler.wait(30) == 0
