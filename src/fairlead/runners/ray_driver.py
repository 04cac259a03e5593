"""The process that is connected to a Ray cluster: a driver, as Ray calls it.

Ray ends a process whose cluster is gone, takes SIGTERM from it, blocks it for minutes where a
server does not answer, and prints as it likes. So it is a process of its own, which a runner starts
and asks by lines of JSON on standard input; it answers each by a line, and ends when its input
does. It keeps nothing that it could not find again on the cluster.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.parse
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import msgspec

from fairlead.errors import Failed, FairleadError, Invalid, Unreachable
from fairlead.formatting import cores
from fairlead.machine import boot
from fairlead.runners.ray_supervisor import (
    WorkerOrder,
    WorkerReport,
    WorkerSupervisor,
    told_apart,
)
from fairlead.runners.runner import WorkerGroup, WorkerStatus

_NAMESPACE = "fairlead-"
_PROBE = 5.0
"""Seconds in which a server must take a connection."""
_ANSWER = 2.0
"""Seconds in which actors that have answered before should answer again."""
_SILENT = 15.0
"""Seconds after which one that does not is said to be stuck."""
_PLACED = 20.0
"""Seconds in which an actor starts on a full machine, where there is room for it."""
_CONNECTIONS = 3
"""So often a connection is tried that Ray Client breaks off; each time takes 30 s."""
_GONE = 15.0
"""Seconds in which actors end once they are killed."""


# ---- messages -------------------------------------------------------------------------------


class Ensure(msgspec.Struct, tag=True, kw_only=True, frozen=True):
    """Start what is lacking."""

    group: WorkerGroup
    count: int


class Look(msgspec.Struct, tag=True, kw_only=True, frozen=True):
    """Tell of the workers."""

    key: str


class Leave(msgspec.Struct, tag=True, kw_only=True, frozen=True):
    """End these, if they are still starting."""

    key: str
    workers: Sequence[str]


class Remove(msgspec.Struct, tag=True, kw_only=True, frozen=True):
    """End all."""

    key: str


class Logs(msgspec.Struct, tag=True, kw_only=True, frozen=True):
    """Give what one printed."""

    key: str
    worker: str


Asked: TypeAlias = Ensure | Look | Leave | Remove | Logs


class Answer(msgspec.Struct, kw_only=True, frozen=True):
    """The answer to each of them, and to the start."""

    workers: Sequence[WorkerStatus] = ()
    text: str = ""
    error: str = ""
    kind: str = ""  # of the error
    code: str = ""


KINDS: Mapping[str, type[FairleadError]] = {
    kind.__name__: kind for kind in (Invalid, Failed, Unreachable)
}


# ---- the cluster ----------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Actor:
    """What is known of an actor."""

    handle: Any
    seen: float
    asked: Any = None  # the question that is not answered yet
    asked_at: float = 0.0
    report: WorkerReport | None = None  # the last answer
    told: float = 0.0  # when that came
    ended: WorkerStatus | None = None

    @property
    def started(self) -> bool:
        return self.report is not None and self.report.started

    @property
    def is_pending(self) -> bool:
        """Whether it has not been heard of."""
        return self.ended is None and self.report is None

    def seconds(self) -> float:
        """For which its worker has run, as far as is known."""
        if self.report is None or not self.report.started:
            return 0.0
        return self.report.seconds + time.monotonic() - self.told


class RayDriver:
    """The workers of a Ray cluster.

    Args:
        address: Of the cluster, as `ray.init` takes it.
        unasked: Seconds without a question after which a worker leaves.
    """

    def __init__(self, address: str, *, unasked: float) -> None:
        _probe(address)
        self._address = address
        self._unasked = unasked
        self._ray = _connected(address)
        self._groups: dict[str, WorkerGroup] = {}
        self._actors: dict[str, dict[str, _Actor]] = {}

    def ensure(self, group: WorkerGroup, count: int) -> None:
        """Start as many as the group lacks."""
        nodes = [node["NodeManagerAddress"] for node in self._ray.nodes() if node["Alive"]]
        refuse_unshared(group, self._address, nodes)
        self._groups[group.key] = group
        alive = sum(worker.alive for worker in self.look(group.key))
        for _ in range(count - alive):
            name = f"ray-{os.urandom(4).hex()}"
            actor = _Actor(handle=self._made(group, name), seen=time.monotonic())
            self._actors[group.key][name] = actor
            self._ask(actor, self._order(group.key, name))

    def look(self, key: str) -> Sequence[WorkerStatus]:
        """Ask all actors; those that do not answer now have been asked."""
        actors = self._actors.setdefault(key, {})
        self._find(key, actors)
        alive = {name: actor for name, actor in actors.items() if actor.ended is None}
        for name, actor in alive.items():
            if actor.asked is None:
                self._ask(actor, None if actor.started else self._order(key, name))
        asked = {actor.asked: name for name, actor in alive.items()}
        known = [actor.asked for actor in alive.values() if actor.report is not None]
        for refs, seconds in ((known, _ANSWER), ([*asked], 0.0)):
            if refs:
                self._ray.wait(refs, num_returns=len(refs), timeout=seconds)
        ready = self._ray.wait([*asked], num_returns=len(asked), timeout=0)[0] if asked else []
        for ref in ready:
            self._answered(asked[ref], actors[asked[ref]])
        return self._statuses(key, actors)

    def leave(self, key: str, workers: Collection[str]) -> None:
        """Take back those that no machine has begun to run."""
        self.look(key)
        for name in workers:
            actor = self._actors[key].get(name)
            if actor is not None and actor.ended is None and not actor.started:
                self._kill(actor)
                actor.ended = _ended(name, "it was not needed any more", killed=True)

    def remove(self, key: str) -> None:
        """End all workers, then all actors."""
        self.look(key)
        actors = self._actors.pop(key)
        running = [one for one in actors.values() if one.ended is None and one.started]
        ends = [one.handle.end.remote() for one in running]
        if ends:
            self._ray.wait(ends, num_returns=len(ends), timeout=_GONE)
        for actor in actors.values():
            self._kill(actor)
        deadline = time.monotonic() + _GONE
        while left := self._names(key):
            if time.monotonic() > deadline:
                raise Failed(
                    f"Ray cluster {self._address!r}: {len(left)} actors of the namespace "
                    f"{_NAMESPACE + key!r} have not ended within {_GONE:.0f} s"
                )
            time.sleep(0.05)
        self._groups.pop(key, None)

    def logs(self, key: str, worker: str) -> str:
        """What the worker printed last."""
        actor = self._actors.get(key, {}).get(worker)
        if actor is None:
            return ""
        if actor.ended is None and actor.started:
            ref = actor.handle.printed.remote()
            if self._ray.wait([ref], timeout=_ANSWER)[0]:
                with suppress(self._ray.exceptions.RayError):
                    return str(self._ray.get(ref))
        return actor.report.printed if actor.report else ""

    # ---- actors -------------------------------------------------------------------------------

    def _made(self, group: WorkerGroup, name: str) -> Any:
        """A detached actor, found by its name; Ray never starts it again: the caller decides."""
        options: dict[str, Any] = {"memory": group.memory} if group.memory else {}
        return (
            self._ray.remote(WorkerSupervisor)
            .options(
                name=name,
                namespace=_NAMESPACE + group.key,
                lifetime="detached",
                num_cpus=group.cores,
                max_restarts=0,
                max_task_retries=0,
                **options,
            )
            .remote(self._unasked)
        )

    def _order(self, key: str, name: str) -> WorkerOrder | None:
        """None where this process has not been told what workers of the group are."""
        group = self._groups.get(key)
        return None if group is None else order_of(group, name)

    def _names(self, key: str) -> list[str]:
        every = self._ray.util.list_named_actors(all_namespaces=True)
        return [one["name"] for one in every if one["namespace"] == _NAMESPACE + key]

    def _find(self, key: str, actors: dict[str, _Actor]) -> None:
        """Those that another process made."""
        for name in self._names(key):
            if name not in actors:
                with suppress(ValueError):  # it has just ended
                    handle = self._ray.get_actor(name, namespace=_NAMESPACE + key)
                    actors[name] = _Actor(handle=handle, seen=time.monotonic())

    def _ask(self, actor: _Actor, order: WorkerOrder | None) -> None:
        actor.asked = actor.handle.report.remote(order)
        actor.asked_at = time.monotonic()

    def _answered(self, name: str, actor: _Actor) -> None:
        ref, actor.asked = actor.asked, None
        errors = self._ray.exceptions
        try:
            report: WorkerReport = self._ray.get(ref)
        except errors.ActorUnavailableError:
            return  # it is asked again
        except errors.RayTaskError as error:  # the report itself failed: a fault of that machine
            self._kill(actor)
            actor.ended = _ended(name, _in_a_line(error), seconds=actor.seconds())
            return
        except errors.RayActorError as error:
            unborn = actor.report is None and "creation task" in str(error)
            why = _in_a_line(error)
            actor.ended = _ended(name, why, killed=not unborn, seconds=actor.seconds())
            actor.report = WorkerReport(printed=why)
            return
        actor.report, actor.told = report, time.monotonic()
        if report.ended:
            actor.ended = _ended(
                name, report.why, killed=report.killed, seconds=report.seconds, log=report.where
            )
            self._kill(actor)  # it has told all

    def _kill(self, actor: _Actor) -> None:
        with suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(actor.handle, no_restart=True)

    # ---- where they may run -------------------------------------------------------------------

    def _statuses(self, key: str, actors: Mapping[str, _Actor]) -> Sequence[WorkerStatus]:
        group = self._groups.get(key)
        pending = [actor for actor in actors.values() if actor.is_pending]
        never = later = ""
        if group is not None and pending:
            asked = {"CPU": group.cores} | ({"memory": group.memory} if group.memory else {})
            nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            never = no_node(asked, nodes)
            later = never or none_free(asked, self._ray.available_resources())
        now = time.monotonic()
        return [
            _status(name, actor, later if now - actor.seen > _PLACED else never)
            for name, actor in actors.items()
        ]


def no_node(asked: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> str:
    """Why no machine of the cluster could have a worker; empty where one could."""
    for what, needed in asked.items():
        most = max((node.get(what, 0) for node in nodes), default=0)
        if most < needed:
            return (
                f"no node of the Ray cluster has {_amount(what, needed)}; the largest has "
                f"{_amount(what, most)}"
            )
    return ""


def none_free(asked: Mapping[str, float], free: Mapping[str, float]) -> str:
    """Why no machine of the cluster has room for a worker now; empty where one may.

    What is free is known of all machines together.
    """
    for what, needed in asked.items():
        if free.get(what, 0) < needed:
            return f"no node of the Ray cluster has {_amount(what, needed)} free"
    return ""


def refuse_unshared(group: WorkerGroup, address: str, nodes: Collection[str]) -> None:
    """Refuse a ledger in a file of this machine where other machines would have to reach it.

    Args:
        group: Says where the ledger is.
        address: Of the cluster.
        nodes: The addresses of its machines.
    """
    _, is_sqlite = _local(group)
    others = sorted(set(nodes) - _own_addresses()) if is_sqlite else []
    if others:
        raise Invalid(
            f"the ledger {group.ledger!r} is a file of this machine, and the Ray cluster "
            f"{address!r} has others ({others[0]}): use PostgreSQL ($FAIRLEAD_LEDGER)",
            code="ledger_not_shared",
        )


def order_of(group: WorkerGroup, name: str) -> WorkerOrder:
    """What the actor of this name is to run; stores of this machine must be the same there."""
    folders, is_sqlite = _local(group)
    return WorkerOrder(
        arguments=tuple(group.arguments(name)),
        variables=dict(group.variables),
        folders={path: told_apart(path) for path in folders},
        boot=boot() if is_sqlite else "",
    )


def _status(name: str, actor: _Actor, room: str) -> WorkerStatus:
    if actor.ended is not None:
        return actor.ended
    if not actor.started:
        return WorkerStatus(name=name, state="starting", why=room if actor.is_pending else "")
    assert actor.report is not None
    silent = actor.asked is not None and time.monotonic() - actor.asked_at > _SILENT
    return WorkerStatus(
        name=name,
        state="stuck" if silent else "running",
        why="its machine does not answer" if silent else "",
        seconds=actor.seconds(),
        log=actor.report.where,
    )


def _ended(
    name: str, why: str, *, killed: bool = False, seconds: float = 0.0, log: str = ""
) -> WorkerStatus:
    return WorkerStatus(
        name=name,
        state="ended",
        why=why,
        killed=killed,
        seconds=seconds,
        log=log or "Ray's logs",
    )


def _amount(what: str, number: float) -> str:
    if what == "CPU":
        return cores(number)
    return f"{number / 1e9:.3g} GB of memory"


def _local(group: WorkerGroup) -> tuple[list[str], bool]:
    """The paths that the group's stores have on this machine, and whether the ledger is one."""
    found = []
    is_sqlite = group.ledger.startswith("sqlite:///")
    if is_sqlite:
        found.append(group.ledger.removeprefix("sqlite:///"))
    artifacts = urllib.parse.urlsplit(group.artifacts)
    if artifacts.scheme == "file":
        found.append(urllib.parse.unquote(artifacts.path))
    return [path for path in found if Path(path).exists()], is_sqlite


