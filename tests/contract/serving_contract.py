"""What every ledger does for what is served. Inherited as LedgerContract is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from fairlead.errors import Conflict, Invalid, NotFound
from fairlead.ledger.interface import Ledger
from fairlead.records import (
    Allowance,
    Bounds,
    Deployment,
    DeploymentState,
    Observed,
    Revision,
    RevisionState,
    Route,
    RouteKind,
    Server,
    ServingEvent,
    StepObservation,
)
from tests.contract.ledger_contract import LEASE, version, wait_until_past

IDLE = Allowance(idle_after=90.5, max_concurrency=3, queue=4, deadline=0.1 + 0.2)


def revise(ledger: Ledger, number: int, allowance: Allowance | None = None) -> Revision:
    given = Revision(
        model="prices", name="", version=number, allowance=allowance or Allowance(), reason="asked"
    )
    return ledger.routes.revise(given)


def route(traffic: Mapping[str, int], model: str = "prices") -> Route:
    return Route(
        model=model, number=0, traffic=traffic, kind="set", why="by hand", details="d" * 64
    )


def change(ledger: Ledger, traffic: Mapping[str, int], deployment: Deployment | None = None) -> int:
    """The number of the route that follows the one in force."""
    current = ledger.routes.current("prices")
    previous = current.number if current else None
    return ledger.routes.change(route(traffic), previous=previous, deployment=deployment).number


def deployment(revision: str = "v2", model: str = "prices") -> Deployment:
    return Deployment(model=model, number=0, revision=revision, steps=(10, 50, 100))


def begin(ledger: Ledger, revision: str = "v2") -> Deployment:
    return ledger.deployments.begin(deployment(revision))


def observation(
    server: str = "one", *, requests: int = 5, deployment: int = 1, step: int = -1
) -> StepObservation:
    seen = Observed(requests=requests, errors=1, refused=2, latency=(0, 3, 2), bins=(1, 0))
    return StepObservation(
        model="prices",
        deployment=deployment,
        step=step,
        server=server,
        seconds=1 / 3,
        revisions={"v1": Observed(), "v2": seen},
        edges=(-1 / 3, 1e-300),
        crashes=2,
    )


def bring(ledger: Ledger, name: str, state: RevisionState) -> None:
    """Bring a revision into a state, whatever it is in."""
    (revision,) = (each for each in ledger.routes.revisions("prices") if each.name == name)
    assert ledger.routes.mark("prices", name, state, "", was=revision.state)


def states(ledger: Ledger) -> dict[str, RevisionState]:
    return {revision.name: revision.state for revision in ledger.routes.revisions("prices")}


def happened(ledger: Ledger) -> list[tuple[str, str]]:
    return [(event.kind, event.text) for event in ledger.routes.events("prices")]


def everything(ledger: Ledger) -> Sequence[object]:
    """All that a write could change."""
    return (
        ledger.routes.revisions(),
        ledger.routes.history("prices"),
        ledger.routes.in_force(),
        ledger.routes.events("prices"),
        last(ledger),
    )


def last(ledger: Ledger) -> Deployment | None:
    try:
        return ledger.deployments.get("prices")
    except NotFound:
        return None


def let_ledgers_clock_move(ledger: Ledger) -> None:
    wait_until_past(ledger, ledger.now() + 0.002)


class TwoRevisions:
    """What the contracts start from."""

    @pytest.fixture
    def served(self, ledger: Ledger) -> Ledger:
        """A ledger with two versions of `prices`, v1 and v2 their revisions."""
        for manifest in "ab":
            revise(ledger, ledger.versions.register(version(manifest=manifest)).number)
        return ledger


class RevisionsContract(TwoRevisions):
    """Revisions of models."""

    def test_a_new_revision_is_named_after_its_version_and_loading(self, ledger: Ledger) -> None:
        ledger.versions.register(version())
        before = ledger.now()
        first = revise(ledger, 1)
        assert first == Revision(
            model="prices",
            name="v1",
            version=1,
            state="loading",
            reason="asked",
            created=first.created,
            changed=first.created,
        )
        assert before <= first.created <= ledger.now()

    def test_each_further_allowance_of_a_version_is_a_revision_of_its_own(
        self, served: Ledger
    ) -> None:
        others = [IDLE, replace(IDLE, queue=5)]
        assert [revise(served, 2, each).name for each in others] == ["v2-2", "v2-3"]
        assert revise(served, 1, IDLE).name == "v1-2"
        kept = {each.name: each.allowance for each in served.routes.revisions()}
        assert kept == {
            "v1": Allowance(),
            "v1-2": IDLE,
            "v2": Allowance(),
            "v2-2": IDLE,
            "v2-3": replace(IDLE, queue=5),
        }

    def test_the_same_allowance_keeps_its_name(self, served: Ledger) -> None:
        first = revise(served, 2, IDLE)
        revise(served, 2, replace(IDLE, queue=5))
        before = everything(served)
        assert revise(served, 2, IDLE) == first
        assert revise(served, 2) == served.routes.revisions("prices")[1]
        assert everything(served) == before

    def test_revisions_are_listed_by_model_version_and_creation(self, served: Ledger) -> None:
        served.versions.register(version("a-model"))
        served.routes.revise(Revision(model="a-model", name="", version=1))
        for queue in range(1, 11):
            revise(served, 1, Allowance(queue=queue))
        names = [(each.model, each.name) for each in served.routes.revisions()]
        further = [("prices", f"v1-{number}") for number in range(2, 12)]
        assert names == [("a-model", "v1"), ("prices", "v1"), *further, ("prices", "v2")]
        assert [each.name for each in served.routes.revisions("a-model")] == ["v1"]
        assert served.routes.revisions("price") == []

    @pytest.mark.parametrize("state", ["retired", "failed"])
    def test_a_revision_that_was_over_is_loading_again(
        self, served: Ledger, state: RevisionState
    ) -> None:
        bring(served, "v1", state)
        let_ledgers_clock_move(served)
        again = revise(served, 1)
        assert (again.name, again.state, again.reason) == ("v1", "loading", "asked")
        assert again.created < again.changed

    @pytest.mark.parametrize("state", ["ready", "serving", "draining"])
    def test_a_revision_that_is_held_is_left_as_it_is(
        self, served: Ledger, state: RevisionState
    ) -> None:
        bring(served, "v1", state)
        assert revise(served, 1).state == state

    def test_a_version_that_is_not_there_has_no_revision(self, served: Ledger) -> None:
        with pytest.raises(NotFound, match="it has 1 to 2"):
            revise(served, 3)
        with pytest.raises(NotFound, match="no model is called 'price'"):
            served.routes.revise(Revision(model="price", name="", version=1))

    def test_a_mark_changes_state_reason_and_time(self, served: Ledger) -> None:
        created = served.routes.revisions("prices")[0]
        let_ledgers_clock_move(served)
        assert served.routes.mark("prices", "v1", "failed", "it said NaN", was="loading")
        marked = served.routes.revisions("prices")[0]
        assert marked == replace(
            created, state="failed", reason="it said NaN", changed=marked.changed
        )
        assert marked.changed > created.changed

    def test_a_new_reason_for_the_same_state_does_not_move_its_time(self, served: Ledger) -> None:
        created = served.routes.revisions("prices")[0]
        let_ledgers_clock_move(served)
        assert served.routes.mark("prices", "v1", "loading", "it takes long", was="loading")
        assert served.routes.revisions("prices")[0] == replace(created, reason="it takes long")

    def test_a_mark_on_what_has_changed_meanwhile_writes_nothing(self, served: Ledger) -> None:
        assert served.routes.mark("prices", "v1", "ready", "", was="loading")
        before = everything(served)
        assert not served.routes.mark("prices", "v1", "failed", "late", was="loading")
        assert everything(served) == before

    def test_a_mark_on_an_unknown_revision_is_refused(self, served: Ledger) -> None:
        with pytest.raises(NotFound, match="revisions: 'v1', 'v2'"):
            served.routes.mark("prices", "v3", "ready", "", was="loading")

    @pytest.mark.parametrize("state", ["draining", "retired"])
    def test_what_the_route_in_force_names_does_not_leave(
        self, served: Ledger, state: RevisionState
    ) -> None:
        change(served, {"v1": 100})
        change(served, {"v2": 100})
        assert not served.routes.mark("prices", "v2", state, "", was="serving")
        assert served.routes.mark("prices", "v1", state, "", was="serving")
        assert states(served) == {"v1": state, "v2": "serving"}

    def test_what_a_running_deployment_brings_in_does_not_leave(self, served: Ledger) -> None:
        bring(served, "v2", "ready")
        begun = begin(served, "v2")
        assert not served.routes.mark("prices", "v2", "retired", "", was="ready")
        served.deployments.advance(replace(begun, state="failed", reason="no"))
        assert served.routes.mark("prices", "v2", "retired", "", was="ready")

    def test_what_serves_may_still_be_found_to_have_failed(self, served: Ledger) -> None:
        change(served, {"v1": 100})
        assert served.routes.mark("prices", "v1", "failed", "its file is gone", was="serving")

    def test_retired_revisions_need_not_be_listed(self, served: Ledger) -> None:
        bring(served, "v1", "retired")
        assert [each.name for each in served.routes.revisions(retired=False)] == ["v2"]
        assert [each.name for each in served.routes.revisions("prices", retired=False)] == ["v2"]
        assert len(served.routes.revisions()) == 2


class RoutesContract(TwoRevisions):
    """Routes, and their history."""

    def test_before_the_first_there_is_no_route(self, served: Ledger) -> None:
        assert served.routes.current("prices") is None
        assert (served.routes.in_force(), served.routes.history("prices")) == ([], [])

    def test_a_route_comes_back_as_it_was_given(self, served: Ledger) -> None:
        begun = begin(served)
        change(served, {"v1": 100}, begun)
        given = Route(
            model="prices",
            number=0,
            traffic={"v2": 33, "v1": 67},
            kind="undo",
            why="it was wörse",
            details="e" * 64,
            sticky="cookie:who",
            deployment=begun.number,
            before=1,
        )
        before = served.now()
        made = served.routes.change(given, previous=1)
        assert made == replace(given, number=2, at=made.at)
        assert before <= made.at <= served.now()
        assert served.routes.current("prices") == made
        assert served.routes.history("prices")[1] == made

    def test_a_route_is_found_by_its_number(self, served: Ledger) -> None:
        for name in ("v1", "v2"):
            change(served, {name: 100})
        history = served.routes.history("prices")
        assert [served.routes.get("prices", number) for number in (1, 2)] == history
        for model, number in [("prices", 0), ("prices", 3), ("rents", 1)]:
            with pytest.raises(NotFound, match=f"'{model}' has no route {number}"):
                served.routes.get(model, number)

    def test_the_last_route_is_in_force(self, served: Ledger) -> None:
        shares = [{"v1": 100}, {"v1": 90, "v2": 10}, {"v2": 100}]
        assert [change(served, traffic) for traffic in shares] == [1, 2, 3]
        history = served.routes.history("prices")
        assert [each.traffic for each in history] == shares
        assert served.routes.current("prices") == history[-1]

    def test_each_route_is_found_by_its_number(self, served: Ledger) -> None:
        for traffic in ({"v1": 100}, {"v1": 90, "v2": 10}):
            change(served, traffic)
        history = served.routes.history("prices")
        assert [served.routes.get("prices", number) for number in (1, 2)] == history

    @pytest.mark.parametrize(("model", "number"), [("prices", 2), ("prices", 0), ("wages", 1)])
    def test_a_route_that_is_not_there_is_refused(
        self, served: Ledger, model: str, number: int
    ) -> None:
        change(served, {"v1": 100})
        with pytest.raises(NotFound, match=f"model '{model}' has no route {number}"):
            served.routes.get(model, number)

    def test_every_model_with_a_route_is_listed_with_the_one_in_force(self, served: Ledger) -> None:
        for model in ("wages", "rents", "ages"):
            served.versions.register(version(model))
            served.routes.revise(Revision(model=model, name="", version=1))
        for previous in (None, 1):
            served.routes.change(route({"v1": 100}, "wages"), previous=previous)
        served.routes.change(route({"v1": 100}, "rents"), previous=None)
        change(served, {"v2": 100})
        found = [(each.model, each.number) for each in served.routes.in_force()]
        assert found == [("prices", 1), ("rents", 1), ("wages", 2)]

    def test_what_is_routed_serves(self, served: Ledger) -> None:
        bring(served, "v2", "draining")
        change(served, {"v1": 50, "v2": 50})
        assert states(served) == {"v1": "serving", "v2": "serving"}
        assert served.routes.revisions("prices")[0].reason == "route 1: by hand"

    def test_what_serves_already_keeps_its_reason(self, served: Ledger) -> None:
        change(served, {"v1": 100})
        before = served.routes.revisions("prices")[0]
        change(served, {"v1": 90, "v2": 10})
        assert served.routes.revisions("prices")[0] == before

    @pytest.mark.parametrize("previous", [None, 2, 0])
    def test_a_change_of_a_route_that_is_not_in_force_is_refused(
        self, served: Ledger, previous: int | None
    ) -> None:
        begun = begin(served)
        change(served, {"v1": 100}, begun)
        before = everything(served)
        for with_it in (None, replace(begun, step=0)):
            with pytest.raises(Conflict, match="route 1 is in force by now"):
                served.routes.change(route({"v2": 100}), previous=previous, deployment=with_it)
        assert everything(served) == before

    def test_a_first_route_over_one_that_was_never_there_is_refused(self, served: Ledger) -> None:
        with pytest.raises(Conflict, match="none is in force by now, not route 1"):
            served.routes.change(route({"v1": 100}), previous=1)
        assert served.routes.in_force() == []

    @pytest.mark.parametrize(
        "traffic",
        [
            {},
            {"v1": 99},
            {"v1": 101},
            {"v1": 100, "v2": 0},
            {"v1": 110, "v2": -10},
            {"v1": 60, "v2": 60},
        ],
    )
    def test_traffic_is_a_hundred_percent_in_parts_above_nothing(
        self, served: Ledger, traffic: Mapping[str, int]
    ) -> None:
        before = everything(served)
        with pytest.raises(Invalid, match="percents above 0 that make 100"):
            change(served, traffic)
        assert everything(served) == before

    @pytest.mark.parametrize("kind", ["undeploy", "undo"])
    def test_a_model_that_is_taken_out_of_service_has_a_route_without_traffic(
        self, served: Ledger, kind: RouteKind
    ) -> None:
        change(served, {"v1": 100})
        begun = begin(served)
        out = served.routes.change(replace(route({}), kind=kind), previous=1)
        assert served.routes.current("prices") == out
        assert served.routes.in_force() == [out]
        assert served.deployments.get("prices", begun.number).state == "superseded"
        assert served.routes.mark("prices", "v1", "retired", "", was="serving")

    @pytest.mark.parametrize("kind", ["undeploy", "deploy", "set"])
    def test_only_what_takes_a_model_out_of_service_has_no_traffic(
        self, served: Ledger, kind: RouteKind
    ) -> None:
        traffic = {"v1": 100} if kind == "undeploy" else {}
        with pytest.raises(Invalid, match="the traffic must be"):
            served.routes.change(replace(route(traffic), kind=kind), previous=None)
        assert served.routes.in_force() == []

    @pytest.mark.parametrize(
        ("given", "named"),
        [
            (route({"v1": 50, "v3": 50}), "no revision 'v3'; revisions: 'v1', 'v2'"),
            (route({"v1": 100}, "rents"), "no revision 'v1'; revisions: none"),
            (replace(route({"v1": 100}), deployment=1), "nothing of model 'prices' has been"),
            (replace(route({"v1": 100}), before=1), "no route 1"),
        ],
    )
    def test_a_route_that_names_what_is_not_there_is_refused(
        self, served: Ledger, given: Route, named: str
    ) -> None:
        before = everything(served)
        with pytest.raises(NotFound, match=named):
            served.routes.change(given, previous=None)
        assert everything(served) == before
        assert [each.model for each in served.routes.in_force()] == []

    def test_the_details_of_every_route_are_roots(self, served: Ledger) -> None:
        change(served, {"v1": 100})
        served.routes.change(replace(route({"v2": 100}), details="e" * 64), previous=1)
        assert {"d" * 64, "e" * 64} <= set(served.roots.digests())

    def test_the_history_tells_what_happened_and_why(self, served: Ledger) -> None:
        bring(served, "v1", "ready")
        change(served, {"v1": 100})
        begun = begin(served)
        served.deployments.take("one", lease=LEASE)
        change(served, {"v1": 90, "v2": 10}, replace(begun, step=0, reason="too little so far"))
        served.servers.gone("one")
        back = replace(begun, step=0, state="undone", reason="3 of 9 failed")
        change(served, {"v1": 100}, back)
        bring(served, "v2", "failed")
        served.routes.note(ServingEvent(model="prices", kind="refused", text="v9 is unknown"))
        assert happened(served) == [
            ("loading", "asked"),
            ("loading", "asked"),
            ("ready", ""),
            ("routed", "by hand"),
            ("serving", "route 1: by hand"),
            ("began", ""),
            ("taken", "one"),
            ("routed", "by hand"),
            ("serving", "route 2: by hand"),
            ("step", "1 of 3: 10 %"),
            ("released", "one"),
            ("routed", "by hand"),
            ("undone", "3 of 9 failed"),
            ("failed", ""),
            ("refused", "v9 is unknown"),
        ]
        events = served.routes.events("prices")
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert served.routes.events("rents") == []

    def test_a_line_of_the_history_names_what_it_is_about(self, served: Ledger) -> None:
        begun = begin(served)
        change(served, {"v2": 100}, replace(begun, step=0))
        lines = {event.kind: event for event in served.routes.events("prices")}
        about = {
            kind: (lines[kind].revision, lines[kind].route, lines[kind].deployment)
            for kind in ("serving", "routed", "step")
        }
        assert about == {
            "serving": ("v2", None, None),
            "routed": (None, 1, 1),
            "step": ("v2", None, 1),
        }


class DeploymentsContract(TwoRevisions):
    """Deployments, and who carries them out."""

    def test_a_deployment_comes_back_as_it_was_given_and_runs(self, served: Ledger) -> None:
        change(served, {"v1": 100})
        given = replace(
            deployment(), bounds=Bounds(hold=1.5, drift=0.1 + 0.2), sticky="header:X", reason="new"
        )
        before = served.now()
        begun = served.deployments.begin(replace(given, number=7, step=2, state="done", base=9))
        assert begun == replace(given, number=1, base=1, began=begun.began, since=begun.began)
        assert before <= begun.began <= served.now()
        assert (begun.state, begun.step) == ("running", -1)
        assert served.deployments.get("prices") == served.deployments.get("prices", 1) == begun

    def test_the_last_deployment_is_meant_where_no_number_is_given(self, served: Ledger) -> None:
        first, second = begin(served), begin(served, "v1")
        assert (first.number, second.number) == (1, 2)
        assert served.deployments.get("prices") == second
        assert served.deployments.get("prices", 1).revision == "v2"

    def test_the_author_of_a_deployment_is_the_reason_that_it_began_with(
        self, served: Ledger
    ) -> None:
        for author in ("ann@home", "bob@work"):
            served.deployments.begin(replace(deployment(), reason=author))
        second = served.deployments.get("prices", 2)
        served.deployments.advance(replace(second, reason="the serving processes load it"))
        authors = [served.deployments.author("prices", number) for number in (1, 2, 3)]
        assert authors == ["ann@home", "bob@work", None]

    def test_deployments_that_are_not_there_are_refused(self, served: Ledger) -> None:
        with pytest.raises(NotFound, match="nothing of model 'prices' has been deployed"):
            served.deployments.get("prices")
        begin(served)
        with pytest.raises(NotFound, match="no deployment 2: it has 1 to 1"):
            served.deployments.get("prices", 2)
        with pytest.raises(NotFound, match="no revision 'v3'"):
            begin(served, "v3")
        with pytest.raises(NotFound):
            served.deployments.advance(replace(deployment(), number=2))
        assert served.deployments.get("prices").state == "running"

    @pytest.mark.parametrize("steps", [(), (10,), (50, 50, 100), (50, 10, 100), (0, 100), (101,)])
    def test_steps_that_do_not_rise_to_a_hundred_are_refused(
        self, served: Ledger, steps: tuple[int, ...]
    ) -> None:
        before = everything(served)
        with pytest.raises(Invalid, match="rising percents that end with 100"):
            served.deployments.begin(replace(deployment(), steps=steps))
        assert everything(served) == before

    def test_a_new_deployment_supersedes_the_one_that_runs_and_goes_back_as_far(
        self, served: Ledger
    ) -> None:
        change(served, {"v1": 100})
        first = begin(served, "v2")
        change(served, {"v1": 90, "v2": 10}, replace(first, step=0))
        second = begin(served, "v1")
        assert (first.base, second.base) == (1, 1)
        ended = served.deployments.get("prices", 1)
        assert (ended.state, ended.reason) == ("superseded", "deployment 2 of v1 began")
        with pytest.raises(Conflict, match="is superseded by now: deployment 2 of v1 began"):
            served.deployments.advance(replace(first, step=1))
        served.deployments.advance(replace(second, state="done"))
        assert begin(served).base == 2

    def test_what_supersedes_a_first_deployment_goes_back_to_the_route_that_this_made(
        self, served: Ledger
    ) -> None:
        first = begin(served, "v1")
        change(served, {"v1": 100}, replace(first, step=2))
        assert (first.base, begin(served).base) == (None, 1)

    def test_a_server_takes_deployments_of_its_models_only(self, served: Ledger) -> None:
        begun = begin(served)
        assert served.deployments.take("one", lease=LEASE, models=("others",)) == []
        assert served.deployments.get("prices").server is None
        (taken,) = served.deployments.take("two", lease=LEASE, models=("prices",))
        assert taken == replace(begun, server="two")

    @pytest.mark.parametrize("state", ["retired", "failed"])
    def test_a_revision_that_was_over_is_loaded_again_for_its_deployment(
        self, served: Ledger, state: RevisionState
    ) -> None:
        bring(served, "v2", state)
        begin(served, "v2")
        assert states(served)["v2"] == "loading"

    def test_a_step_begins_when_it_is_written_and_lasts_over_other_news(
        self, served: Ledger
    ) -> None:
        begun = begin(served)
        let_ledgers_clock_move(served)
        first = served.deployments.advance(replace(begun, step=0))
        assert (first.step, first.began) == (0, begun.began)
        assert first.since > begun.since
        let_ledgers_clock_move(served)
        waits = served.deployments.advance(replace(first, reason="1 of 100 requests so far"))
        assert waits == replace(first, reason="1 of 100 requests so far")
        assert served.deployments.get("prices") == waits

    def test_what_a_deployment_waits_for_is_no_line_of_the_history(self, served: Ledger) -> None:
        begun = begin(served)
        before = happened(served)
        for count in range(3):
            served.deployments.advance(replace(begun, reason=f"{count} of 100 requests so far"))
        assert happened(served) == before

    def test_only_step_state_and_reason_of_a_deployment_move(self, served: Ledger) -> None:
        begun = begin(served)
        other = replace(begun, revision="v1", steps=(100,), base=5, sticky="header:X", began=1.0)
        moved = served.deployments.advance(replace(other, step=1))
        assert moved == replace(begun, step=1, since=moved.since)

    @pytest.mark.parametrize("state", ["done", "undone", "failed"])
    def test_what_has_ended_is_never_written_again(
        self, served: Ledger, state: DeploymentState
    ) -> None:
        begun = begin(served)
        ended = served.deployments.advance(replace(begun, state=state, reason="so"))
        before = everything(served)
        for late in (begun, replace(begun, step=0), ended):
            with pytest.raises(Conflict, match=f"is {state} by now: so"):
                served.deployments.advance(late)
        assert everything(served) == before

    def test_a_deployment_never_goes_to_an_earlier_step(self, served: Ledger) -> None:
        begun = begin(served)
        served.deployments.advance(replace(begun, step=1))
        with pytest.raises(Conflict, match="at step 1 by now, not 0"):
            served.deployments.advance(replace(begun, step=0))

    @pytest.mark.parametrize("step", [3, 100])
    def test_a_step_that_a_deployment_does_not_have_is_refused(
        self, served: Ledger, step: int
    ) -> None:
        begun = begin(served)
        with pytest.raises(Invalid, match="no step"):
            served.deployments.advance(replace(begun, step=step))
        assert served.deployments.get("prices") == begun

    def test_a_deployment_keeps_the_reason_that_it_was_begun_with(self, served: Ledger) -> None:
        for by in ("ann", "bob"):
            begun = served.deployments.begin(replace(deployment(), reason=f"asked by {by}"))
            served.deployments.advance(replace(begun, step=0, reason="it goes well"))
        assert [served.deployments.author("prices", n) for n in (1, 2, 3)] == [
            "asked by ann",
            "asked by bob",
            None,
        ]

    def test_a_route_and_its_deployment_are_written_together(self, served: Ledger) -> None:
        begun = begin(served)
        number = change(served, {"v2": 100}, replace(begun, step=0, reason="at first"))
        assert served.routes.history("prices")[number - 1].deployment == begun.number
        moved = served.deployments.get("prices")
        assert (moved.step, moved.state, moved.reason) == (0, "running", "at first")

    @pytest.mark.parametrize(
        "end",
        [
            lambda ledger: ledger.deployments.advance(
                replace(ledger.deployments.get("prices"), state="undone")
            ),
            begin,
            lambda ledger: change(ledger, {"v1": 100}),
        ],
    )
    def test_a_route_for_a_deployment_that_does_not_run_is_refused_and_writes_nothing(
        self, served: Ledger, end: Callable[[Ledger], object]
    ) -> None:
        change(served, {"v1": 100})
        begun = begin(served)
        end(served)
        before = everything(served)
        with pytest.raises(Conflict, match="deployment 1 of 'v2' of model 'prices' is"):
            change(served, {"v1": 90, "v2": 10}, replace(begun, step=0))
        assert everything(served) == before

    def test_a_route_that_comes_with_the_deployment_of_something_else_is_refused(
        self, served: Ledger
    ) -> None:
        begun = begin(served)
        for given in (route({"v1": 100}, "rents"), replace(route({"v1": 100}), deployment=2)):
            with pytest.raises(Invalid, match="it comes with deployment 1 of 'prices'"):
                served.routes.change(given, previous=None, deployment=begun)
        assert served.routes.in_force() == []

    def test_a_route_that_is_to_supersede_nothing_is_refused_while_a_deployment_runs(
        self, served: Ledger
    ) -> None:
        change(served, {"v1": 100})
        begun = begin(served)
        before = everything(served)
        given = route({"v2": 100})
        with pytest.raises(Conflict, match="runs by now"):
            served.routes.change(given, previous=1, superseding=False)
        assert everything(served) == before
        served.deployments.advance(replace(begun, state="undone"))
        assert served.routes.change(given, previous=1, superseding=False).number == 2

    def test_a_route_by_hand_supersedes_the_deployment_that_runs(self, served: Ledger) -> None:
        begin(served)
        served.deployments.take("one", lease=LEASE)
        change(served, {"v1": 100})
        ended = served.deployments.get("prices")
        assert (ended.state, ended.reason) == ("superseded", "route 1: by hand")
        assert served.deployments.take("one", lease=LEASE) == []

    def test_a_deployment_is_carried_out_by_one_server(self, served: Ledger) -> None:
        begun = begin(served)
        held = replace(begun, server="one")
        assert served.deployments.take("one", lease=LEASE) == [held]
        assert served.deployments.take("two", lease=LEASE) == []
        assert served.deployments.take("one", lease=LEASE) == [held]
        assert served.deployments.get("prices").server == "one"

    def test_after_its_lease_another_server_takes_the_deployment(self, served: Ledger) -> None:
        begin(served)
        (held,) = served.deployments.take("one", lease=0.001)
        let_ledgers_clock_move(served)
        (taken,) = served.deployments.take("two", lease=LEASE)
        assert taken == replace(held, server="two")
        assert served.deployments.take("one", lease=LEASE) == []
        before = everything(served)
        with pytest.raises(Conflict, match="carried out by 'two' by now, not 'one'"):
            served.deployments.advance(replace(held, step=0))
        with pytest.raises(Conflict, match="carried out by 'two' by now, not 'one'"):
            change(served, {"v2": 100}, replace(held, step=0))
        assert everything(served) == before

    def test_who_takes_a_deployment_again_has_it_for_longer(self, served: Ledger) -> None:
        begin(served)
        served.deployments.take("one", lease=0.001)
        served.deployments.take("one", lease=LEASE)
        let_ledgers_clock_move(served)
        assert served.deployments.take("two", lease=LEASE) == []

    def test_a_shorter_lease_counts_from_when_it_is_asked(self, served: Ledger) -> None:
        begin(served)
        served.deployments.take("one", lease=LEASE)
        served.deployments.take("one", lease=0.001)
        let_ledgers_clock_move(served)
        assert len(served.deployments.take("two", lease=LEASE)) == 1

    def test_a_server_takes_the_deployments_of_every_model_by_model(self, served: Ledger) -> None:
        begin(served)
        for model in ("wages", "ages"):
            served.versions.register(version(model))
            served.routes.revise(Revision(model=model, name="", version=1))
            served.deployments.begin(deployment("v1", model))
        taken = served.deployments.take("one", lease=LEASE)
        assert [each.model for each in taken] == ["ages", "prices", "wages"]

    def test_deployments_that_run_are_listed_whoever_carries_them_out(self, served: Ledger) -> None:
        assert served.deployments.running() == []
        begun = begin(served)
        assert served.deployments.running() == [begun]
        served.deployments.take("one", lease=LEASE)
        assert served.deployments.running() == [replace(begun, server="one")]
        served.deployments.advance(replace(begun, state="done"))
        assert served.deployments.running() == []

    def test_what_has_ended_is_taken_by_nobody(self, served: Ledger) -> None:
        begun = begin(served)
        (held,) = served.deployments.take("one", lease=LEASE)
        ended = served.deployments.advance(replace(held, state="done"))
        assert ended == replace(begun, state="done")
        assert served.deployments.take("one", lease=LEASE) == []

    def test_who_holds_a_deployment_need_not_be_known_to_end_it(self, served: Ledger) -> None:
        begun = begin(served)
        served.deployments.take("one", lease=LEASE)
        assert served.deployments.advance(replace(begun, state="undone")).state == "undone"


class ObservationsContract(TwoRevisions):
    """What servers have observed of the step that a deployment is at."""

    def test_an_observation_comes_back_as_it_was_given(self, served: Ledger) -> None:
        begun = begin(served)
        assert served.deployments.observations(begun) == []
        served.deployments.observe(observation())
        assert served.deployments.observations(begun) == [observation()]

    def test_what_a_server_observed_later_takes_the_place_of_what_it_had(
        self, served: Ledger
    ) -> None:
        begun = begin(served)
        for server, requests in (("two", 3), ("one", 5), ("two", 9)):
            served.deployments.observe(observation(server, requests=requests))
        expected = [observation("one"), observation("two", requests=9)]
        assert served.deployments.observations(begun) == expected

    def test_observations_of_a_server_that_is_gone_stay(self, served: Ledger) -> None:
        begun = begin(served)
        served.servers.seen(Server(id="one", url="u", processes=1), lease=LEASE)
        served.deployments.observe(observation())
        served.servers.gone("one")
        assert served.deployments.observations(begun) == [observation()]

    def test_with_a_step_all_that_was_observed_of_the_one_before_goes(self, served: Ledger) -> None:
        begun = begin(served)
        served.deployments.observe(observation())
        served.deployments.advance(replace(begun, reason="it waits"))
        assert served.deployments.observations(begun) == [observation()]
        moved = served.deployments.advance(replace(begun, step=0))
        served.deployments.observe(observation("two"))
        assert served.deployments.observations(begun) == []
        assert served.deployments.observations(moved) == []
        served.deployments.observe(observation(step=0))
        assert served.deployments.observations(moved) == [observation(step=0)]

    @pytest.mark.parametrize("state", ["done", "undone", "failed"])
    def test_with_a_deployment_all_that_was_observed_goes(
        self, served: Ledger, state: DeploymentState
    ) -> None:
        begun = begin(served)
        served.deployments.observe(observation())
        served.deployments.advance(replace(begun, state=state))
        served.deployments.observe(observation("two"))
        assert served.deployments.observations(begun) == []

    def test_a_deployment_that_supersedes_another_takes_over_nothing_observed(
        self, served: Ledger
    ) -> None:
        first = begin(served)
        served.deployments.observe(observation())
        second = begin(served)
        served.deployments.observe(observation("two"))
        assert served.deployments.observations(first) == []
        assert served.deployments.observations(second) == []

    def test_what_was_observed_of_a_deployment_that_is_not_there_is_not_kept(
        self, served: Ledger
    ) -> None:
        served.deployments.observe(observation())
        assert served.deployments.observations(begin(served)) == []


class ServersContract(TwoRevisions):
    """The serving programs that are alive."""

    def test_a_server_that_was_seen_is_alive(self, ledger: Ledger) -> None:
        given = Server(id="one", url="http://[::1]:80", processes=2, routes={"prices": 3})
        before = ledger.now()
        ledger.servers.seen(given, lease=LEASE)
        (alive,) = ledger.servers.alive()
        assert alive == replace(given, started=alive.started, seen=alive.started)
        assert before <= alive.started <= ledger.now()

    @pytest.mark.parametrize("models", [None, ("prices",), ("a", "b")])
    def test_which_models_a_server_serves_is_known(
        self, ledger: Ledger, models: tuple[str, ...] | None
    ) -> None:
        given = Server(id="one", url="u", processes=2, models=models)
        ledger.servers.seen(given, lease=LEASE)
        (alive,) = ledger.servers.alive()
        assert alive.models == models
        assert alive.serves("prices") == (models is None or "prices" in models)

    def test_what_it_follows_is_written_at_once(self, ledger: Ledger) -> None:
        given = Server(id="one", url="u", processes=2)
        ledger.servers.seen(given, lease=LEASE)
        (first,) = ledger.servers.alive()
        let_ledgers_clock_move(ledger)
        ledger.servers.seen(replace(given, routes={"prices": 3}), lease=LEASE)
        (second,) = ledger.servers.alive()
        assert (second.routes, second.started) == ({"prices": 3}, first.started)
        assert second.seen > first.seen

    def test_a_server_whose_lease_ended_is_not_alive(self, ledger: Ledger) -> None:
        given = Server(id="one", url="u", processes=2)
        ledger.servers.seen(given, lease=0.001)
        let_ledgers_clock_move(ledger)
        assert ledger.servers.alive() == []
        assert [server.id for server in ledger.servers.silent()] == ["one"]
        ledger.servers.seen(given, lease=LEASE)
        assert [server.id for server in ledger.servers.alive()] == ["one"]
        assert ledger.servers.silent() == []

    def test_a_server_that_is_seen_again_lives_for_longer(self, ledger: Ledger) -> None:
        given = Server(id="one", url="u", processes=2)
        ledger.servers.seen(given, lease=0.001)
        ledger.servers.seen(given, lease=LEASE)
        let_ledgers_clock_move(ledger)
        assert [server.id for server in ledger.servers.alive()] == ["one"]

    def test_servers_are_listed_the_oldest_first(self, ledger: Ledger) -> None:
        for name in ("c", "a", "b"):
            ledger.servers.seen(Server(id=name, url="u", processes=1), lease=LEASE)
            let_ledgers_clock_move(ledger)
        ledger.servers.seen(Server(id="c", url="elsewhere", processes=1), lease=LEASE)
        assert [server.id for server in ledger.servers.alive()] == ["c", "a", "b"]

    def test_a_server_that_is_gone_is_forgotten_with_what_it_holds(self, served: Ledger) -> None:
        begin(served)
        served.servers.seen(Server(id="one", url="u", processes=1), lease=LEASE)
        served.deployments.take("one", lease=LEASE)
        served.servers.gone("one")
        assert served.servers.alive() == served.servers.silent() == []
        assert len(served.deployments.take("two", lease=LEASE)) == 1
        before = everything(served)
        served.servers.gone("one")
        assert everything(served) == before


class ServingContract(
    RevisionsContract,
    RoutesContract,
    DeploymentsContract,
    ObservationsContract,
    ServersContract,
):
    """All of it."""
