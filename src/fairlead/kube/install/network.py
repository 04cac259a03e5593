"""Who may connect to whom: nobody, and then the flows that there are."""

from __future__ import annotations

from urllib.parse import urlsplit

from lightkube.models.meta_v1 import LabelSelector, LabelSelectorRequirement
from lightkube.models.networking_v1 import (
    NetworkPolicyEgressRule,
    NetworkPolicyIngressRule,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicySpec,
)
from lightkube.resources.networking_v1 import NetworkPolicy

from fairlead.kube.install.installation import (
    HEALTH_PORT,
    PORT,
    POSTGRESQL,
    POSTGRESQL_PORT,
    RABBITMQ,
    RABBITMQ_PORT,
    SERVING_PORT,
    Installation,
)
from fairlead.kube.install.labels import (
    COMPONENT,
    FAIRLEAD,
    NAME,
    metadata,
    programs,
    selected,
)

_DNS = 53
_HTTPS = 443
_API_SERVER = 6443
_AMQPS = 5671


def policies(installation: Installation) -> tuple[NetworkPolicy, ...]:
    """Every policy of an installation."""
    nothing = NetworkPolicySpec(podSelector=LabelSelector(), policyTypes=["Ingress", "Egress"])
    specs = {
        "default-deny": nothing,
        "dns": _egress(LabelSelector(), _to_port(_DNS, "UDP", "TCP")),
        "https": _egress(programs(), _to_port(_HTTPS)),
        "api-server": _egress(_pods("operator"), _to_port(_HTTPS), _to_port(_API_SERVER)),
        "server": _ingress(_pods("server"), PORT),
        "operator": _ingress(_pods("operator"), HEALTH_PORT),
        "serving": _ingress(_pods("serving"), SERVING_PORT),
        "gateway": _ingress(_pods("gateway"), SERVING_PORT),
        "programs": _egress(programs(), _to_programs(PORT), _to_programs(SERVING_PORT)),
        **_of_stores(installation),
        **(_of_training() if installation.training else {}),
    }
    return tuple(
        NetworkPolicy(metadata=metadata(installation, f"fairlead-{name}", "network"), spec=spec)
        for name, spec in specs.items()
    )


def _of_training() -> dict[str, NetworkPolicySpec]:
    """Workers and the ranks that they start may call each other, and workers the API.

    Workers are called by any rank; who reaches a rank, says a policy that its driver makes
    (engines/rank_pods.py).
    """
    either = LabelSelectorRequirement(key=COMPONENT, operator="In", values=["worker", "rank"])
    both = LabelSelector(matchLabels={NAME: FAIRLEAD}, matchExpressions=[either])
    workers, ranks = _pods("worker"), _pods("rank")
    called = NetworkPolicyIngressRule(from_=[NetworkPolicyPeer(podSelector=ranks)])
    calling = NetworkPolicyEgressRule(to=[NetworkPolicyPeer(podSelector=both)])
    return {
        "training": _egress(both, calling),
        "drivers": NetworkPolicySpec(
            podSelector=workers, policyTypes=["Ingress"], ingress=[called]
        ),
        "trainer": _egress(workers, _to_port(_API_SERVER)),
    }


def _of_stores(installation: Installation) -> dict[str, NetworkPolicySpec]:
    """To ledger, queue and artefact store: those of the installation, or elsewhere."""
    found = {}
    for name, own, program, port, url in (
        ("ledger", installation.postgresql, POSTGRESQL, POSTGRESQL_PORT, installation.ledger),
        ("queue", installation.rabbitmq, RABBITMQ, RABBITMQ_PORT, installation.queue),
        ("artifacts", None, "", 0, installation.artifacts),
    ):
        if own:
            peer = NetworkPolicyPeer(podSelector=_pods(program))
            rule = NetworkPolicyEgressRule(to=[peer], ports=_ports(port, "TCP"))
            found[name] = _egress(programs(), rule)
            found[program] = _ingress(_pods(program), port, clients=programs())
        elif url:
            found[name] = _egress(programs(), _to_port(_port_of(url)))
    return found


def _port_of(url: str) -> int:
    parts = urlsplit(url)
    known = {"postgresql": POSTGRESQL_PORT, "amqp": RABBITMQ_PORT, "amqps": _AMQPS}
    return parts.port or known.get(parts.scheme, _HTTPS)


def _to_port(port: int, *protocols: str) -> NetworkPolicyEgressRule:
    """To this port, wherever."""
    return NetworkPolicyEgressRule(ports=_ports(port, *(protocols or ("TCP",))))


def _to_programs(port: int) -> NetworkPolicyEgressRule:
    """To this port of Fairlead's own programs: servers are asked what they serve."""
    peer = NetworkPolicyPeer(podSelector=programs())
    return NetworkPolicyEgressRule(to=[peer], ports=_ports(port, "TCP"))


def _egress(pods: LabelSelector, *rules: NetworkPolicyEgressRule) -> NetworkPolicySpec:
    return NetworkPolicySpec(podSelector=pods, policyTypes=["Egress"], egress=[*rules])


def _ingress(
    pods: LabelSelector, port: int, *, clients: LabelSelector | None = None
) -> NetworkPolicySpec:
    """From these pods of the namespace; from everywhere where none are named."""
    peers = [NetworkPolicyPeer(podSelector=clients)] if clients else None
    rule = NetworkPolicyIngressRule(from_=peers, ports=_ports(port, "TCP"))
    return NetworkPolicySpec(podSelector=pods, policyTypes=["Ingress"], ingress=[rule])


def _pods(component: str) -> LabelSelector:
    return LabelSelector(matchLabels=selected(component))


def _ports(port: int, *protocols: str) -> list[NetworkPolicyPort]:
    return [NetworkPolicyPort(port=port, protocol=each) for each in protocols]
