"""Serving processes as a supervisor starts them, and clients that speak bytes."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Queue
from typing import Any

from fairlead.artifacts import Artifacts
from fairlead.inference import inspect
from fairlead.records import Allowance, Candidate
from fairlead.serving.engine.drift import edges_of
from fairlead.serving.plan import (
    Confirmed,
    Counts,
    Drain,
    Facts,
    Held,
    Message,
    Page,
    Plan,
    Report,
    Scrape,
    Split,
    decode,
    encode,
)
from fairlead.serving.settings import VARIABLE, ProcessSettings, command
from fairlead.serving.settings import encode as encode_settings
from fairlead.serving.telemetry.counters import Aggregate
from fairlead.serving.telemetry.prometheus import page

DEADLINE = 30.0


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Models that were trained and registered by `fairlead run`."""

    home: Path
    candidates: Mapping[str, Candidate]

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.home / "artifacts")

    def golden(self, model: str) -> tuple[list[dict[str, Any]], list[Any]]:
        """Rows as people write them, and what the exported model predicts for them."""
        digest = self.candidates[model].files["golden.json"].digest
        document = json.loads(self.artifacts.get(digest))
        return document["rows"], document["predictions"]

    def numbers(self, model: str) -> list[list[float]]:
        """The numbers of the golden rows, in the order of the model's tensor."""
        names = self.candidates[model].signature.numbers
        return [[row[name] for name in names] for row in self.golden(model)[0]]

    def held(self, model: str, revision: str = "v1", *, allowance: Allowance | None = None) -> Held:
        candidate = self.candidates[model]
        file = candidate.files["model.onnx"]
        inspected = inspect(self.artifacts.get(file.digest))
        return Held(
            model=model,
            revision=revision,
            version=int(re.findall(r"\d+", revision)[0]),
            file=file.digest,
            signature=candidate.signature,
            facts=Facts(
                steady=inspected.steady,
                missing=inspected.missing,
                seconds=2e-5,
                size=file.size,
            ),
            allowance=allowance or Allowance(),
            edges=edges_of(candidate, self.artifacts),
        )


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]  # by names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message; every refusal has the protocol's form of errors, and no more."""
        assert set(self.json) == {"error"}
        assert "\n" not in self.json["error"]
        return str(self.json["error"])


@dataclass(kw_only=True)
class Process:
    """A serving process, and the supervisor's end of its channel, which a thread listens at."""

    port: int
    child: subprocess.Popen[bytes]
    channel: socket.socket
    log: Path
    sums: Aggregate = field(default_factory=Aggregate)
    serial: int = 0
    _reports: Queue[Report | None] = field(default_factory=Queue, init=False)
    _telling: threading.Lock = field(default_factory=threading.Lock, init=False)

    def tell(self, message: Message) -> None:
        with self._telling:
            self.channel.sendall(encode(message))

    def hang_up(self) -> None:
        """Be gone, as a supervisor that was killed."""
        self.channel.shutdown(socket.SHUT_RDWR)

    def listen(self) -> None:
        """Take in what it says, to the end."""
        unread = b""
        with suppress(OSError):
            while came := self.channel.recv(1 << 16):
                *lines, unread = (unread + came).split(b"\n")
                for line in lines:
                    self._take_in(decode(line))
        self._reports.put(None)

    def _take_in(self, message: Message) -> None:
        match message:
            case Report():
                self._reports.put(message)
            case Counts():
                self.sums.add(self.child.pid, message)
            case Scrape(number=number):
                self.tell(Page(number=number, text=page(self.sums)))

    def plan(self, *held: Held, traffic: Mapping[str, Mapping[str, int]] | None = None) -> None:
        """Send a plan: all traffic of a model to its first revision, if not told otherwise."""
        self.serial += 1
        first = {one.model: one.revision for one in reversed(held)}
        shares = {model: {name: 100} for model, name in first.items()} | dict(traffic or {})
        splits = tuple(
            Split(model=model, route=self.serial, traffic=share) for model, share in shares.items()
        )
        confirmed = confirmed_of(held, splits)
        self.tell(Plan(serial=self.serial, held=held, splits=splits, confirmed=confirmed))

    def followed(self) -> Report:
        """The report that tells that the last plan is followed."""
        while True:
            report = self.report()
            told = report.serial == self.serial and (report.routes or report.faults)
            whole = set(report.behind) <= set(report.faults)
            if told and whole and set(report.routes.values()) <= {self.serial}:
                return report

    def report(self) -> Report:
        """The next one."""
        report = self._reports.get(timeout=DEADLINE)
        assert report is not None, f"the process ended: {self.errors()}"
        return report

    def drain(self, seconds: float = 5.0) -> int:
        self.tell(Drain(seconds=seconds))
        return self.child.wait(DEADLINE)

    def errors(self) -> str:
        return self.log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """What it logged."""
        return [json.loads(line) for line in self.errors().splitlines()]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request over a connection of its own."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            client.request(method, path, content, dict(headers or {}))
            answered = client.getresponse()
            named = {name.lower(): value for name, value in answered.getheaders()}
            return Reply(status=answered.status, headers=named, body=answered.read())
        finally:
            client.close()

    def raw(self, *parts: bytes, end: bool = False) -> list[Reply]:
        """Bytes out, and all answers that come until the server closes."""
        with self.connect() as connection:
            for part in parts:
                connection.sendall(part)
            if end:
                connection.shutdown(socket.SHUT_WR)
            return replies(everything(connection))


