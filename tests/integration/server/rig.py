"""A home with versions of one model, servers as a person starts them, and restless clients."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from onnx import TensorProto, helper

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.ledger.store import SqlLedger, open_ledger
from fairlead.records import Column, Deployment, Revision, Route
from fairlead.registry.registry import Registry
from fairlead.rollout.smoke_test import golden_rows
from fairlead.rollout.start import start_deployment
from fairlead.serving.proof import Golden
from fairlead.stores import Stores
from tests.integration.serving.making import ONE, adding, crafted
from tests.support.waiting import wait_until

MODEL = "sums"
DEADLINE = 60.0
GOLDEN = [1.0, 2.5, 7.0]
BEYOND = 1000.0  # numbers above it are none that any golden row has


# ---- models ---------------------------------------------------------------------------------


def failing_beyond() -> bytes:
    """Predicts the number, and NaN for what no golden row asks."""
    bound = helper.make_tensor("bound", TensorProto.FLOAT, [1], [BEYOND])
    nothing = helper.make_tensor("nothing", TensorProto.FLOAT, [1], [float("nan")])
    nodes = [
        helper.make_node("Reshape", ["numbers", "flat_shape"], ["flat"]),
        helper.make_node("Greater", ["flat", "bound"], ["beyond"]),
        helper.make_node("Where", ["beyond", "nothing", "flat"], ["prediction"]),
    ]
    return crafted(nodes, bound, nothing)


def slow(size: int = 900) -> bytes:
    """Predicts the number, after multiplying a large matrix with itself."""
    shape = helper.make_tensor("large_shape", TensorProto.INT64, [2], [size, size])
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
    nodes = [
        helper.make_node("Reshape", ["numbers", "flat_shape"], ["flat"]),
        helper.make_node("ReduceMax", ["flat"], ["one"], keepdims=0),
        helper.make_node("Expand", ["one", "large_shape"], ["large"]),
        helper.make_node("MatMul", ["large", "large"], ["product"]),
        helper.make_node("ReduceMax", ["product"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "zero"], ["none"]),
        helper.make_node("Add", ["flat", "none"], ["prediction"]),
    ]
    return crafted(nodes, shape, zero)


# ---- a home ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Home:
    """A home whose model has version 1, its champion."""

    path: Path
    ledger: SqlLedger

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.path / "artifacts")

    @property
    def stores(self) -> Stores:
        return Stores(ledger=self.ledger, artifacts=self.artifacts)

    def version(self, content: bytes, *, golden: float = 0.0, column: str = "number") -> int:
        """A further version with this ONNX form, which adds so much to the golden numbers."""
        version = self.ledger.versions.get(MODEL, 1)
        first = manifest.load(self.artifacts.get(version.manifest))
        asked = {
            "rows": [{column: number} for number in GOLDEN],
            "predictions": [number + golden for number in GOLDEN],
        }
        files = {
            **first.files,
            "model.onnx": self.artifacts.put(content),
            "golden.json": self.artifacts.put(json.dumps(asked).encode()),
        }
        signature = replace(ONE, columns=(Column(name=column, kind="number"),))
        candidate = replace(first, files=files, signature=signature)
        registry = Registry(self.ledger, self.artifacts)
        return registry.register(candidate, model=MODEL, size=version.size).number

    def good(self, number: int = 1) -> int:
        """A version that predicts, but for a thousandth, what the first does."""
        return self.version(adding(number / 1024), golden=number / 1024)

    def deploy(self, version: int, *steps: int) -> Deployment:
        return start_deployment(self.stores, MODEL, version=version, steps=steps or (100,))

    def ended(self, deployment: Deployment, *, seconds: float = DEADLINE) -> Deployment:
        def state() -> Deployment | None:
            now = self.ledger.deployments.get(MODEL, deployment.number)
            return now if now.state != "running" else None

        found: Deployment = wait_until(state, seconds=seconds)
        return found

    def reason(self) -> str:
        """What the last deployment says."""
        return self.ledger.deployments.get(MODEL).reason

    def route(self) -> Route:
        route = self.ledger.routes.current(MODEL)
        assert route is not None
        return route

    def revision(self, name: str) -> Revision:
        return next(one for one in self.ledger.routes.revisions(MODEL) if one.name == name)

    def golden(self, name: str) -> Golden:
        version = self.ledger.versions.get(MODEL, int(name.removeprefix("v")))
        candidate = Registry(self.ledger, self.artifacts).candidate(version)
        return golden_rows(candidate, self.artifacts)

    def followed(self) -> bool:
        """Whether every server follows the route in force."""
        servers, route = self.ledger.servers.alive(), self.ledger.routes.current(MODEL)
        return bool(servers) and all(
            route is not None and one.routes.get(MODEL) == route.number for one in servers
        )


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Home]:
    with open_ledger(path / "ledger.db") as ledger:
        yield Home(path=path, ledger=ledger)


# ---- servers --------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Served:
    """A `fairlead serve`."""

    child: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        return self.log.read_text()

    @property
    def url(self) -> str:
        """Where it listens; waits until it does."""

        def found() -> str | None:
            assert self.child.poll() is None, self.text
            address = re.search(r"http://[\w.:\[\]]+", self.text)
            return address.group() if address else None

        url: str = wait_until(found)
        return url

    def processes(self) -> list[psutil.Process]:
        """Its serving processes."""
        return [one for one in self.children() if "fairlead.serving.process" in _words(one)]

    def has_replaced(self, process: psutil.Process) -> bool:
        """Whether this one has gone and there are two again."""
        serving = self.processes()  # looked up once: between two looks it may die
        return len(serving) == 2 and process not in serving

    def checker(self) -> psutil.Process | None:
        """The process of a check, if there is one now."""
        found = (one for one in self.children() if "fairlead.serving.check" in _words(one))
        return next(found, None)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.child.pid).children()

    def said(self, words: str) -> bool:
        return words in self.text

    def ask(self, number: float = 1.0, *, revision: str | None = None) -> tuple[int, Any]:
        """One row, over a connection of its own."""
        with contextlib.closing(_connected(self.url)) as connection:
            return _asked(connection, number, revision)

    def status(self, path: str) -> int | None:
        """How a page is answered; None where it is not within a second."""
        parts = urlsplit(self.url)
        client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=1)
        with contextlib.suppress(OSError), contextlib.closing(client):
            client.request("GET", path)
            return client.getresponse().status
        return None

    def answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask()[0] == 200
        return False

    def end(self, number: int = signal.SIGTERM) -> int:
        self.child.send_signal(number)
        return self.child.wait(DEADLINE)


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return process.cmdline()
    return []


@contextlib.contextmanager
def serving(home: Home, *args: str, **environ: str) -> Iterator[Served]:
    """A server of this home at a port of its own."""
    with started(home, *args, **environ) as served:
        wait_until(lambda: served.child.poll() is not None or home.followed())
        assert served.child.poll() is None, served.text
        yield served


@contextlib.contextmanager
def started(home: Home, *args: str, **environ: str) -> Iterator[Served]:
    """The same, without waiting until it answers."""
    log = home.path / f"serve-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "fairlead", "--home", str(home.path), "serve", "--port", "0"]
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*command, "--processes", "2", *args],
            stdout=output,
            stderr=output,
            env={**os.environ, **environ},
            start_new_session=True,
        )
    served = Served(child=child, log=log)
    try:
        yield served
    finally:
        _end_all(child)


def _end_all(child: subprocess.Popen[bytes]) -> None:
    family = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(child.pid).children(recursive=True)
    if child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(15)
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    child.kill()
    child.wait()


# ---- clients --------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Load:
    """What clients that ask one row after another were answered."""

    answers: Counter[tuple[int, str]] = field(default_factory=Counter)  # by status and revision
    broken: list[str] = field(default_factory=list)  # requests that were not answered

    @property
    def total(self) -> int:
        return sum(self.answers.values())

    @property
    def failed(self) -> Mapping[tuple[int, str], int]:
        return {key: count for key, count in self.answers.items() if key[0] != 200}

    def by(self, revision: str) -> int:
        return sum(count for key, count in self.answers.items() if key[1] == revision)


@contextlib.contextmanager
def load(
    url: str,
    *,
    clients: int = 3,
    number: float = 5.0,
    every: float = 0.002,
    afresh: bool = False,
    revision: str | None = None,
) -> Iterator[Load]:
    """Clients that ask until the end, for numbers up to 4 away from this one.

    Args:
        url: Of the server.
        clients: How many.
        number: The middle of what they ask.
        every: Seconds between two requests of one.
        afresh: Over a new connection each time.
        revision: That they ask for by name.
    """
    found, over = Load(), threading.Event()
    threads = [
        threading.Thread(
            target=_keep_asking, args=(url, found, over, number, every, afresh, revision)
        )
        for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _keep_asking(  # noqa: PLR0917 - a thread passes its arguments so
    url: str,
    found: Load,
    over: threading.Event,
    number: float,
    every: float,
    afresh: bool,  # noqa: FBT001 - a thread's arguments
    revision: str | None,
) -> None:
    connection, draw = _connected(url), random.Random(threading.get_ident())
    while not over.wait(every):
        try:
            status, answer = _asked(connection, number + draw.uniform(-4, 4), revision)
            found.answers[status, str(answer.get("revision", ""))] += 1
            if not afresh:
                continue
        except (OSError, http.client.HTTPException) as error:
            found.broken.append(repr(error))
        connection.close()
        connection = _connected(url)
    connection.close()


def _connected(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=DEADLINE)


def _asked(
    connection: http.client.HTTPConnection, number: float, revision: str | None
) -> tuple[int, Any]:
    headers = {"Fairlead-Revision": revision} if revision else {}
    body = json.dumps({"rows": [{"number": number}]}).encode()
    connection.request("POST", f"/models/{MODEL}:predict", body, headers)
    response = connection.getresponse()
    content = response.read()
    named = {"revision": response.getheader("Fairlead-Revision", "")}
    return response.status, json.loads(content) | named
