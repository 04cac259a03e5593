"""Servers as processes: started, queried, weighed, and ended by their process ids.

How each server is set up is in serving_peers.py.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from serving_load import Request

_PATIENCE = 120.0  # seconds that a server may take to answer for the first time


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that answers.

    Args:
        process: The one that was typed.
        seconds: From typed to the first answer.
        first: That answer.
    """

    process: psutil.Process
    seconds: float
    first: Any

    def tree(self) -> Sequence[psutil.Process]:
        """Every process of the server."""
        return [self.process, *self.process.children(recursive=True)]

    def worked(self) -> float:
        """Seconds of the processor that its processes have taken, one that has ended left out."""
        return sum(sum(process.cpu_times()[:2]) for process in self.tree())

    def resident(self) -> int:
        """Bytes in memory, of all its processes; what two of them share counts twice."""
        return sum(process.memory_info().rss for process in self.tree())

    def own(self) -> int:
        """Bytes in memory, of all its processes; what two of them share counts once."""
        return sum(process.memory_full_info().pss for process in self.tree())


@contextmanager
def running(
    command: Sequence[str], request: Request, *, environ: Mapping[str, str], log: Path
) -> Iterator[Running]:
    """Start the server, wait for its first answer, and end it afterwards.

    Raises:
        RuntimeError: It ended, or did not answer in time; with the end of its log.
    """
    with log.open("ab") as output:
        typed = time.monotonic()
        process = subprocess.Popen(
            command,
            env={**os.environ, **environ},
            stdout=output,
            stderr=output,
            cwd=log.parent,
            start_new_session=True,  # Linux shares a busy processor between sessions, not processes
        )
    try:
        first = _first(process, request, typed, log)
        seconds = time.monotonic() - typed
        yield Running(process=psutil.Process(process.pid), seconds=seconds, first=first)
    finally:
        _end(process)


def asked(request: Request, timeout: float = 30) -> tuple[int, Any]:
    """Status and document of one request on a connection of its own.

    Raises:
        OSError: Nobody answers.
    """
    connection = http.client.HTTPConnection("127.0.0.1", request.port, timeout=timeout)
    try:
        connection.request("POST", request.path, request.body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    return response.status, json.loads(content) if response.status == 200 else content


def _first(process: subprocess.Popen[bytes], request: Request, typed: float, log: Path) -> Any:
    """The first good answer. A server may listen before it can answer."""
    document: Any = None
    while time.monotonic() < typed + _PATIENCE:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}:\n{_tail(log)}")
        try:
            status, document = asked(request)
        except (OSError, http.client.HTTPException):
            status, document = 0, None
        if status == 200:
            return document
        time.sleep(0.005)
    raise RuntimeError(f"no good answer for {_PATIENCE:.0f} s: {document!r}\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, and stop what is left of it."""
    if process.poll() is not None:
        return
    tree = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for left in psutil.wait_procs(tree, timeout=5)[1]:
        left.kill()
