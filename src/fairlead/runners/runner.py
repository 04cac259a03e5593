"""A runner: where worker processes run.

A runner knows workers by the key of their group and by name. It starts the same program
everywhere, `fairlead worker`, and says how each of them is. Which of them are needed, and what
becomes of the task of one that died, is for the caller to decide; tasks and results go through the
ledger alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, kw_only=True)
class WorkerGroup:
    """Workers that are alike.

    Args:
        key: What the runner knows the group by.
        study: Id of the study whose tasks they work on; None for those of any.
        ledger: URL of the ledger's database.
        artifacts: URL of the artefact store.
        environ: Environment variables that they get on top.
    """

    key: str
    study: str | None
    ledger: str
    artifacts: str
    environ: Mapping[str, str] = field(default_factory=dict)

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
    why: str = ""  # it ended or is stuck
    killed: bool = False  # it was ended from outside, whatever it was doing
    seconds: float = 0.0  # since it was started; of one that ended, those that it lived
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

    def ensure(self, group: WorkerGroup, count: int) -> None:
        """Start as many workers as the group lacks of `count` that are alive; never end one.

        Raises:
            Failed: They cannot be started.
        """
        ...

    def look(self, key: str) -> Sequence[WorkerStatus]:
        """Every worker of the group since it was first asked for; none of an unknown group."""
        ...

    def leave(self, key: str, workers: Collection[str]) -> None:
        """End those of these workers that are still starting.

        One that runs is asked through the ledger, and leaves when its task is done: so no runner
        chooses which task is lost.
        """
        ...

    def remove(self, key: str) -> None:
        """End every worker of the group now, and forget the group."""
        ...

    def logs(self, key: str, worker: str) -> str:
        """What the worker printed, as far as it is kept."""
        ...
