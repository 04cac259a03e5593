"""The control API is restarted under 50 clients that follow the history."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.integration.api.conftest import Home, Served
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

CLIENTS = 50


@dataclass
class Client:
    """Follows a study, and comes back with the id of the last line that it has as a whole."""

    port: int
    over: threading.Event
    ids: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    connections: int = 0

    def follow(self) -> None:
        while not self.over.is_set():
            with suppress(OSError, http.client.HTTPException):
                self._connected()
            self.over.wait(0.1)

    def _connected(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            headers = {"Last-Event-ID": str(self.ids[-1])} if self.ids else {}
            connection.request("GET", "/api/v1/events?study=sums", headers=headers)
            answer = connection.getresponse()
            if answer.status == 200:
                self.connections += 1
                self._read(answer)
        finally:
            connection.close()

    def _read(self, answer: http.client.HTTPResponse) -> None:
        event: dict[str, Any] = {}
        while not self.over.is_set() and (line := answer.readline()):
            if line.startswith(b"data: ") and line.endswith(b"\n"):
                event = json.loads(line.removeprefix(b"data: "))
            elif line == b"\n" and event:
                self.ids.append(event["id"])
                self.kinds.append(event["kind"])
                event = {}


def test_each_client_gets_each_line_once_and_in_order(home: Home) -> None:
    (port,) = free_ports(1)
    served = home.serve("--no-controller", "--port", str(port))
    over = threading.Event()
    clients = [Client(port, over) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=client.follow) for client in clients]
    with home.stores() as stores:
        study = stores.ledger.studies.get("sums").id
        written = 0

        def write(many: int) -> None:
            nonlocal written
            for _ in range(many):
                stores.ledger.studies.prioritize(study, written)
                written += 1

        def connected(times: int) -> Callable[[], bool]:
            return lambda: all(client.connections >= times for client in clients)

        for thread in threads:
            thread.start()
        try:
            wait_until(connected(1))
            for times, end in enumerate((Served.stop, killed, Served.stop), start=2):
                write(40)
                end(served)
                write(20)  # nobody hears of these
                served = home.serve("--no-controller", "--port", str(port))
                wait_until(connected(times))
            write(20)
            last = stores.ledger.histories.last()
            wait_until(lambda: all(client.ids[-1] == last for client in clients))
        finally:
            over.set()
            served.process.kill()
            for thread in threads:
                thread.join()
        lines = stores.ledger.histories.lines(after=0, upto=last, limit=5000, study=study)
    wanted = [line.id for line in lines]
    assert all(client.ids == wanted for client in clients)
    assert clients[0].kinds.count("prioritized") == written == 200


def killed(served: Served) -> None:
    served.process.kill()
    served.process.wait()
