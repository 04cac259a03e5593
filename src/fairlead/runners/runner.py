"""A runner: where worker processes run.

A runner knows workers by the key of their group and by name. It starts the same program
everywhere, `fairlead worker`, and says how each of them is. Which of them are needed, and what
becomes of the task of one that died, is for the caller to decide; tasks and results go through the
ledger alone.

Workers are either part of the process that started them and end with it, or detached: an engine
keeps them, every process finds them by the key of their group, and they outlive each of these.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, kw_only=True)
class WorkerGroup:
    """Workers that are alike.

    Args:
        key: What the runner knows the group by; of letters, digits and hyphens. Detached workers
            are found by it from anywhere: it is to be no other group's of the same engine.
        study: Id of the study whose tasks they work on; None for those of any.
        ledger: URL of the ledger's database.
        artifacts: URL of the artefact store.
        environ: Environment variables that they get on top.
        cores: Cores that each asks of an engine that shares machines out.
        memory: Bytes of memory that each asks of it; 0 for none.
        starts_pods: Whether their fits start pods on the cluster that they are on (`train.engine`).
    """

    key: str
    study: str | None
    ledger: str
    artifacts: str
    environ: Mapping[str, str] = field(default_factory=dict)
    cores: float = 1.0
    memory: int = 0
    starts_pods: bool = False

    def arguments(self, name: str) -> list[str]:
        """The arguments of `fairlead` for the worker of this name, wherever it runs.

        Everybody on a machine can read these: what may hold a password is in `variables`.
        """
        study = [] if self.study is None else ["--study", self.study]
        return ["worker", *study, "--name", name]

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables that each of them gets."""
        return {**self.environ, **of_stores(self.ledger, self.artifacts)}


@dataclass(frozen=True, kw_only=True)
class WorkerStatus:
    """How one worker is."""

    name: str
    state: Literal["starting", "running", "stuck", "ended"]
    why: str = ""  # it ended, is stuck, or has no room to start in
    killed: bool = False  # it was ended from outside, whatever it was doing
    seconds: float = 0.0  # for which it has held a machine; of one that ended, did
    log: str = ""  # where a person finds what it printed

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.state != "ended"


def of_stores(ledger: str, artifacts: str) -> Mapping[str, str]:
    """The environment variables that tell a worker where the stores are."""
    return {"FAIRLEAD_LEDGER": ledger, "FAIRLEAD_ARTIFACTS": artifacts}


class Runner(Protocol):
    """Runs workers somewhere."""

    @property
    def detached(self) -> bool:
        """Whether workers outlive this process, and others find them."""
        ...

    def ensure(self, group: WorkerGroup, count: int) -> None:
        """Start as many workers as the group lacks of `count` that are alive; never end one.

        Those for which there is no room yet count: they are starting. Asked for none, it
        learns what workers of the group are, which others may have begun to start.

        Raises:
            Invalid: Such workers cannot run there.
            Failed: They may not be started.
            Unreachable: The engine did not answer.
        """
        ...

    def look(self, key: str) -> Sequence[WorkerStatus]:
        """Every worker of the group that is alive, and those that ended, as far as they are known.

        This process is told at least once of each whose end it can see. None of an unknown group.

        Raises:
            Unreachable: The engine did not answer.
        """
        ...

    def leave(self, key: str, workers: Collection[str]) -> None:
        """End those of these workers that are still starting.

        One that runs is asked through the ledger, and leaves when its task is done: so no runner
        chooses which task is lost.
        """
        ...

    def remove(self, key: str) -> None:
        """End every worker of the group now, whoever started it, and forget the group."""
        ...

    def logs(self, key: str, worker: str) -> str:
        """What the worker printed, as far as it is kept."""
        ...
