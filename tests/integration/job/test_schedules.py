"""Champions that are trained again regularly, by controllers that are there or are not."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fairlead.ledger.store import open_ledger
from fairlead.records import Schedule
from tests.integration.job.conftest import Place
from tests.support.waiting import wait_until

SPEC = """
name: line
data: {source: rows.csv, target: y}
search:
  method: grid
  folds: 2
  over: [{family: sklearn.linear_model:Ridge, params: {alpha: [0.1, 1.0]}}]
promote: {when: always}
"""


def rows(count: int) -> str:
    draw = random.Random(count)
    lines = [f"{x},{2 * x + draw.gauss(0, 0.1)}" for x in (draw.random() for _ in range(count))]
    return "x,y\n" + "\n".join(lines) + "\n"


@pytest.fixture
def trained(place: Place) -> Place:
    """Where the model has a champion."""
    place.write("rows.csv", rows(200))
    done = place.run("run", str(place.write("line.yaml", SPEC)))
    assert done.returncode == 0, done.stderr
    place.environ |= {"FAIRLEAD_LEASE": "2"}
    return place


def schedule_of(place: Place) -> Schedule:
    with open_ledger(place.home / "ledger.db") as ledger:
        return ledger.schedules.get("line")


def make_due(place: Place) -> float:
    """Let the next time be now; returns when that was."""
    with open_ledger(place.home / "ledger.db") as ledger:
        now = ledger.now()
        ledger.schedules.put(replace(ledger.schedules.get("line"), first=now, due=now))
        return now


def came_of(place: Place, due: float) -> Schedule:
    """The schedule, once something has come of this due time."""

    def over() -> Schedule | None:
        schedule = schedule_of(place)
        return schedule if schedule.noted is not None and schedule.noted >= due else None

    found: Schedule = wait_until(over)
    return found


def runs(place: Place) -> list[str]:
    """The states of the runs, the oldest first."""
    with open_ledger(place.home / "ledger.db") as ledger:
        return [run.state for run in reversed(ledger.runs.all())]


def test_a_due_run_is_begun_gated_and_promoted_and_then_only_where_the_data_has_changed(
    trained: Place,
) -> None:
    (trained.folder / "rows.csv").write_text(rows(300))
    made = trained.run("retrain", "line", "--every", "1d")
    assert made.returncode == 0, made.stderr
    assert made.stdout == "line: every 1d, first at once\n"
    assert "must be on a disk that they share" in made.stderr
    controller = trained.start("controller", "--workers", "1")
    wait_until(lambda: runs(trained) == ["done", "done"])
    (listed,) = trained.json("schedules")
    assert listed["run"]["verdict"]["decision"] == "promote"
    assert listed["schedule"]["due"] == listed["schedule"]["first"] + 86400
    assert trained.json("models")[0]["champion"] == 2
    assert "done: promote" in " ".join(trained.run("schedules").stdout.split())

    unchanged = came_of(trained, make_due(trained))
    assert unchanged.outcome == "unchanged"
    assert unchanged.reason == "the data is what the champion was trained on"

    (trained.folder / "rows.csv").unlink()
    failed = came_of(trained, make_due(trained))
    assert failed.outcome == "failed"
    assert "data.source: 'rows.csv' is not there" in failed.reason
    assert failed.due == failed.first + 86400
    assert runs(trained) == ["done", "done"]
    controller.send_signal(signal.SIGTERM)
    assert controller.wait(60) == 0


def test_none_begins_while_the_last_run_goes_on(trained: Place) -> None:
    (trained.folder / "rows.csv").write_text(rows(300))
    assert trained.run("retrain", "line", "--every", "1h").returncode == 0
    trained.start("controller")  # and no worker: the run waits
    run = came_of(trained, 0.0).run
    skipped = came_of(trained, make_due(trained))
    assert (skipped.outcome, skipped.run) == ("skipped", run)
    assert skipped.reason == f"run {run} still goes on"
    assert runs(trained) == ["done", "running"]


@dataclass
class Gate:
    """A server whose answer waits until it is opened."""

    url: str
    content: bytes
    status: int = 200
    asked: list[str] = field(default_factory=list)
    opened: threading.Event = field(default_factory=threading.Event)


@contextmanager
def served(content: bytes) -> Iterator[Gate]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            gate.asked.append(self.path)
            gate.opened.wait()
            self.send_response(gate.status)
            self.send_header("Content-Length", str(len(gate.content)))
            self.end_headers()
            self.wfile.write(gate.content)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    gate = Gate(f"http://127.0.0.1:{server.server_port}/rows.csv", content)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield gate
    finally:
        gate.opened.set()
        server.shutdown()
        server.server_close()


def test_a_url_is_asked_for_the_data_of_today_each_time(trained: Place) -> None:
    trained.environ |= {"FAIRLEAD_ALLOW_PRIVATE_URLS": "1"}
    with served(rows(200).encode()) as gate:
        gate.opened.set()
        made = trained.run("retrain", "line", "--every", "1d", "--data", gate.url)
        assert made.returncode == 0, made.stderr
        trained.start("controller", "--workers", "1")
        wait_until(lambda: runs(trained) == ["done", "done"])
        assert came_of(trained, make_due(trained)).outcome == "unchanged"
        gate.content = rows(300).encode()
        assert came_of(trained, make_due(trained)).outcome == "began"
        wait_until(lambda: runs(trained) == ["done", "done", "done"])
        gate.status = 503
        failed = came_of(trained, make_due(trained))
        assert failed.outcome == "failed"
        assert "answers 503" in failed.reason
        assert failed.noted is not None
        assert failed.due < failed.noted + 3600  # a server may be back soon
        once = trained.run("retrain", "line", "--data", gate.url)
        assert once.returncode == 1
        assert "answers 503" in once.stderr
        assert runs(trained) == ["done", "done", "done"]


def test_of_two_controllers_one_begins_it_also_where_the_one_that_was_about_to_is_killed(
    trained: Place,
) -> None:
    with served(rows(300).encode()) as gate:
        trained.environ |= {"FAIRLEAD_ALLOW_PRIVATE_URLS": "1"}
        made = trained.run("retrain", "line", "--every", "1d", "--data", gate.url)
        assert made.returncode == 0, made.stderr
        assert "share" not in made.stderr
        first = trained.start("controller")
        wait_until(lambda: gate.asked)
        second = trained.start("controller")
        holder = schedule_of(trained).holder
        assert holder is not None
        first.kill()  # it holds the due time, and has begun nothing
        first.wait()
        wait_until(lambda: len(gate.asked) == 2)
        assert schedule_of(trained).holder not in {None, holder}
        third = trained.start("controller")
        gate.opened.set()
        wait_until(lambda: schedule_of(trained).outcome == "began")
        assert runs(trained) == ["done", "running"]
        assert len(gate.asked) == 2
        for controller in (second, third):
            controller.send_signal(signal.SIGTERM)
            assert controller.wait(60) == 0


def test_what_a_client_of_a_server_schedules_reads_nothing_of_the_controllers_machine(
    trained: Place,
) -> None:
    """Its schedule has no folder: the server took it away."""
    trained.environ |= {"FAIRLEAD_ALLOW_PRIVATE_URLS": "1"}  # for those at the machine
    with served(rows(300).encode()) as gate, open_ledger(trained.home / "ledger.db") as ledger:
        gate.opened.set()
        trained.start("controller")
        for source, said in (
            (str(trained.folder / "rows.csv"), "is a path"),
            (gate.url, "http://"),
            (None, "'rows.csv' is a path"),
        ):
            ledger.schedules.put(Schedule(model="line", every=86400.0, source=source))
            failed = came_of(trained, make_due(trained))
            assert failed.outcome == "failed"
            assert said in failed.reason
        assert gate.asked == []
    assert runs(trained) == ["done"]


FAMILY = """
import os, pathlib
from sklearn.linear_model import Ridge