def everything(connection: socket.socket) -> bytes:
    """All that comes until the other end closes."""
    found = []
    while came := connection.recv(1 << 16):
        found.append(came)
    return b"".join(found)


def replies(content: bytes) -> list[Reply]:
    """The answers in these bytes."""
    found = []
    while content:
        head, _, content = content.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in lines)}
        size = int(headers.get("content-length", 0))
        found.append(Reply(status=int(first.split()[1]), headers=headers, body=content[:size]))
        content = content[size:]
    return found


@contextmanager
def started(
    trained: Trained, settings: ProcessSettings | None = None, **environ: str
) -> Iterator[Process]:
    """One serving process, listening on a port of its own."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryDirectory() as folder, listening, ours:
        listening.bind(("127.0.0.1", 0))
        listening.listen(2_048)
        given = settings or ProcessSettings(listen=(), channel=0, artifacts="")
        given = replace(
            given,
            listen=(listening.fileno(),),
            channel=theirs.fileno(),
            artifacts=given.artifacts or str(trained.home / "artifacts"),
        )
        log = Path(folder, "log")
        with log.open("wb") as errors:
            child = subprocess.Popen(
                command(),
                env={**os.environ, VARIABLE: encode_settings(given), **environ},
                pass_fds=(listening.fileno(), theirs.fileno()),
                stderr=errors,
                start_new_session=True,
            )
        theirs.close()
        process = Process(
            port=listening.getsockname()[1],
            child=child,
            channel=ours,
            log=log,
        )
        listener = threading.Thread(target=process.listen)
        listener.start()
        try:
            yield process
        finally:
            child.kill()
            child.wait()
            listener.join()


def confirmed_of(held: Sequence[Held], splits: Sequence[Split]) -> Mapping[str, Confirmed]:
    """What the only process of a server answers, once it has this."""
    return {
        split.model: Confirmed(
            traffic=bool(split.traffic.keys() - split.missing.keys()),
            revisions=tuple(one.revision for one in held if one.model == split.model),
        )
        for split in splits
    }


def rows_of(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A request for predictions of these rows."""
    return json.dumps({"rows": rows}).encode()


def request(
    path: str, body: bytes = b"", *headers: str, method: str = "POST", host: str = "localhost"
) -> bytes:
    """A request as bytes."""
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *length, *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
