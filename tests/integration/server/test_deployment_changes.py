"""Routes are undone and shared by hand, each change with its details, in a real ledger."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.control.deployments import DeployRequest, deploy, wait
from fairlead.errors import Conflict, Failed, Invalid, NotFound, Unexportable
from fairlead.ledger.interface import Ledger
from fairlead.ledger.store import open_ledger
from fairlead.records import (
    Candidate,
    Column,
    Deployment,
    Parity,
    Promotion,
    Route,
    Signature,
    Study,
    Version,
)
from fairlead.registry.registry import Registry
from fairlead.rollout.record import author
from fairlead.rollout.routes import (
    cancel_deployment,
    put_in_force,
    running_deployment,
    set_traffic,
    undeploy,
    undo,
)
from fairlead.rollout.start import deployment_warnings, is_live, serve_settings, start_deployment
from fairlead.rollout.traffic_split import with_share
from fairlead.spec.document import Judge, Serve, Spec, canonical
from fairlead.stores import Stores

MODEL = "m"
PASSED = Parity(rows=10, beyond=0, worst=0.0, tolerance=1e-4, passed=True)
SERVE = Serve(canary=(10, 100), judge=Judge(hold=2.0), sticky="header:X-User", queue=7)


@dataclass
class Bench:
    """A home with versions of one model, and hands to route them."""

    ledger: Ledger
    artifacts: Artifacts

    @property
    def stores(self) -> Stores:
        return Stores(ledger=self.ledger, artifacts=self.artifacts)

    def version(self, **changes: Any) -> Version:
        """The next version, fit to be served unless changed."""
        number = len(self.ledger.versions.all(MODEL)) + 1
        candidate = replace(self._candidate(number), **changes)
        registry = Registry(self.ledger, self.artifacts)
        return registry.register(candidate, model=MODEL, size=1)

    def _candidate(self, number: int) -> Candidate:
        environment = {
            "git": {"commit": "c" * 40, "changed": False},
            "digests": {"fingerprint": "f"},
        }
        contents = {
            "model.onnx": f"model {number}".encode(),
            "environment.json": json.dumps(environment).encode(),
        }
        files = {name: self.artifacts.put(content) for name, content in contents.items()}
        return Candidate(
            study="s",
            trial=number,
            family="linear",
            params={},
            seed=0,
            metric="mse",
            holdout_score=float(number),
            training_rows=90,
            holdout_rows=10,
            signature=Signature(columns=(Column(name="x", kind="number"),), target="y"),
            files={name: each for name, each in files.items()},  # noqa: C416 - Stored is a File
            parity=PASSED,
        )

    def promote(self, number: int) -> None:
        champion = self.ledger.versions.champion(MODEL)
        previous = champion.number if champion else None
        self.ledger.versions.promote(
            Promotion(
                model=MODEL, number=0, version=number, previous=previous, kind="promote", why="so"
            )
        )

    def begin(self, number: int, **options: Any) -> Deployment:
        deployment = start_deployment(self.stores, MODEL, version=number, **options)
        self.ledger.routes.mark(MODEL, deployment.revision, "ready", "proved", was="loading")
        return deployment

    def step(self, deployment: Deployment) -> Deployment:
        """Take the deployment's next step, as a server does."""
        now = self.ledger.deployments.get(MODEL, deployment.number)
        previous = self.ledger.routes.current(MODEL)
        base = previous.traffic if previous and now.base else {}
        percent = now.steps[now.step + 1]
        route = Route(
            model=MODEL,
            number=0,
            traffic=with_share(base, now.revision, percent),
            kind="deploy",
            why=f"{now.revision} gets {percent} %",
            details="",
            before=now.base,
        )
        stepped = replace(now, step=now.step + 1)
        put_in_force(self.stores, route, previous=previous, deployment=stepped)
        return self.ledger.deployments.get(MODEL, deployment.number)

    def deployed(self, number: int) -> Deployment:
        """Deploy a version to the end."""
        deployment = self.begin(number, steps=(100,), serve=Serve())
        done = replace(self.step(deployment), state="done")
        return self.ledger.deployments.advance(done)

    def undo(self, why: str = "why not") -> Route:
        return undo(self.stores, MODEL, why)

    def share(self, **traffic: int) -> Route:
        return set_traffic(self.stores, MODEL, traffic, "by hand")

    @property
    def traffic(self) -> Mapping[str, int]:
        route = self.ledger.routes.current(MODEL)
        assert route is not None
        return route.traffic

    def details(self, route: Route) -> Any:
        return json.loads(self.artifacts.get(route.details))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Versions 1 to 3, of which 2 is the champion; nothing is deployed."""
    spec = Spec.model_validate(
        {
            "name": MODEL,
            "data": {"source": "diabetes"},
            "search": {"over": [{"family": "linear"}], "method": "grid"},
            "serve": SERVE.model_dump(),
        }
    )
    with open_ledger(tmp_path / "ledger.db") as ledger:
        ledger.studies.open(Study(id="s", name=MODEL, spec=canonical(spec), table="t", size=1))
        bench = Bench(ledger, Artifacts(tmp_path / "artifacts"))
        for _ in range(3):
            bench.version()
        bench.promote(2)
        yield bench


# ---- the beginning --------------------------------------------------------------------------


def test_the_champion_is_deployed_with_the_settings_of_its_spec(bench: Bench) -> None:
    bench.deployed(1)
    deployment = start_deployment(bench.stores, MODEL)
    assert (deployment.revision, deployment.steps) == ("v2", (10, 100))
    assert (deployment.bounds.hold, deployment.sticky) == (2.0, "header:X-User")
    revision = bench.ledger.routes.revisions(MODEL)[-1]
    assert (revision.name, revision.allowance.queue) == ("v2", 7)


def test_the_first_revision_has_nobody_to_share_traffic_with(bench: Bench) -> None:
    assert bench.begin(2, steps=(10, 50, 100)).steps == (100,)


def test_what_is_asked_for_goes_before_the_settings(bench: Bench) -> None:
    bench.deployed(1)
    deployment = bench.begin(3, steps=(50, 100), serve=Serve(queue=9))
    assert (deployment.revision, deployment.steps, deployment.sticky) == ("v3", (50, 100), None)


def test_the_same_version_with_the_same_settings_is_the_same_revision(bench: Bench) -> None:
    names = [bench.begin(1, serve=serve).revision for serve in (Serve(), Serve(), SERVE)]
    assert names == ["v1", "v1", "v1-2"]


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"parity": None}, Failed, "deploying v4 of model 'm': its exported form was never"),
        (
            {"files": {}, "unexportable": "a loop"},
            Unexportable,
            r"deploying v4 of model 'm': it has no ONNX form \(a loop\)",
        ),
    ],
)
def test_a_version_that_is_not_fit_to_be_live_is_not_deployed(
    bench: Bench, changes: dict[str, Any], kind: type[Exception], said: str
) -> None:
    version = bench.version(**changes)
    with pytest.raises(kind, match=said):
        start_deployment(bench.stores, MODEL, version=version.number)
    assert bench.ledger.routes.revisions(MODEL) == []


def test_live_is_what_has_all_traffic_with_these_settings(bench: Bench) -> None:
    bench.deployed(1)
    one, two, _ = bench.ledger.versions.all(MODEL)
    assert is_live(bench.ledger, one, Serve())
    assert not is_live(bench.ledger, one, serve_settings(bench.ledger, one))
    assert not is_live(bench.ledger, two, Serve())
    bench.step(bench.begin(2, steps=(10, 100)))
    assert not is_live(bench.ledger, one, Serve())


def test_what_clients_are_in_for_is_told_by_what_has_the_most_traffic(bench: Bench) -> None:
    columns = (Column(name="x", kind="number"), Column(name="z", kind="number"))
    version = bench.version(signature=Signature(columns=columns, target="y"))
    other = "v4 is not the champion, which is v2"
    assert deployment_warnings(bench.stores, version, Serve()) == [other]
    bench.deployed(1)
    bench.deployed(2)
    bench.share(v1=40, v2=60)
    said = "v4 takes column 'z', which v2 does not: requests without it will be answered 400"
    assert deployment_warnings(bench.stores, version, Serve()) == [other, said]
    damaged = bench.artifacts.path(bench.ledger.versions.get(MODEL, 2).manifest)
    damaged.unlink()
    assert deployment_warnings(bench.stores, version, Serve()) == [other]


def test_settings_that_another_revision_brings_are_told_with_its_name(bench: Bench) -> None:
    bench.deployed(2)
    champion = bench.ledger.versions.get(MODEL, 2)
    assert deployment_warnings(bench.stores, champion, Serve()) == []
    narrow = Serve(max_concurrency=8)
    (told,) = deployment_warnings(bench.stores, champion, narrow)
    assert told.endswith("change, v2 -> a new revision of v2: max_concurrency 256 -> 8")
    start_deployment(bench.stores, MODEL, version=2, serve=narrow)
    (told,) = deployment_warnings(bench.stores, champion, narrow)
    assert told.endswith("change, v2 -> v2-2: max_concurrency 256 -> 8")


# ---- out of service -------------------------------------------------------------------------


def test_a_model_is_taken_out_of_service_and_the_traffic_is_brought_back(bench: Bench) -> None:
    bench.deployed(1)
    bench.share(v1=100)
    route = undeploy(bench.stores, MODEL, "nobody asks")
    assert (dict(route.traffic), route.kind, route.before) == ({}, "undeploy", 2)
    assert bench.undo().traffic == {"v1": 100}


def test_what_is_out_of_service_is_not_live(bench: Bench) -> None:
    bench.deployed(1)
    undeploy(bench.stores, MODEL, "nobody asks")
    one = bench.ledger.versions.get(MODEL, 1)
    assert not is_live(bench.ledger, one, Serve())
    assert bench.begin(1, steps=(10, 100)).steps == (100,)


def test_a_deployment_without_traffic_is_superseded_where_nothing_was_live(bench: Bench) -> None:
    with pytest.raises(NotFound, match="has traffic yet"):
        undeploy(bench.stores, MODEL, "nobody asks")
    deployment = bench.begin(1)
    undeploy(bench.stores, MODEL, "nobody asks")
    assert bench.ledger.deployments.get(MODEL, deployment.number).state == "superseded"
    assert bench.traffic == {}


def test_the_details_of_a_route_without_traffic_name_no_revision(bench: Bench) -> None:
    bench.deployed(1)
    details = bench.details(undeploy(bench.stores, MODEL, "nobody asks"))
    assert (details["revision"], details["version"], details["settings"]) == (None, None, None)
    assert (details["kind"], details["why"]) == ("undeploy", "nobody asks")
    assert (details["traffic"], details["digests"]) == ([], None)
    assert details["previous"]["revision"] == "v1"
    assert bench.details(bench.undo())["previous"]["revision"] is None


# ---- undo -----------------------------------------------------------------------------------


def test_the_steps_of_a_deployment_are_undone_as_one(bench: Bench) -> None:
    bench.deployed(1)
    deployment = bench.step(bench.step(bench.begin(2, steps=(10, 50, 100))))
    assert bench.traffic == {"v1": 50, "v2": 50}
    route = bench.undo("too low")
    assert (dict(route.traffic), route.kind, route.why) == ({"v1": 100}, "undo", "too low")
    ended = bench.ledger.deployments.get(MODEL, deployment.number)
    assert (ended.state, ended.reason, ended.server) == ("undone", "too low", None)


def test_another_undo_goes_further_back_and_ends_at_the_first(bench: Bench) -> None:
    for number in (1, 2, 3):
        bench.deployed(number)
    assert bench.undo().traffic == {"v2": 100}
    assert bench.undo().traffic == {"v1": 100}
    with pytest.raises(Invalid, match="every change of its traffic is undone"):
        bench.undo()


def test_after_an_undo_a_deployment_is_undone_to_where_it_began(bench: Bench) -> None:
    bench.deployed(1)
    bench.deployed(2)
    bench.undo()
    bench.deployed(3)
    assert bench.undo().traffic == {"v1": 100}


def test_a_deployment_that_has_no_traffic_is_cancelled_and_the_route_stays(bench: Bench) -> None:
    bench.deployed(1)
    deployment = bench.begin(2)
    cancel_deployment(bench.ledger, deployment, "the wrong one")
    assert running_deployment(bench.ledger, MODEL) is None
    assert bench.traffic == {"v1": 100}


def test_a_deployment_that_has_traffic_cannot_be_cancelled(bench: Bench) -> None:
    bench.deployed(1)
    deployment = bench.begin(2)
    bench.step(deployment)
    with pytest.raises(Conflict):
        cancel_deployment(bench.ledger, deployment, "too late")


def test_of_several_who_undo_at_once_each_success_goes_one_route_back(bench: Bench) -> None:
    bench.deployed(1)
    bench.deployed(2)
    shares = [{"v1": percent, "v2": 100 - percent} for percent in range(1, 31)]
    for traffic in shares:
        bench.share(**traffic)
    ended: list[str] = []

    def undo_some() -> None:
        for _ in range(8):
            try:
                bench.undo()
                ended.append("undone")
            except Conflict:
                ended.append("told")

    threads = [threading.Thread(target=undo_some) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == 24
    assert bench.traffic == shares[-1 - ended.count("undone")]


def test_an_undo_beside_a_deployment_that_goes_on_undoes_all_of_it(bench: Bench) -> None:
    bench.deployed(1)
    deployment = bench.step(bench.begin(2, steps=tuple(range(1, 101))))

    def go_on() -> None:
        while running_deployment(bench.ledger, MODEL):
            try:
                bench.step(deployment)
            except (Conflict, IndexError):
                return

    going = threading.Thread(target=go_on)
    going.start()
    bench.undo()
    going.join()
    assert bench.traffic == {"v1": 100}
    assert bench.ledger.deployments.get(MODEL).state == "undone"


def test_there_is_nothing_to_undo_before_the_first_deployment(bench: Bench) -> None:
    with pytest.raises(NotFound, match="has traffic yet"):
        bench.undo()
    with pytest.raises(NotFound, match="no model"):
        undo(bench.stores, "nobody", "why")


# ---- by hand --------------------------------------------------------------------------------


def test_sharing_by_hand_ends_a_deployment_and_keeps_clients_where_they_are(bench: Bench) -> None:
    bench.deployed(1)
    previous = bench.ledger.routes.current(MODEL)
    bench.step(bench.begin(2, steps=(10, 100)))
    route = bench.share(v1=70, v2=30)
    assert previous is not None
    assert (dict(route.traffic), route.sticky) == ({"v1": 70, "v2": 30}, previous.sticky)
    assert bench.ledger.deployments.get(MODEL).state == "superseded"


def test_nothing_is_shared_with_what_was_never_proved(bench: Bench) -> None:
    bench.deployed(1)
    start_deployment(bench.stores, MODEL, version=2)
    with pytest.raises(Invalid, match="v2 is loading"):
        bench.share(v1=50, v2=50)
    with pytest.raises(NotFound, match="no revision 'v9'; revisions: 'v1', 'v2'"):
        bench.share(v9=100)
    assert bench.traffic == {"v1": 100}


# ---- details --------------------------------------------------------------------------------


def test_the_details_of_each_step_name_what_it_follows(bench: Bench) -> None:
    bench.deployed(1)
    bench.step(bench.begin(2, steps=(10, 100)))
    bench.undo("too low")
    first, step, back = bench.ledger.routes.history(MODEL)
    for route in (first, step, back):
        details = bench.details(route)
        assert (details["route"], details["kind"]) == (route.number, route.kind)
        shares = {each["revision"]: each["percent"] for each in details["traffic"]}
        assert shares == route.traffic
    details = bench.details(step)
    assert (details["revision"], details["version"]) == ("v2", 2)
    assert details["previous"]["route"] == first.number
    assert details["deployment"]["asked_by"] == author()
    assert bench.details(back)["revision"] == "v1"
    assert bench.details(back)["deployment"]["state"] == "undone"


def test_the_details_tell_where_the_version_comes_from(bench: Bench) -> None:
    bench.deployed(2)
    route = bench.ledger.routes.current(MODEL)
    assert route is not None
    details = bench.details(route)
    assert details["metrics"]["holdout"] == 2.0
    assert details["digests"]["data"] == "f"
    assert details["git"] == {"commit": "c" * 40, "changed": False, "of": "training"}
    assert details["gate"] is None
    assert details["previous"] is None


def test_going_back_to_a_version_whose_manifest_is_damaged_still_leaves_details(
    bench: Bench,
) -> None:
    bench.deployed(1)
    bench.deployed(2)
    damaged = bench.artifacts.path(bench.ledger.versions.get(MODEL, 1).manifest)
    damaged.chmod(0o644)
    damaged.write_bytes(b"{}")
    details = bench.details(bench.undo())
    assert (details["revision"], details["metrics"]) == ("v1", None)


def test_the_details_of_a_route_are_kept_from_the_garbage_collector(bench: Bench) -> None:
    bench.deployed(1)
    route = bench.ledger.routes.current(MODEL)
    assert route is not None
    assert route.details in bench.ledger.roots.digests()


def test_a_manifest_names_what_the_details_say(bench: Bench) -> None:
    bench.deployed(1)
    route = bench.ledger.routes.current(MODEL)
    assert route is not None
    details = bench.details(route)
    candidate = manifest.load(bench.artifacts.get(details["digests"]["manifest"]))
    assert candidate.files["model.onnx"].digest == details["digests"]["model"]


# ---- a run and an Endpoint that deploy the same version ---------------------------------------


def joined(bench: Bench, number: int, steps: tuple[int, ...] | None = None) -> Deployment:
    request = DeployRequest(model=MODEL, version=number, steps=steps, joins=True)
    begun = deploy(bench.stores, request, on_event=lambda _: None)
    assert begun is not None
    return begun


def test_who_joins_takes_the_deployment_of_the_same_version_that_runs(bench: Bench) -> None:
    bench.deployed(1)
    first = bench.begin(2)
    assert joined(bench, 2).number == first.number
    assert joined(bench, 2, steps=(10, 100)).number == first.number
    assert bench.ledger.deployments.get(MODEL).state == "running"


@pytest.mark.parametrize(("number", "steps"), [(3, None), (2, (50, 100))])
def test_who_joins_begins_another_version_and_other_steps_anew(
    bench: Bench, number: int, steps: tuple[int, ...] | None
) -> None:
    bench.deployed(1)
    first = bench.begin(2)
    assert joined(bench, number, steps).number == first.number + 1


def test_who_waits_for_a_deployment_waits_for_the_one_of_its_version_that_follows(
    bench: Bench,
) -> None:
    bench.deployed(1)
    first = bench.begin(2)
    second = bench.begin(2, steps=(100,))
    bench.ledger.deployments.advance(replace(bench.step(second), state="done"))
    route = wait(bench.stores, first, on_look=lambda _: None)
    assert (route.deployment, route.traffic) == (second.number, {"v2": 100})


def test_who_waits_for_a_deployment_is_told_that_another_version_follows(bench: Bench) -> None:
    bench.deployed(1)
    first = bench.begin(2)
    bench.begin(3)
    with pytest.raises(Failed, match="was superseded"):
        wait(bench.stores, first, on_look=lambda _: None)
