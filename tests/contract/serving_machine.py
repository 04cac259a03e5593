"""Random interleavings of what serving programs and people do, against a model of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fairlead.errors import Conflict
from fairlead.ledger.interface import Ledger
from fairlead.records import Allowance, Deployment, Revision, Route, ServingEvent
from tests.contract.ledger_contract import LEASE, version
from tests.contract.serving_contract import let_ledgers_clock_move

STATES = ("loading", "ready", "serving", "draining", "retired", "failed")
SERVERS = ("one", "two", "three")
STEPS = (10, 50, 100)


@dataclass
class Known:
    """What the model knows of a deployment."""

    revision: str
    base: int | None
    step: int = -1
    state: str = "running"
    server: str | None = None
    ended: bool = False  # the server's lease


@dataclass
class Model:
    """What the ledger should hold."""

    revisions: dict[str, str] = field(default_factory=dict)  # names to states
    names: dict[tuple[int, int], str] = field(default_factory=dict)
    routes: list[dict[str, int]] = field(default_factory=list)
    deployments: list[Known] = field(default_factory=list)

    @property
    def running(self) -> Known | None:
        last = self.deployments[-1] if self.deployments else None
        return last if last and last.state == "running" else None

    def is_wanted(self, name: str) -> bool:
        routed = bool(self.routes) and name in self.routes[-1]
        return routed or (self.running is not None and self.running.revision == name)

    def end(self, state: str) -> None:
        if self.running:
            self.running.server, self.running.state = None, state


class ServingMachine(RuleBasedStateMachine):
    """Inherited by the test of each ledger, which says how to `open` an empty one."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = self.open()
        self.model = Model()
        self.history: list[ServingEvent] = []

    def open(self) -> Ledger:
        raise NotImplementedError

    def teardown(self) -> None:
        self.ledger.__exit__(None, None, None)

    @initialize()
    def register(self) -> None:
        for manifest in "ab":
            self.ledger.versions.register(version(manifest=manifest))
        self.revise(1, 1)

    @rule(number=st.integers(1, 2), queue=st.integers(1, 3))
    def revise(self, number: int, queue: int) -> None:
        wanted = Revision(model="prices", name="", version=number, allowance=Allowance(queue=queue))
        made = self.ledger.routes.revise(wanted)
        before = sum(of == number for of, _ in self.model.names)
        new = f"v{number}" if not before else f"v{number}-{before + 1}"
        assert made.name == self.model.names.setdefault((number, queue), new)
        self.renew(made.name)
        assert made.state == self.model.revisions[made.name]

    def renew(self, name: str) -> None:
        if self.model.revisions.get(name, "retired") in {"retired", "failed"}:
            self.model.revisions[name] = "loading"

    @rule(data=st.data(), state=st.sampled_from(STATES))
    def mark(self, data: st.DataObject, state: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.revisions)))
        was = data.draw(st.sampled_from([self.model.revisions[name], *STATES]))
        refused = self.model.revisions[name] != was or (
            state in {"draining", "retired"} and self.model.is_wanted(name)
        )
        marked = self.ledger.routes.mark("prices", name, state, "", was=was)  # type: ignore[arg-type]
        assert marked is not refused
        if marked:
            self.model.revisions[name] = state

    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.revisions)))
        begun = self.ledger.deployments.begin(
            Deployment(model="prices", number=0, revision=name, steps=STEPS)
        )
        running = self.model.running
        inherited = running.base if running else None
        base = inherited or len(self.model.routes) or None
        self.model.end("superseded")
        self.model.deployments.append(Known(revision=name, base=base))
        assert (begun.number, begun.base) == (len(self.model.deployments), base)
        self.renew(name)

    @rule(server=st.sampled_from(SERVERS), ends=st.booleans())
    def take(self, server: str, *, ends: bool) -> None:
        taken = self.ledger.deployments.take(server, lease=0.001 if ends else LEASE)
        if ends:
            let_ledgers_clock_move(self.ledger)
        known = self.model.running
        mine = known is not None and (known.server in {None, server} or known.ended)
        assert bool(taken) is mine
        if known and mine:
            known.server, known.ended = server, ends

    @rule(server=st.sampled_from(SERVERS))
    def gone(self, server: str) -> None:
        self.ledger.servers.gone(server)
        known = self.model.running
        if known and known.server == server:
            known.server = None

    @precondition(lambda self: self.model.deployments)
    @rule(data=st.data(), to=st.sampled_from(["running", "done", "undone", "failed"]))
    def advance(self, data: st.DataObject, to: str) -> None:
        number, given = self.some_step(data, to)
        if self.may_advance(number, given):
            moved = self.ledger.deployments.advance(given)
            self.moved(given)
            assert (moved.step, moved.state) == (given.step, given.state)
        else:
            with pytest.raises(Conflict):
                self.ledger.deployments.advance(given)

    @rule(
        data=st.data(),
        share=st.integers(1, 100),
        off=st.sampled_from([0, 0, 0, -1, 1]),
        with_it=st.booleans(),
    )
    def change(self, data: st.DataObject, share: int, off: int, *, with_it: bool) -> None:
        with_it = with_it and bool(self.model.deployments)
        traffic = self.some_traffic(data, share)
        number, given = self.some_step(data, "running") if with_it else (0, None)
        last = len(self.model.routes)
        previous = (last or None) if off == 0 else last + off
        route = Route(
            model="prices", number=0, traffic=traffic, kind="set", why="", details="d" * 64
        )
        if off or (given and not self.may_advance(number, given)):
            with pytest.raises(Conflict):
                self.ledger.routes.change(route, previous=previous, deployment=given)
            return
        made = self.ledger.routes.change(route, previous=previous, deployment=given)
        assert made.number == last + 1
        self.routed(traffic, given)

    def routed(self, traffic: dict[str, int], given: Deployment | None) -> None:
        self.model.routes.append(traffic)
        self.model.revisions |= dict.fromkeys(traffic, "serving")
        if given is None:
            self.model.end("superseded")
        else:
            self.moved(given)

    def some_traffic(self, data: st.DataObject, share: int) -> dict[str, int]:
        names = data.draw(st.permutations(sorted(self.model.revisions)))
        if share == 100 or len(names) == 1:
            return {names[0]: 100}
        return {names[0]: share, names[1]: 100 - share}

    def some_step(self, data: st.DataObject, to: str) -> tuple[int, Deployment]:
        count = len(self.model.deployments)
        number = data.draw(st.sampled_from([count, count, max(1, count - 1)]))
        held = self.ledger.deployments.get("prices", number)
        step = data.draw(st.integers(-1, len(STEPS) - 1))
        server = data.draw(st.sampled_from([held.server, None, *SERVERS]))
        return number, replace(held, step=step, state=to, server=server)  # type: ignore[arg-type]

    def may_advance(self, number: int, given: Deployment) -> bool:
        known = self.model.deployments[number - 1]
        return (
            known.state == "running"
            and given.step >= known.step
            and given.server in {None, known.server}
        )

    def moved(self, given: Deployment) -> None:
        known = self.model.running
        assert known is not None
        known.step = given.step
        if given.state != "running":
            self.model.end(given.state)

    @invariant()
    def the_ledger_holds_what_the_model_holds(self) -> None:
        revisions = self.ledger.routes.revisions("prices")
        assert {each.name: each.state for each in revisions} == self.model.revisions
        routes = self.ledger.routes.history("prices")
        assert [route.traffic for route in routes] == self.model.routes
        assert list(self.ledger.routes.in_force()) == list(routes[-1:])
        for number, known in enumerate(self.model.deployments, start=1):
            held = self.ledger.deployments.get("prices", number)
            assert (held.revision, held.base, held.step, held.state, held.server) == (
                known.revision,
                known.base,
                known.step,
                known.state,
                known.server,
            )

    @invariant()
    def the_history_is_only_appended_to(self) -> None:
        events = list(self.ledger.routes.events("prices"))
        assert events[: len(self.history)] == self.history
        self.history = events

    @invariant()
    def what_happened_tells_what_is(self) -> None:
        """The last word of the history on each revision is the state that it is in."""
        of_revisions = {
            event.revision: event.kind
            for event in self.history
            if event.deployment is None and event.revision
        }
        assert of_revisions == self.model.revisions
