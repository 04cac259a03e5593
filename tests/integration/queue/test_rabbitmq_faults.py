"""What a queue does while its broker is stopped, killed, silent, strict, or not to be let in to."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.support import rabbitmq
from tests.support.ports import free_ports
from tests.support.rabbitmq import Broker, Operator
from tests.support.waiting import DEADLINE, wait_until

from fairlead.errors import Invalid, Unreachable
from fairlead.queue.interface import Delivery, Hint, Queue
from fairlead.queue.rabbitmq import Limits, open_queue

HINT = Hint(study="ab" * 8, ready=2)
HELD = 2_000
"""Milliseconds that the broker lets a consumer hold a message."""

YOUNG = 2.0
"""Seconds after which a queue survives kill -9; RabbitMQ 3.10 does not find one of 0.3 s again."""

Open = Callable[..., Queue]


def certificates(folder: Path) -> None:
    """An authority, and a certificate for 127.0.0.1 that it signed."""
    folder.mkdir()
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout"]
    signed = ["openssl", "x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key"]
    for command in (
        [*new, "ca.key", "-x509", "-days", "2", "-subj", "/CN=test", "-out", "ca.pem"],
        [*new, "key.pem", "-subj", "/CN=localhost", "-out", "request"],
        [*signed, "-days", "2", "-extfile", "names", "-out", "cert.pem"],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls") / "files"
    certificates(folder)
    return folder


@pytest.fixture(scope="module")
def tls_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, tls: Path, tls_port: int) -> Iterator[Broker]:
    config = f"""