def _own_addresses() -> set[str]:
    import psutil

    return {each.address for several in psutil.net_if_addrs().values() for each in several}


# ---- the connection -------------------------------------------------------------------------


def _probe(address: str) -> None:
    """See that somebody listens: Ray itself takes minutes to find out that nobody does."""
    if address == "auto":
        return
    url = urllib.parse.urlsplit(address if "://" in address else f"ray-node://{address}")
    try:
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
    if url.scheme not in {"ray", "ray-node"} or not host or not port:
        raise Invalid(
            f"Ray cluster {address!r}: its address must be auto, HOST:PORT or ray://HOST:PORT",
            code="ray_address",
        )
    try:
        socket.create_connection((host, port), _PROBE).close()
    except OSError as error:
        raise Unreachable(
            f"Ray cluster {address!r}: {error.strerror or error}; see that it runs and that "
            "the address is right"
        ) from error


def _connected(address: str) -> Any:
    try:
        import ray
        import ray.exceptions
        import ray.util
    except ImportError:
        raise Invalid("a Ray cluster needs a package: pip install 'fairlead[ray]'") from None
    try:
        _connect(ray, address)
    except ray.exceptions.AuthenticationError as error:
        raise Failed(
            f"Ray cluster {address!r} does not let us in: {_in_a_line(error).split('. ')[0]}; see "
            "$RAY_AUTH_MODE and $RAY_AUTH_TOKEN",
            code="ray_refused",
        ) from error
    except (ConnectionError, ray.exceptions.RayError) as error:
        raise Unreachable(f"Ray cluster {address!r}: {_in_a_line(error)}") from error
    except (RuntimeError, ValueError, ImportError) as error:  # other versions, or no Ray Client
        raise Invalid(f"Ray cluster {address!r}: {_in_a_line(error)}") from error
    return ray


