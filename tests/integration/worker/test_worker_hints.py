"""An idle worker hears of tasks at once, where there is something that tells it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.support import rabbitmq
from tests.support.postgres import database
from tests.support.waiting import wait_until

from fairlead.errors import Invalid
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.queue.interface import Delivery, Hint
from fairlead.records import Claim, NewTask, Study, Trial
from fairlead.settings import Settings
from fairlead.stores import announcing, open_queue
from fairlead.worker import loop
from fairlead.worker.loop import Worker

STUDY = Study(id="a" * 16, name="s", spec="{}", table="7" * 64, size=100)


class Idle(Worker):
    """A worker that only claims, and tells what."""

    def __init__(self, **how: object) -> None:
        super().__init__(**how)  # type: ignore[arg-type] # as a Worker's
        self.claims: list[Claim] = []

    def _execute_all(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        self.claims.extend(claims)
        return ()


@pytest.fixture(params=["postgresql", "rabbitmq"])
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    if request.param == "rabbitmq":
        queue = rabbitmq.own_names(rabbitmq.shared_url(tmp_path_factory))
        yield Settings(home=tmp_path, ledger=f"sqlite:///{tmp_path}/ledger.db", queue=queue)
        return
    with database(request.getfixturevalue("postgres")) as url:
        yield Settings(home=tmp_path, ledger=url)


@pytest.mark.parametrize("study", [None, STUDY.id], ids=["any study", "one study"])
def test_a_worker_that_would_look_in_a_minute_takes_a_task_at_once(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: str | None
) -> None:
    monkeypatch.setattr(loop, "_SOONEST", 60.0)
    monkeypatch.setattr(loop, "_LATEST_WITH_QUEUE", 60.0)
    with open_ledger(settings.ledger_url) as ledger:
        ledger.studies.open(STUDY)
        queue = open_queue(settings, notice=lambda _: None, study=study or "")
        assert queue
        worker = Idle(
            name="w",
            ledger=ledger,
            artifacts="",
            cache=None,
            lease=60.0,
            queue=queue,
        )
        worker.study = study
        monkeypatch.setattr(worker, "_open_ahead", lambda _: None)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            with announcing(settings, notice=lambda _: None, study=STUDY.id) as tell:
                for number in range(3):
                    add(ledger, number)
                    began = time.monotonic()
                    told_until_heard(worker, number + 1, tell)
                    assert time.monotonic() - began < 20
        finally:
            worker.stop.ask()
            thread.join(20)
            queue.close()
        assert not thread.is_alive()


def add(ledger: Ledger, number: int) -> None:
    trial = Trial(number=number, family="f", params={})
    ledger.tasks.add(STUDY.id, [NewTask(kind="trials", trials=(trial,))])


def told_until_heard(worker: Idle, count: int, tell: object) -> None:
    """A hint may be lost, as while the worker begins to listen: it is told again."""

    def heard() -> bool:
        assert callable(tell)
        tell(1)
        wait_for_a_moment(lambda: len(worker.claims) >= count)
        return len(worker.claims) >= count

    wait_until(heard, every=0.1)


def wait_for_a_moment(condition: object) -> None:
    assert callable(condition)
    until = time.monotonic() + 0.5
    while time.monotonic() < until and not condition():
        time.sleep(0.01)


def test_a_hint_is_acknowledged_once_the_ledger_was_asked(tmp_path: Path) -> None:
    order: list[str] = []

    class One:
        """A queue with one hint."""

        left = 1

        def next(self, timeout: float) -> Delivery | None:
            if not self.left:
                worker.stop.ask()
                return None
            self.left -= 1
            order.append("heard")
            return Delivery(hint=Hint(study=STUDY.id))

        def acknowledge(self, _: Delivery) -> None:
            order.append("acknowledged")

        def announce(self, _: Hint) -> None:
            raise AssertionError

        def close(self) -> None:
            raise AssertionError

    with open_ledger(tmp_path / "ledger.db") as ledger:
        ledger.studies.open(STUDY)
        worker = Idle(name="w", ledger=ledger, artifacts="", cache=None, lease=60.0, queue=One())
        claim = ledger.tasks.claim

        def claimed(*given: object, **how: object) -> Claim | None:
            order.append("claim")
            return claim(*given, **how)  # type: ignore[arg-type] # as they were given

        ledger.tasks.claim = claimed  # type: ignore[method-assign] # to see when it is called
        worker.run()
    assert order == ["claim", "heard", "claim", "acknowledged"]


def test_no_queue_is_opened_where_there_is_none(tmp_path: Path) -> None:
    for settings in (
        Settings(home=tmp_path),
        Settings(home=tmp_path, ledger="postgresql://h/d", queue="none"),
    ):
        assert open_queue(settings, notice=lambda _: None) is None
        with announcing(settings, notice=lambda _: None, study="s") as tell:
            tell(1)
    with pytest.raises(Invalid, match=r"\$FAIRLEAD_QUEUE: it must be a URL like amqp://"):
        open_queue(Settings(home=tmp_path, queue="kafka://h"), notice=lambda _: None)
