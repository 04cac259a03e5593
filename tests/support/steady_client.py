"""A client in a pod that asks an Endpoint all the time, over connections that it keeps.

It is sent to a pod as text, and there has the standard library alone. It asks until its standard
input ends, and then prints what it has seen. A connection is closed where the server says so, as
HTTP asks; whatever else keeps an answer away is a failure, and nothing is tried again.
"""

from __future__ import annotations

import http.client
import json
import random
import ssl
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Connection:
    """One connection, and what came over it."""

    host: str
    port: int
    path: str
    token: str
    columns: list[str]
    pause: float
    certificate: str = ""
    revisions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def ask_until(self, ended: threading.Event) -> None:
        """Ask one row after another."""
        connection = self._connection()
        while not ended.wait(self.pause):
            began = time.monotonic()
            try:
                self._ask(connection)
            except (OSError, http.client.HTTPException) as error:
                self._fail(repr(error))
                connection.close()
            self.slowest = max(self.slowest, time.monotonic() - began)

    def _connection(self) -> http.client.HTTPConnection:
        if not self.certificate:
            return http.client.HTTPConnection(self.host, self.port, timeout=60)
        context = ssl.create_default_context(cadata=self.certificate)
        return http.client.HTTPSConnection(self.host, self.port, timeout=60, context=context)

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        row = {name: random.uniform(-0.1, 0.1) for name in self.columns}
        headers = {"authorization": f"Bearer {self.token}"}
        connection.request("POST", self.path, json.dumps({"rows": [row]}), headers)
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace")
        if answer.status == http.HTTPStatus.OK:
            self.revisions[answer.headers["fairlead-revision"]] += 1
        else:
            self._fail(f"{answer.status} {said[:300]}")

    def _fail(self, why: str) -> None:
        self.failures.append(f"{time.strftime('%H:%M:%S')} {why}")


def main() -> None:
    """Ask until standard input ends."""
    asked, ended = json.loads(sys.stdin.readline()), threading.Event()
    connections = [Connection(**asked["each"]) for _ in range(asked["connections"])]
    threads = [threading.Thread(target=one.ask_until, args=(ended,)) for one in connections]
    for each in threads:
        each.start()
    _write("asking")
    sys.stdin.read()
    ended.set()
    for each in threads:
        each.join()
    kept = ("revisions", "failures", "slowest")
    _write(json.dumps([{key: getattr(one, key) for key in kept} for one in connections]))


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


main()
