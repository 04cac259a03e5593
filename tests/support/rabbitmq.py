"""A RabbitMQ broker for the tests.

$FAIRLEAD_TEST_AMQP names one; else Debian's rabbitmq-server is started in a folder of its own, with
ports, a name, a cookie and an epmd of its own, so that it meets no other on the machine. All tests
of a session share one, under names of their own; those that stop it start another for themselves.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pika
import psutil
import pytest

from tests.lacking import lacking
from tests.support.homes import made_once
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

ENVIRONMENT = "FAIRLEAD_TEST_AMQP"
ERLANG = (
    "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
)
"""Few threads that do not spin; and the port of the distribution is not open to the network."""


def program() -> Path:
    """Debian's script itself: the one in the path changes the user and keeps fixed folders."""
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    if not found or shutil.which("epmd") is None:
        lacking(f"rabbitmq-server, or ${ENVIRONMENT} with the URL of a broker")
    return found[-1]


@dataclass(kw_only=True)
class Broker:
    """A private broker, which can be stopped and started again with what it keeps."""

    folder: Path
    config: str = ""
    advanced: str = ""
    port: int = field(init=False)
    _processes: list[subprocess.Popen[bytes]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.port, self._distribution, self._epmd = free_ports(3)
        for name in ("home", "mnesia", "log", "generated"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "enabled_plugins").write_text("[].")
        (self.folder / "rabbitmq-env.conf").touch()
        (self.folder / "rabbitmq.conf").write_text(self.config)
        (self.folder / "advanced.config").write_text(self.advanced or "[].")

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}"

    @property
    def _server(self) -> psutil.Process:
        """The broker itself, below the script that waits for it."""
        script = psutil.Process(self._processes[-1].pid)
        return next(one for one in script.children() if one.name() == "beam.smp")

    @property
    def runs(self) -> bool:
        """Whether there is one, be it paused."""
        return len(self._processes) > 1

    def start(self) -> None:
        """Start it, and wait until it lets somebody in."""
        script = program()
        if not self._processes:
            self._processes.append(
                self._started(["epmd", "-port", str(self._epmd), "-address", "127.0.0.1"])
            )
        self._processes.append(self._started([str(script)]))
        wait_until(self._answers, every=0.1)

    def kill(self) -> None:
        """End it with kill -9."""
        self._server.kill()
        self._processes.pop().wait()

    def terminate(self) -> None:
        """End it with SIGTERM."""
        self._server.terminate()
        self._processes.pop().wait()

    def pause(self) -> None:
        """Leave its connections open, and answer nothing."""
        self._server.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._server.send_signal(signal.SIGCONT)

    def control(self, *arguments: str) -> None:
        """What an operator does with rabbitmqctl, which takes seconds."""
        subprocess.run(
            [str(program().with_name("rabbitmqctl")), *arguments],
            env=self._environment(),
            cwd=self.folder,
            check=True,
            capture_output=True,
        )

    def close(self) -> None:
        """End it, and its epmd, by their ids."""
        while self._processes:
            process = self._processes.pop()
            if process.poll() is not None:  # its id may be another's by now
                continue
            for one in (*psutil.Process(process.pid).children(recursive=True), process):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()

    def _answers(self) -> bool:
        if self._processes[-1].poll() is not None:
            raise AssertionError((self.folder / "log" / "output").read_text())
        with contextlib.suppress(pika.exceptions.AMQPError):
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
            return True
        return False

    def _started(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "log" / "output").open("ab") as output:
            return subprocess.Popen(
                arguments,
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _environment(self) -> Mapping[str, str]:
        own = {
            "RABBITMQ_NODENAME": f"fairlead{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
            "RABBITMQ_BASE": "",
            "HOME": "home",
            "RABBITMQ_MNESIA_BASE": "mnesia",
            "RABBITMQ_LOG_BASE": "log",
            "RABBITMQ_LOGS": "log/node.log",
            "RABBITMQ_PID_FILE": "pid",
            "RABBITMQ_GENERATED_CONFIG_DIR": "generated",
            "RABBITMQ_CONF_ENV_FILE": "rabbitmq-env.conf",
            "RABBITMQ_CONFIG_FILE": "rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": "advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "enabled_plugins",
        }
        folders = {"RABBITMQ_BASE", "HOME"} | {
            name for name in own if name.endswith(("_BASE", "_LOGS", "_FILE", "_DIR"))
        }
        placed = {
            name: str(self.folder / value) if name in folders else value
            for name, value in own.items()
        }
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **placed}


class Operator:
    """What a person at the broker sees and does, by pika alone."""

    def __init__(self, url: str) -> None:
        plain, _, prefix = url.rpartition("prefix=")
        self.tasks, self.dead = f"{prefix}fairlead.tasks", f"{prefix}fairlead.dead"
        self.connection = pika.BlockingConnection(pika.URLParameters(plain.partition("?")[0]))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()

    def count(self, queue: str) -> int:
        """How many messages wait."""
        declared = self.channel.queue_declare(queue, passive=True)
        assert declared.method.message_count is not None
        return declared.method.message_count

    def consumers(self, queue: str) -> int:
        declared = self.channel.queue_declare(queue, passive=True)
        assert declared.method.consumer_count is not None
        return declared.method.consumer_count

    def put(self, body: bytes) -> None:
        self.channel.basic_publish("", self.tasks, body)

    def dead_letter(self) -> tuple[bytes, Mapping[str, Any]]:
        """The oldest one, once there is one."""

        def taken() -> Any:
            method, properties, body = self.channel.basic_get(self.dead, auto_ack=True)
            return method and (body, properties.headers if properties else {})

        found: tuple[bytes, Mapping[str, Any]] = wait_until(taken)
        return found


@contextlib.contextmanager
def running(folder: Path, *, config: str = "", advanced: str = "") -> Iterator[Broker]:
    """A broker of one test or module."""
    program()
    broker = Broker(folder=folder, config=config, advanced=advanced)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


def shared_url(factory: pytest.TempPathFactory) -> str:
    """The URL of the broker that all processes of a test session share."""
    if named := os.environ.get(ENVIRONMENT):
        return named
    program()
    return (made_once(factory, "rabbitmq", _start_shared) / "url").read_text()


def own_names(url: str) -> str:
    """The URL with a prefix that no other test has."""
    return f"{url}{'&' if '?' in url else '?'}prefix=test-{uuid.uuid4().hex[:12]}."


def _start_shared(folder: Path) -> None:
    """Start one that ends when the whole session does, which may have several processes."""
    session = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    with (folder / "output").open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.support.rabbitmq", str(folder), str(session)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def answers() -> bool:
        assert keeper.poll() is None, (folder / "output").read_text()
        return (folder / "url").exists()

    wait_until(answers)
    keeper.returncode = 0  # it outlives this process, which therefore does not wait for it


def _keep(folder: Path, session: int) -> None:
    with running(folder / "broker") as broker:
        (folder / "url.new").write_text(broker.url)
        (folder / "url.new").rename(folder / "url")
        while psutil.pid_exists(session):
            time.sleep(0.5)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), int(sys.argv[2]))
