"""What a deployment on a cluster asks for, where there is an Endpoint and where there is none."""

from __future__ import annotations

from fairlead.control.cluster_endpoints import EndpointRequest

SERVICE = {"type": "NodePort", "nodePort": None}
INGRESS = {"host": "prices.example.com", "className": "nginx", "tlsSecret": None}


def test_a_new_endpoint_has_what_is_asked_for_and_no_more() -> None:
    request = EndpointRequest(model="prices", canary=(10, 100), service=SERVICE, ingress=INGRESS)
    assert request.object()["spec"] == {
        "model": "prices",
        "canary": [10, 100],
        "service": {"type": "NodePort"},
        "ingress": {"host": "prices.example.com", "className": "nginx"},
    }


def test_one_that_is_there_keeps_its_replicas_and_goes_back_to_the_champion() -> None:
    change = EndpointRequest(model="prices").change()
    assert change == {"model": "prices", "version": None, "canary": None}


def test_a_way_in_that_is_asked_for_leaves_nothing_of_the_one_before() -> None:
    change = EndpointRequest(model="prices", least=2, service=SERVICE, ingress=INGRESS).change()
    assert (change["min"], change["service"], change["ingress"]) == (2, SERVICE, INGRESS)