def _connect(ray: Any, address: str) -> None:
    """Ray Client's server starts a process for each connection, which at times dies at once."""
    import logging

    for left in reversed(range(_CONNECTIONS)):
        try:
            ray.init(
                address, log_to_driver=False, logging_level=logging.ERROR, namespace="fairlead"
            )
        except ConnectionAbortedError:
            if not left:
                raise
        else:
            return


def _in_a_line(error: Exception) -> str:
    """What Ray says, without what follows from it.

    The first line tells that a call failed; why, stands in the one that begins with "The actor".
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("The actor") and "because" in line]
    if causes and causes[0].endswith("creation task,"):
        causes = lines[-1:]  # the end of a traceback
    elif causes:
        causes = [causes[0].split(" Some common causes include")[0]]
    elif any(line.startswith("Traceback") for line in lines):
        causes = [f"{lines[0]} {lines[-1]}"]
    return (causes or lines or [type(error).__name__])[0][:400]


# ---- the process ----------------------------------------------------------------------------


def _carry_out(driver: RayDriver, asked: Asked) -> Answer:
    match asked:
        case Ensure(group=group, count=count):
            driver.ensure(group, count)
        case Look(key=key):
            return Answer(workers=driver.look(key))
        case Leave(key=key, workers=workers):
            driver.leave(key, workers)
        case Remove(key=key):
            driver.remove(key)
        case Logs(key=key, worker=worker):
            return Answer(text=driver.logs(key, worker))
    return Answer()


def _answer_of(error: Exception) -> Answer:
    if isinstance(error, FairleadError):
        kind = next(name for name, kind in KINDS.items() if isinstance(error, kind))
        return Answer(error=str(error), kind=kind, code=error.code)
    said = _in_a_line(error).split(". Ensure that the token")[0].rstrip(".")
    return Answer(error=f"Ray cluster: {said}", kind="Unreachable", code="unreachable")


def main(address: str, unasked: float, answers: BinaryIO) -> None:
    """Answer until the input ends."""

    def say(answer: Answer) -> None:
        answers.write(msgspec.json.encode(answer) + b"\n")
        answers.flush()

    try:
        driver = RayDriver(address, unasked=unasked)
    except FairleadError as error:
        say(_answer_of(error))
        return
    say(Answer())
    decoder = msgspec.json.Decoder(Asked)
    while line := sys.stdin.buffer.readline():
        try:
            answer = _carry_out(driver, decoder.decode(line))
        except (FairleadError, OSError, driver._ray.exceptions.RayError) as error:  # noqa: SLF001 - of this module
            answer = _answer_of(error)
        say(answer)


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "wb") as own:
        os.dup2(2, 1)  # Ray prints, too
        main(sys.argv[1], float(sys.argv[2]), own)
    os._exit(0)  # what a process of Ray does at its end can take long
