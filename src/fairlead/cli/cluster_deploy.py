"""`fairlead deploy --on kubernetes`: an Endpoint that is applied and followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import click

from fairlead.cli.kubernetes import cluster_option, connected, kubernetes_needed, on_option
from fairlead.cli.output import note, print_fields, print_json

Command = TypeVar("Command", bound=Callable[..., Any])
_MOST = 1024


@dataclass(frozen=True, kw_only=True)
class EndpointChoice:
    """The options of a deployment on a cluster.

    Args:
        on: The kind of cluster; None for the servers that run.
        namespace: Of the installation.
        context: Of the kubeconfig; None for its current one.
        least: Replicas at least; one if None.
        most: Replicas at most; as many as at least if None.
        expose: How it is reached by an address; as before if None.
        node_port: The port, where that is at each node; a free one if None.
        host: Its name outside of the cluster; as before if None.
        ingress_class: Whose controller serves that name; the cluster's default one if None.
        tls_secret: Name of the Secret of the certificate for that name; plain HTTP if None.
    """

    on: str | None
    namespace: str
    context: str | None
    least: int | None
    most: int | None
    expose: Literal["cluster", "node"] | None
    node_port: int | None
    host: str | None
    ingress_class: str | None
    tls_secret: str | None

    def __post_init__(self) -> None:
        if self.node_port is not None and self.expose != "node":
            raise click.UsageError("--node-port goes with --expose node.")
        if self.host is None and (self.ingress_class or self.tls_secret):
            raise click.UsageError("--ingress-class and --tls-secret go with --host.")

    @property
    def service(self) -> Mapping[str, Any] | None:
        """How it is reached by an address, as an Endpoint says it."""
        if self.expose is None:
            return None
        kind = "NodePort" if self.expose == "node" else "ClusterIP"
        return {"type": kind, "nodePort": self.node_port}

    @property
    def ingress(self) -> Mapping[str, Any] | None:
        """How it is reached by a name, as an Endpoint says it."""
        if self.host is None:
            return None
        others = {"className": self.ingress_class, "tlsSecret": self.tls_secret}
        return {"host": self.host, **others}


def endpoint_options(command: Command) -> Command:
    """Give the command what says that a model is served on a cluster, and how."""
    for option in (
        cluster_option("--tls-secret", metavar="NAME", help="Kubernetes: of --host's certificate."),
        cluster_option("--ingress-class", metavar="NAME", help="Kubernetes: that serves --host."),
        cluster_option("--host", metavar="NAME", help="Kubernetes: have an Ingress for this host."),
        cluster_option(
            "--node-port",
            type=click.IntRange(1, 65535),
            metavar="PORT",
            help="Kubernetes: the port of --expose node [a free one].",
        ),
        cluster_option(
            "--expose",
            type=click.Choice(["cluster", "node"]),
            help="Kubernetes: answer in the cluster alone, or at each node, too.",
        ),
        cluster_option(
            "--max",
            "most",
            type=click.IntRange(1, _MOST),
            metavar="N",
            help="Kubernetes: replicas at most [as before, or --min].",
        ),
        cluster_option(
            "--min",
            "least",
            type=click.IntRange(0, _MOST),
            metavar="N",
            help="Kubernetes: replicas at least; 0: none while nobody asks [as before, or 1].",
        ),
    ):
        command = option(command)
    return on_option(command)


def deploy_on_cluster(  # noqa: PLR0913 - what, how, and how it is printed
    choice: EndpointChoice,
    model: str,
    *,
    version: int | None,
    canary: tuple[int, ...] | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Apply the Endpoint of a model, and print it once it is live, if that is waited for."""
    with kubernetes_needed("an Endpoint"):
        from fairlead.control.cluster_endpoints import EndpointRequest, apply, follow

    request = EndpointRequest(
        model=model,
        version=version,
        canary=canary,
        least=choice.least,
        most=choice.most,
        service=choice.service,
        ingress=choice.ingress,
    )
    with connected(choice.namespace, choice.context) as cluster:
        generation = apply(cluster, request)
        where = f"-n {choice.namespace} "
        note(f"Endpoint {model} is applied; `kubectl {where}get endpoints.fairlead.dev` shows it")
        if not wait:
            if as_json:
                print_json(request.object())
            return
        status = follow(cluster, model, generation, timeout=timeout, on_message=note)
    if as_json:
        print_json(dict(status))
    else:
        names = ("version", "traffic", "ready", "url")
        print_fields([(name, str(status.get(name))) for name in names])