with (pathlib.Path(os.environ["SEEN"])).open("a") as seen:
    print(os.getpid(), file=seen)


class Mine(Ridge):
    pass
"""


def test_a_models_own_code_runs_in_no_controller(place: Place) -> None:
    place.write("rows.csv", rows(200))
    place.write("mine.py", FAMILY)
    seen = place.folder / "seen"
    place.environ |= {"SEEN": str(seen)}
    spec = SPEC.replace("sklearn.linear_model:Ridge", "./mine.py:Mine")
    done = place.run("run", str(place.write("line.yaml", spec)))
    assert done.returncode == 0, done.stderr
    (place.folder / "rows.csv").write_text(rows(300))
    assert place.run("retrain", "line", "--every", "1d").returncode == 0
    seen.write_text("")
    controller = place.start("controller", "--workers", "1")
    wait_until(lambda: runs(place) == ["done", "done"])
    processes = set(seen.read_text().split())
    assert processes
    assert str(controller.pid) not in processes


def test_a_schedule_is_changed_paused_resumed_and_removed(trained: Place) -> None:
    trained.json("retrain", "line", "--every", "1d", "--at", "03:00")
    made = schedule_of(trained)
    assert made.due % 86400 == 3 * 3600
    assert trained.json("retrain", "line", "--every", "6h", "--deploy")["deploy"] is True
    assert trained.run("schedules", "pause", "line").returncode == 0
    assert trained.json("schedules")[0]["schedule"]["paused"] is True
    assert trained.run("schedules", "resume", "line").returncode == 0
    resumed = schedule_of(trained)
    assert not resumed.paused
    assert resumed.due == resumed.first + 6 * 3600  # what came meanwhile is left out
    wrong = trained.run("schedules", "remove", "lines")
    assert wrong.returncode == 2
    assert "model 'lines' has no schedule; did you mean 'line'?" in wrong.stderr
    assert trained.run("schedules", "remove", "line").returncode == 0
    assert trained.json("schedules") == []


def test_what_cannot_be_is_refused_at_once(trained: Place) -> None:
    for words, said in (
        (["lines", "--every", "1d"], "no model is called 'lines'"),
        (["line", "--every", "1d", "--data", "gone.csv"], "data.source: 'gone.csv' is not there"),
        (["line", "--every", "soon"], "give a time such as 30d, 12h or 90m"),
        (["line", "--every", "90000w"], "a schedule's interval must be 1 minute to 366 days"),
        (["line", "--every", "1d", "--at", "25:00"], "give a time of the day in UTC"),
        (["line", "--at", "03:00"], "--at needs --every"),
    ):
        done = trained.run("retrain", *words)
        assert done.returncode == 2
        assert said in done.stderr
    assert trained.json("schedules") == []
