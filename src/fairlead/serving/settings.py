"""What a serving process is started with: settings and limits, and its command line.

The settings travel in an environment variable, as JSON; the sockets that they name by number are
inherited.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import msgspec

from fairlead.records import CacheFolder

_MEBIBYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one serving process; sizes in bytes, times in seconds.

    Args:
        body: Of one request, as it comes and unpacked.
        bodies: Of all requests in hand together.
        head: Of one request's line and headers.
        rows: That one request may ask about.
        connections: At once; past it the one that was idle for longest is closed.
        head_seconds: From the first byte of a request, or from the connection's beginning, until
            its headers are there.
        body_seconds: From the headers until the body is there.
        idle_seconds: That a connection is kept between two requests.
        parting_seconds: That an idle connection is kept once the process ends.
        answer_seconds: That a client may read nothing of a response.
        linger_seconds: That an unwanted body is read and discarded for before the connection is
            closed: a client that is still sending would otherwise never see the answer.
    """

    body: int = 16 * _MEBIBYTE
    bodies: int = 256 * _MEBIBYTE
    head: int = 32 * 1024
    rows: int = 100_000
    connections: int = 4_096
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0
    parting_seconds: float = 1.5
    answer_seconds: float = 30.0
    linger_seconds: float = 2.0


VARIABLE = "FAIRLEAD_SERVING_PROCESS"


@dataclass(frozen=True, kw_only=True)
class Logging:
    """What a serving process writes to its standard error.

    Args:
        level: Least that is written: debug, info, warning or error.
        form: lines for people, or one JSON object a line; auto: by whether it is a terminal.
        requests: Write every request; otherwise those that failed.
    """

    level: str = "info"
    form: str = "auto"
    requests: bool = False


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """What a serving process is started with.

    Args:
        listen: Numbers of the listening sockets that it inherits.
        channel: Number of its end of the socket pair, for messages of plan.py.
        artifacts: URL of the artefact store.
        artifacts_cache: Local copies of artefacts, where the store is no local folder.
        host: The name or address that was asked to be bound; clients may name it.
        tokens: SHA-256 of the tokens that are admitted; empty: everybody on this machine.
        limits: What it takes from its clients.
        logging: What it writes.
        grace: Seconds to finish the requests in hand once the supervisor is gone or a signal
            asks it to end.
    """

    listen: tuple[int, ...]
    channel: int
    artifacts: str
    artifacts_cache: CacheFolder | None = None
    host: str = "127.0.0.1"
    tokens: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    logging: Logging = field(default_factory=Logging)
    grace: float = 5.0


def encode(settings: ProcessSettings) -> str:
    """The settings as the value of $FAIRLEAD_SERVING_PROCESS."""
    return msgspec.json.encode(settings).decode()


def decode(text: str) -> ProcessSettings:
    """The settings that `encode` wrote.

    Raises:
        msgspec.DecodeError: They are none.
    """
    return msgspec.json.decode(text, type=ProcessSettings)


def command() -> list[str]:
    """The command line of a serving process; -P: nothing is imported from the working directory."""
    return [sys.executable, "-P", "-m", "fairlead.serving.process"]
