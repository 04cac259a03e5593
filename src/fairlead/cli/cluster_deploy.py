"""`fairlead deploy --on kubernetes`: an Endpoint that is applied and followed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from fairlead.cli.kubernetes import connected, kubernetes_needed, on_option
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
    """

    on: str | None
    namespace: str
    context: str | None
    least: int | None
    most: int | None


def endpoint_options(command: Command) -> Command:
    """Give the command what says that a model is served on a cluster, and how."""
    for option in (
        click.option(
            "--max",
            "most",
            type=click.IntRange(1, _MOST),
            metavar="N",
            help="Kubernetes: replicas at most [--min].",
        ),
        click.option(
            "--min",
            "least",
            type=click.IntRange(0, _MOST),
            metavar="N",
            help="Kubernetes: replicas at least; 0: none while nobody asks [1].",
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
        model=model, version=version, canary=canary, least=choice.least, most=choice.most
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
