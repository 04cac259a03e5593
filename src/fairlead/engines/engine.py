"""An engine: where the processes of a gang (its ranks) run.

It starts the same program everywhere, `python -m fairlead.training.rank`, and says how each rank
is. What a rank computes, and what becomes of the parts of one that died, is for the driver of the
fit to decide: ranks call it at the address that they are given, and hear all else from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from fairlead.machine import library_environment

ADDRESS = "FAIRLEAD_GANG_ADDRESS"
"""`host:port` of the driver."""
SECRET = "FAIRLEAD_GANG_SECRET"  # noqa: S105 - the name of a variable
"""What driver and ranks know each other by; of this gang alone."""
RANK = "FAIRLEAD_GANG_RANK"
"""The number of a rank, from 0."""
PARENT = "FAIRLEAD_GANG_PARENT"
"""Process id of a driver on the same machine, with which the rank ends."""
GANGS = "gang-"
"""What the keys of gangs begin with that drivers start, and so the files of their logs."""
PROGRAM = ("-m", "fairlead.training.rank")
"""What an interpreter runs as a rank."""


@dataclass(frozen=True, kw_only=True)
class GangRequest:
    """The ranks of a gang, which are alike.

    Args:
        key: What the engine knows the gang by: up to 40 small letters, digits and hyphens.
        ranks: How many there are to be.
        most: How many they may become by themselves, where the engine adds some as they are busy.
        address: `host:port` where the driver listens.
        secret: What driver and ranks know each other by.
        artifacts: URL of the artefact store.
        environ: Environment variables that they get on top: what reaches the store.
        threads: Threads of each.
        cores: Cores that each asks of an engine that shares machines out.
        memory: Bytes of memory that each may use.
        collective: Whether they are to find each other, too (TF_CONFIG), and all end with one.
        resting: Numbers of those that are not started again yet, where the engine would do so at
            once: they ended too often.
    """

    key: str
    ranks: int
    address: str
    secret: str
    artifacts: str
    environ: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    cores: float = 1.0
    memory: int = 2 << 30
    collective: bool = False
    most: int = 0
    resting: frozenset[int] = frozenset()

    def variables(self) -> Mapping[str, str]:
        """The environment variables of every rank, but for its number."""
        own = {ADDRESS: self.address, SECRET: self.secret, "FAIRLEAD_ARTIFACTS": self.artifacts}
        return {**library_environment(self.threads), **self.environ, **own}


@dataclass(frozen=True, kw_only=True)
class RankStatus:
    """How one rank is."""

    rank: int
    state: Literal["starting", "running", "stuck", "ended"]
    why: str = ""  # it ended, is stuck, or has no room to start in
    killed: bool = False  # it was ended from outside, whatever it was doing
    seconds: float = 0.0  # for which it has run
    log: str = ""  # where a person finds what it printed

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.state != "ended"


class Engine(Protocol):
    """Runs the ranks of gangs somewhere."""

    def start(self, gang: GangRequest) -> str:
        """Start the ranks that the gang lacks of `ranks`, and give the handle of the gang.

        Asked twice is once: of a gang that is there, ranks that ended are started again, more are
        added, and none is ended.

        Raises:
            Invalid: Such ranks cannot run there, or it is not installed: says what to install.
            Failed: They may not be started.
            Unreachable: The engine did not answer.
        """
        ...

    def poll(self, handle: str) -> Sequence[RankStatus]:
        """Every rank that is alive, and those that ended, as far as they are known.

        Raises:
            Unreachable: The engine did not answer.
        """
        ...

    def stop(self, handle: str) -> None:
        """End every rank now, and forget the gang; of an unknown one nothing is done."""
        ...

    def logs(self, handle: str, rank: int) -> str:
        """What the rank printed, as far as it is kept."""
        ...
