"""What an Endpoint needs next, what its status says, and the objects that serve it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lightkube.resources.apps_v1 import Deployment as Replicas
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler

from fairlead.errors import Conflict, FairleadError, Forbidden, Invalid, NotFound, Unexportable
from fairlead.kube.place import PodPlace, PodSettings
from fairlead.operator.endpoint_decide import (
    Deploy,
    EndpointView,
    Leave,
    next_step,
    noted_of_deploy,
    status_of,
)
from fairlead.operator.endpoint_object import EndpointObject
from fairlead.operator.endpoint_scale import (
    ASLEEP,
    AWAKE,
    GATEWAY_AWAY,
    Activity,
    Scale,
    next_scale,
    scale_of,
)
from fairlead.operator.process import fingerprint
from fairlead.operator.replicas import as_many, digest_of, objects, refuse_other
from fairlead.records import Deployment
from fairlead.settings import Settings

DEPLOYMENT = Deployment(model="boston", number=1, revision="v2", steps=(10, 100))
VIEW = EndpointView(
    wanted=2,
    asked="boston v2",
    begun="boston v2",
    refused="",
    deployment=replace(DEPLOYMENT, state="done"),
    live=2,
    traffic="v2 100 %",
    replicas=2,
    ready=2,
    least=2,
    scale=AWAKE,
    waits="",
    url="http://boston.ml.svc",
)


SETTINGS = PodSettings(name="fairlead", fingerprint="f-1")


def said(view: EndpointView) -> dict[str, tuple[str, str]]:
    return {one.kind: (one.status, one.reason) for one in status_of(view)[1]}


def test_each_thing_that_is_asked_for_is_begun_once() -> None:
    assert next_step(replace(VIEW, begun="")) == Deploy(version=2)
    assert next_step(VIEW) == Leave()
    assert next_step(replace(VIEW, begun="boston v1")) == Deploy(version=2)


def test_what_was_taken_back_is_not_brought_in_again() -> None:
    undone = replace(DEPLOYMENT, state="undone", reason="at 10 % of the traffic: slower")
    view = replace(VIEW, live=1, deployment=undone)
    assert next_step(view) == Leave()
    assert said(view)["Deployed"] == ("False", "TakenBack")
    assert "slower" in status_of(view)[0]["message"]


def test_without_a_champion_nothing_is_begun() -> None:
    view = replace(VIEW, wanted=None, asked="", begun="", live=None, deployment=None)
    assert next_step(view) == Leave()
    assert said(view)["Deployed"] == ("False", "NoChampion")


def test_a_deployment_under_way_is_told_with_what_it_waits_for() -> None:
    running = replace(DEPLOYMENT, step=0, reason="3 of 20 requests so far")
    view = replace(VIEW, live=None, deployment=running, traffic="v1 90 %, v2 10 %")
    fields, _ = status_of(view)
    assert said(view)["Deployed"] == ("False", "Deploying")
    assert "3 of 20 requests so far" in fields["message"]
    assert fields["version"] is None
    assert fields["traffic"] == "v1 90 %, v2 10 %"


def test_it_is_ready_with_as_many_replicas_as_there_are_to_be() -> None:
    assert said(VIEW) == {"Ready": ("True", "ReplicasReady"), "Deployed": ("True", "Live")}
    assert said(replace(VIEW, ready=1))["Ready"] == ("False", "ReplicasStarting")
    assert status_of(replace(VIEW, ready=1))[0]["ready"] == "1/2"


@pytest.mark.parametrize("error", [NotFound("v2"), Forbidden("the bucket"), Conflict("first")])
def test_what_passes_is_tried_again(error: FairleadError) -> None:
    noted = noted_of_deploy("boston v2", error)
    view = replace(VIEW, live=1, **noted)
    assert next_step(view) == Deploy(version=2)
    assert said(view)["Deployed"] == ("False", "Refused")
    assert noted_of_deploy("boston v2", None) == {"begun": "boston v2", "refused": ""}


def test_what_does_not_pass_is_tried_once() -> None:
    noted = noted_of_deploy("boston v2", Unexportable("version 2 has no ONNX form"))
    assert next_step(replace(VIEW, live=1, **noted)) == Leave()


def test_what_replicas_wait_for_is_said() -> None:
    view = replace(VIEW, ready=0, waits="the image 'fairlead:1' cannot be pulled: not found")
    fields, (ready, _) = status_of(view)
    assert ready.message.endswith("0 of 2 replicas are ready: " + view.waits)
    assert fields["message"] == ready.message


def test_one_that_sleeps_is_ready() -> None:
    view = replace(VIEW, least=0, scale=ASLEEP, replicas=0, ready=0)
    assert said(view)["Ready"] == ("True", "Asleep")
    assert status_of(view)[0]["message"] == ""


def test_a_gateway_that_is_away_is_said() -> None:
    assert "gateway does not answer" in status_of(replace(VIEW, scale=GATEWAY_AWAY))[0]["message"]


def test_a_refusal_stays_until_something_else_is_asked_for() -> None:
    view = replace(VIEW, refused="version 2 has no ONNX form", live=1)
    assert next_step(view) == Leave()
    assert said(view)["Deployed"] == ("False", "Refused")


def endpoint(**spec: Any) -> EndpointObject:
    metadata = {"name": "boston", "namespace": "ml", "uid": "u-1"}
    return EndpointObject.read({"metadata": metadata, "spec": {"model": "boston", **spec}})


def made(of: EndpointObject, scale: Scale = AWAKE) -> list[Any]:
    return [*objects(of, PodPlace(image="fairlead:1"), SETTINGS, scale)]


def test_another_canary_of_the_same_version_is_asked_for_anew() -> None:
    assert endpoint().asked(2) == endpoint(max=4).asked(2)
    assert endpoint().asked(2) != endpoint(canary=[10, 100]).asked(2)


def test_more_replicas_at_least_than_at_most_are_refused() -> None:
    with pytest.raises(Invalid, match="min 3 is more than max 2"):
        endpoint(min=3, max=2)


def test_a_fixed_number_of_replicas_has_no_autoscaler() -> None:
    found = made(endpoint(min=2))
    assert not any(isinstance(one, HorizontalPodAutoscaler) for one in found)
    assert found[0].spec.replicas == 2


def test_where_an_autoscaler_decides_nobody_else_says_how_many_replicas_there_are() -> None:
    found = made(endpoint(min=2, max=5))
    (scaler,) = (one for one in found if isinstance(one, HorizontalPodAutoscaler))
    assert (scaler.spec.minReplicas, scaler.spec.maxReplicas) == (2, 5)  # type: ignore[union-attr]
    assert found[0].spec.replicas is None


@pytest.mark.parametrize(("now", "then"), [(4, 4), (1, 2), (0, 2), (None, 2)])
def test_an_autoscaler_begins_with_the_replicas_that_there_are(now: int | None, then: int) -> None:
    of = endpoint(min=2, max=5)
    there = None if now is None else made(endpoint(min=2))[0]
    if there is not None:
        there.spec.replicas = now
    assert as_many(made(of)[0], there, of).spec.replicas == then  # type: ignore[union-attr]


def test_a_replica_answers_until_no_proxy_sends_it_requests() -> None:
    replicas = made(endpoint())[0]
    assert isinstance(replicas, Replicas)
    assert replicas.spec is not None
    pod, strategy = replicas.spec.template.spec, replicas.spec.strategy
    assert pod is not None
    assert strategy is not None
    assert strategy.rollingUpdate is not None
    assert strategy.rollingUpdate.maxUnavailable == 0
    container = pod.containers[0]
    assert container.lifecycle is not None
    leaving = container.lifecycle.preStop.sleep.seconds  # type: ignore[union-attr]
    grace = int(container.args[container.args.index("--grace") + 1])  # type: ignore[union-attr, index]
    assert (pod.terminationGracePeriodSeconds or 0) > leaving + grace


def test_replicas_start_again_where_the_settings_of_the_operator_change() -> None:
    before = Settings(home=Path("/h"), ledger="postgresql://u:one@a/b", artifacts="s3://c")
    other = replace(before, ledger="postgresql://u:two@a/b")
    told = [fingerprint(one, key=key) for one in (before, other) for key in ("k", "l")]
    assert len({*told}) == 4
    assert fingerprint(replace(before, home=Path("/i")), key="k") == told[0]
    template = made(endpoint())[0].spec.template
    assert template.metadata.annotations == {"fairlead.dev/settings": "f-1"}


def test_all_objects_belong_to_the_endpoint() -> None:
    for one in made(endpoint(min=1, max=2)):
        (owner,) = one.metadata.ownerReferences
        assert (owner.kind, owner.name, owner.uid) == ("Endpoint", "boston", "u-1")


def test_one_that_sleeps_has_no_replica_and_its_service_leads_to_the_gateway() -> None:
    found = {(type(one).__name__, one.metadata.name): one for one in made(endpoint(min=0), ASLEEP)}
    assert found["Deployment", "boston"].spec.replicas == 0
    gateway = found["Deployment", "fairlead-gateway"].spec.selector.matchLabels
    assert found["Service", "boston"].spec.selector == gateway
    behind = found["Service", "boston-replicas"].spec.selector
    assert behind == found["Deployment", "boston"].spec.selector.matchLabels


def test_the_gateway_finds_a_replica_before_the_cluster_calls_it_ready() -> None:
    found = {(type(one).__name__, one.metadata.name): one for one in made(endpoint(min=0), ASLEEP)}
    assert found["Service", "boston-replicas"].spec.publishNotReadyAddresses


def test_a_port_of_each_node_and_a_name_lead_to_its_service() -> None:
    named = {"host": "prices.example.com", "className": "nginx", "tlsSecret": "prices-tls"}
    spec = {"service": {"type": "NodePort", "nodePort": 30080}, "ingress": named}
    found = {type(one).__name__: one for one in made(endpoint(**spec))}
    (port,) = found["Service"].spec.ports
    assert (found["Service"].spec.type, port.port, port.nodePort) == ("NodePort", 80, 30080)
    ingress = found["Ingress"].spec
    (rule,), (tls,) = ingress.rules, ingress.tls
    (path,) = rule.http.paths
    assert (ingress.ingressClassName, rule.host) == ("nginx", "prices.example.com")
    assert (path.backend.service.name, path.backend.service.port.number) == ("boston", 80)
    assert (tls.hosts, tls.secretName) == (["prices.example.com"], "prices-tls")


def test_its_url_is_the_one_that_leads_there_from_farthest_away() -> None:
    path = "/models/boston:predict"
    name = {"host": "prices.example.com"}
    assert endpoint().url(at_node="") == f"http://boston.ml.svc{path}"
    at_node = endpoint(service={"type": "NodePort"}).url(at_node="10.0.0.7:30080")
    assert at_node == f"http://10.0.0.7:30080{path}"
    assert endpoint(ingress=name).url(at_node="") == f"http://prices.example.com{path}"
    tls = {**name, "tlsSecret": "prices-tls"}
    assert endpoint(ingress=tls).url(at_node="") == f"https://prices.example.com{path}"


def test_the_gateway_belongs_to_no_endpoint() -> None:
    shared = [one for one in made(endpoint(min=0)) if one.metadata.name == "fairlead-gateway"]
    assert len(shared) == 2
    assert not any(one.metadata.ownerReferences for one in shared)


def test_what_somebody_deleted_or_changed_is_applied_again_after_some_minutes() -> None:
    own = made(endpoint(min=0))
    assert digest_of(own, 0.0) == digest_of(made(endpoint(min=0)), 299.0) != digest_of(own, 300.0)
    assert digest_of(own, 0.0) != digest_of(made(endpoint(min=0), ASLEEP), 0.0)


def test_objects_of_others_are_not_taken_over() -> None:
    own = made(endpoint(min=0))
    for one in own:
        refuse_other(one, one)
        others = one.to_dict()
        others["metadata"] |= {
            "ownerReferences": [],
            "labels": {"app.kubernetes.io/component": "x"},
        }
        with pytest.raises(Conflict, match="is there and not of this Endpoint"):
            refuse_other(type(one).from_dict(others), one)


def test_objects_of_an_endpoint_that_had_its_name_are_waited_out() -> None:
    for before, now in zip(made(endpoint()), made(replace(endpoint(), uid="u-2")), strict=True):
        with pytest.raises(Conflict):
            refuse_other(before, now)


QUIET = Activity(waiting=0, ready=1, idle=100.0, deploying=False)


def steps(*seen: Activity, before: Scale = ASLEEP) -> list[tuple[int | None, bool]]:
    told = []
    for one in seen:
        before = next_scale(before, one, sleeps_after=60.0)
        told.append((before.replicas, before.gateway))
    return told


def test_who_waits_wakes_it_and_then_the_gateway_is_out_of_the_way() -> None:
    nobody = replace(QUIET, ready=0)
    waits = replace(nobody, waiting=1)
    awake = replace(QUIET, idle=0.0)
    assert steps(nobody, waits, nobody, awake) == [(0, True), (1, True), (1, True), (None, False)]


def test_it_sleeps_after_a_moment_in_which_requests_go_through_the_gateway() -> None:
    gone = replace(QUIET, ready=0)
    told = steps(replace(QUIET, idle=59.0), QUIET, QUIET, gone, before=AWAKE)
    assert told == [(None, False), (None, True), (0, True), (0, True)]


def test_a_request_in_the_last_moment_keeps_it_awake() -> None:
    assert steps(QUIET, replace(QUIET, idle=1.0), before=AWAKE)[-1] == (None, False)


def test_while_the_gateway_is_away_it_does_not_sleep() -> None:
    away = replace(QUIET, waiting=None)
    for before in (ASLEEP, AWAKE):
        assert steps(away, replace(away, ready=0), before=before) == [(None, False)] * 2
    gone = replace(QUIET, ready=0)
    assert steps(away, QUIET, QUIET, gone) == [(None, False), (None, True), (0, True), (0, True)]


def test_a_status_keeps_how_it_is_served_by_its_name() -> None:
    for one in (AWAKE, ASLEEP, GATEWAY_AWAY):
        assert scale_of(one.state) == one
    assert scale_of(None) == scale_of({"replicas": 0}) == ASLEEP


def test_a_deployment_wakes_it_and_keeps_it_awake() -> None:
    deploying = replace(QUIET, deploying=True)
    assert steps(replace(deploying, ready=0), deploying) == [(1, True), (None, False)]


def test_one_with_replicas_at_least_never_sleeps() -> None:
    assert next_scale(ASLEEP, replace(QUIET, ready=0), sleeps_after=None) == AWAKE