listeners.ssl.default = 127.0.0.1:{tls_port}
ssl_options.cacertfile = {tls}/ca.pem
ssl_options.certfile = {tls}/cert.pem
ssl_options.keyfile = {tls}/key.pem
"""
    advanced = f"[{{rabbit, [{{consumer_timeout, {HELD}}}, {{channel_tick_interval, 500}}]}}]."
    folder = tmp_path_factory.mktemp("rabbitmq") / "broker"
    with rabbitmq.running(folder, config=config, advanced=advanced) as broker:
        yield broker


@pytest.fixture
def broker(started: Broker) -> Iterator[Broker]:
    """It runs when the test begins, whatever the one before did with it."""
    if not started.runs:
        started.start()
    yield started
    if started.runs:
        started.resume()


@pytest.fixture
def url(broker: Broker) -> str:
    return rabbitmq.own_names(f"{broker.url}?heartbeat=1&connection_timeout=2")


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def opened(url: str, notices: list[str]) -> Iterator[Open]:
    with contextlib.ExitStack() as stack:

        def opened(at: str = url, **more: Any) -> Queue:
            queue = open_queue(at, notice=notices.append, **more)
            stack.callback(queue.close)
            return queue

        yield opened


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as threads:
        yield threads


def announced(queue: Queue) -> bool:
    try:
        queue.announce(HINT)
    except Unreachable:
        return False
    return True


def heard(queue: Queue) -> Delivery:
    """The next hint, however often the queue has to be asked."""
    delivery: Delivery = wait_until(lambda: queue.next(1.0))
    return delivery


@pytest.mark.parametrize("end", [Broker.terminate, Broker.kill], ids=["SIGTERM", "kill -9"])
def test_who_waits_while_the_broker_is_restarted_hears_the_next_hint(
    broker: Broker,
    opened: Open,
    notices: list[str],
    pool: ThreadPoolExecutor,
    end: Callable[[Broker], None],
) -> None:
    teller, hearer = opened(), opened()
    assert announced(teller)
    hearer.acknowledge(heard(hearer))
    assert hearer.next(YOUNG) is None
    waiting = pool.submit(hearer.next, DEADLINE)
    end(broker)
    assert hearer.next(0.0) is None
    wait_until(lambda: len(notices) >= 2)
    broker.start()
    wait_until(lambda: announced(teller), every=0.1)
    delivery = waiting.result(DEADLINE)
    assert delivery is not None
    assert delivery.hint == HINT
    assert [one for one in notices if "is back" in one]


@pytest.mark.parametrize("end", [Broker.terminate, Broker.kill], ids=["SIGTERM", "kill -9"])
def test_what_was_confirmed_is_there_after_a_restart(
    broker: Broker,
    url: str,
    opened: Open,
    pool: ThreadPoolExecutor,
    end: Callable[[Broker], None],
) -> None:
    """The broker ends while somebody publishes without pause."""
    teller = opened(limits=Limits(length=1_000_000))
    assert announced(teller)
    confirmed: list[bool] = [True]
    began = time.monotonic()
    stop = threading.Event()

    def publish() -> None:
        while not stop.is_set():
            confirmed.append(announced(teller))

    publishing = pool.submit(publish)
    wait_until(lambda: time.monotonic() - began > YOUNG)
    end(broker)
    wait_until(lambda: not confirmed[-1])
    stop.set()
    publishing.result(DEADLINE)
    broker.start()
    operator = Operator(url)
    wait_until(lambda: operator.count(operator.tasks) >= confirmed.count(True))
    operator.connection.close()


def test_a_broker_that_is_away_is_polled_past_in_the_time_that_is_asked_for(
    broker: Broker, opened: Open, notices: list[str]
) -> None:
    broker.terminate()
    queue = opened()
    began = time.monotonic()
    assert queue.next(0.5) is None
    assert 0.45 < time.monotonic() - began < 5
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"does not answer: Connection refused$"):
        queue.announce(HINT)
    assert time.monotonic() - began < 1
    (notice,) = set(notices)
    assert "does not answer: Connection refused; workers look into the ledger" in notice


def test_a_broker_that_answers_nothing_holds_nobody_up(
    broker: Broker, opened: Open, notices: list[str]
) -> None:
    """Its machine hangs: connections stay open, and nothing comes."""
    queue = opened(patience=0.5)
    assert announced(queue)
    queue.acknowledge(heard(queue))
    broker.pause()
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"did not confirm a hint within 0\.5 s"):
        queue.announce(HINT)
    assert queue.next(0.5) is None
    assert time.monotonic() - began < 5
    wait_until(lambda: notices)  # the heartbeat says that it is gone
    assert not announced(queue)
    broker.resume()
    wait_until(lambda: announced(queue), every=0.1)
    heard(queue)


def test_a_broker_short_of_memory_takes_no_hints_until_it_has_some(
    broker: Broker, opened: Open, notices: list[str]
) -> None:
    """It leaves connections open, says that they are blocked, and goes on delivering."""
    teller, hearer = opened(patience=0.5), opened()
    assert announced(teller)
    broker.control("set_vm_memory_high_watermark", "0.000001")
    try:
        wait_until(lambda: not announced(teller), every=0.1)
        hearer.acknowledge(heard(hearer))
    finally:
        broker.control("set_vm_memory_high_watermark", "0.4")
    wait_until(lambda: announced(teller), every=0.1)
    assert notices == []


def test_a_queue_is_closed_though_the_broker_answers_nothing(broker: Broker, opened: Open) -> None:
    queue = opened(patience=0.5)
    assert announced(queue)
    broker.pause()
    began = time.monotonic()
    queue.close()
    assert time.monotonic() - began < 5


def test_a_hint_held_too_long_costs_the_channel_and_comes_back(
    opened: Open, notices: list[str]
) -> None:
    """pika says nothing of a channel that the broker closed."""
    queue = opened()
    assert announced(queue)
    late = queue.next(DEADLINE)
    assert late is not None
    wait_until(lambda: any("is back" in one for one in notices))
    assert "closed the channel" in notices[0]
    queue.acknowledge(late)  # which the broker has back already
    again = heard(queue)
    queue.acknowledge(again)
    assert announced(queue)
    queue.acknowledge(heard(queue))
    assert queue.next(0.3) is None


def test_who_waits_or_works_longer_than_a_hint_may_be_held_loses_nothing(
    opened: Open, notices: list[str], pool: ThreadPoolExecutor
) -> None:
    teller, waiter, worker = opened(), opened(), opened()
    assert announced(teller)
    worker.acknowledge(heard(worker))
    waiting = pool.submit(waiter.next, DEADLINE)
    assert teller.next(0.0) is None
    with pytest.raises(TimeoutError):
        waiting.result(3 * HELD / 1000)
    assert announced(teller)
    assert waiting.result(DEADLINE) is not None
    assert notices == []


def test_a_worker_that_is_busy_keeps_its_connection(
    opened: Open, notices: list[str], pool: ThreadPoolExecutor
) -> None:
    """Longer than two heartbeats, in which its owner does not look at the queue."""
    busy = opened()
    assert announced(busy)
    busy.acknowledge(heard(busy))
    busy_for = pool.submit(threading.Event().wait, 4.0)
    assert not busy_for.result(DEADLINE)
    assert announced(busy)
    assert notices == []


def test_a_wrong_password_is_one_clear_line(
    broker: Broker, opened: Open, notices: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    queue = opened(broker.url.replace("guest:guest", "guest:secret-7"))
    wait_until(lambda: notices)
    said = (
        f"RabbitMQ at amqp://guest@127.0.0.1:{broker.port} refused user 'guest' or its password: "
        "correct $FAIRLEAD_QUEUE, or the file that it names"
    )
    with pytest.raises(Unreachable) as caught:
        queue.announce(HINT)
    assert (str(caught.value), caught.value.code) == (said, "queue_refused")
    wait_until(lambda: queue.next(1.0) is None)
    assert notices == [f"{said}; workers look into the ledger meanwhile"]
    assert capfd.readouterr() == ("", "")


def test_a_virtual_host_that_is_not_there_is_one_clear_line(
    broker: Broker, opened: Open, notices: list[str]
) -> None:
    opened(f"{broker.url}/nowhere")
    wait_until(lambda: notices)
    assert "refused virtual host 'nowhere': it is not there, or user 'guest' may not" in notices[0]


def test_a_password_in_a_file_is_read_again_when_it_was_changed(
    broker: Broker, opened: Open, notices: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("old\n")
    queue = opened(f"{broker.url.replace(':guest@', '@')}?password_file={file}")
    wait_until(lambda: notices)
    file.write_text("guest\n")
    wait_until(lambda: announced(queue), every=0.1)


def test_over_tls_with_the_authority_in_a_file(opened: Open, tls: Path, tls_port: int) -> None:
    url = f"amqps://guest:guest@127.0.0.1:{tls_port}?cacertfile={quote(str(tls / 'ca.pem'))}"
    queue = opened(rabbitmq.own_names(url))
    wait_until(lambda: announced(queue), every=0.1)
    assert heard(queue).hint == HINT


def test_a_certificate_that_nobody_vouches_for_is_refused(
    opened: Open, tls_port: int, notices: list[str]
) -> None:
    queue = opened(f"amqps://guest:guest@127.0.0.1:{tls_port}")
    wait_until(lambda: notices)
    with pytest.raises(Unreachable, match=r"could not agree on TLS: .*certificate") as caught:
        queue.announce(HINT)
    assert caught.value.code == "queue_refused"


def test_files_that_are_missing_are_refused_at_once(tmp_path: Path) -> None:
    host = "guest@127.0.0.1"
    with pytest.raises(Invalid, match=r"cannot read the password of amqp://.* from .*: No such"):
        open_queue(f"amqp://{host}?password_file={tmp_path}/none", notice=print)
    with pytest.raises(Invalid, match=r"cannot read the certificates '.*none' for amqps://"):
        open_queue(f"amqps://{host}?cacertfile={tmp_path}/none", notice=print)


def test_without_pika_a_line_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['pika'] = None\n"
        "from fairlead.errors import Invalid\n"
        "try: import fairlead.queue.rabbitmq\n"
        "except Invalid as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "$FAIRLEAD_QUEUE needs a library that is not installed: pip install 'fairlead[rabbitmq]'\n"
    )
