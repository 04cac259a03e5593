"""What a serving process is started with.

Belongs here: its settings, its command line, and how the one comes to the other: in the
environment, as one JSON document; the open files that they name are inherited. Does not: its life
(life.py), and what it is told meanwhile (plan.py).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import msgspec

from fairlead.serving.http.limits import Limits

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
        artifacts_cache: Folder of local copies of artefacts, where the store is no local folder.
        host: The name or address that was asked to be bound; clients may name it.
        tokens: SHA-256 of the tokens that are let in (tokens.py); empty: everybody on this machine.
        limits: What it takes from its clients.
        logging: What it writes.
        grace: Seconds to finish what is in hand once its supervisor is gone, or it is told to end
            by a signal.
    """

    listen: tuple[int, ...]
    channel: int
    artifacts: str
    artifacts_cache: str | None = None
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
    """The command line of a serving process; -P: nothing is imported from where it stands."""
    return [sys.executable, "-P", "-m", "fairlead.serving.process"]
