"""A ledger or an artefact store whose calls fail as those of a server far away do.

A call may fail before anything was done, fail though all was done (the answer was lost), or begin
an outage in which this and the next calls fail. Which of these the n-th call of a method meets is a
function of the seed, the name of who calls, the method and n alone: a seed that a test fails with
can be run again, however the threads of that run were scheduled.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Literal, Self, get_type_hints

from fairlead.errors import Busy, Unreachable

Kind = Literal["before", "after", "outage"]


@dataclass(kw_only=True)
class Faults:
    """Who calls, and what becomes of these calls.

    Args:
        seed: Decides it.
        who: Names the caller.
        share: Of the calls that meet a fault.
        longest: Calls that an outage lasts at most.
    """

    seed: int
    who: str = ""
    share: float = 0.1
    longest: int = 4
    met: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    _calls: Counter[str] = field(default_factory=Counter)
    _away: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, name: str, work: Callable[[], Any]) -> Any:
        """The work's value, unless this call meets a fault.

        Raises:
            Unreachable: It does; whether the work was done, the caller cannot know.
            Busy: Others wrote for too long; it was not done.
        """
        kind, busy = self._drawn(name)
        if kind in {"before", "outage"}:
            says = f"{name}: injected {kind}, seed {self.seed} of {self.who!r}"
            raise Busy(says) if busy else Unreachable(says)
        value = work()
        if kind == "after":
            raise Unreachable(f"{name}: injected, though done, seed {self.seed} of {self.who!r}")
        return value

    def _drawn(self, name: str) -> tuple[Kind | None, bool]:
        with self._lock:
            self._calls[name] += 1
            draw = random.Random(f"{self.seed} {self.who} {name} {self._calls[name]}")
            kind: Kind | None = None
            if self._away:
                self._away -= 1
                kind = "outage"
            elif draw.random() < self.share:
                kind = draw.choice(("before", "after", "outage"))
                self._away = draw.randrange(self.longest) if kind == "outage" else 0
            if kind:
                self.met[name, kind] += 1
            return kind, kind == "before" and draw.random() < 0.5


class Faulty:
    """What has the members of a Protocol (or class), and whose methods meet faults.

    Args:
        target: Does the work.
        kind: The Protocol, whose properties that are Protocols themselves meet faults, too.
        faults: Says which calls.
    """

    def __init__(self, target: Any, kind: type, faults: Faults, name: str = "") -> None:
        self._target = target
        self._kind = kind
        self._faults = faults
        self._name = name or kind.__name__

    def __getattr__(self, name: str) -> Any:
        member, value = vars(self._kind).get(name), getattr(self._target, name)
        way = f"{self._name}.{name}"
        if isinstance(member, FunctionType):
            return lambda *args, **named: self._faults.call(way, lambda: value(*args, **named))
        if isinstance(member, property):
            part = get_type_hints(member.fget)["return"]
            if getattr(part, "_is_protocol", False):
                return Faulty(value, part, self._faults, way)
        return value

    def __enter__(self) -> Self:
        self._target.__enter__()
        return self

    def __exit__(self, *why: object) -> None:
        self._target.__exit__(*why)
