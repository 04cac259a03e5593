"""`fairlead run` and `fairlead watch` with `--on kubernetes`: a Study is applied and followed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fairlead.cli.interrupts import counted
from fairlead.cli.kubernetes import (
    cluster_option,
    connected,
    kubernetes_needed,
    on_option,
    refuse_resources,
)
from fairlead.cli.output import note, print_fields, print_json

if TYPE_CHECKING:
    from fairlead.control.cluster_runs import StudyOnCluster
    from fairlead.kube.client import Cluster

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class ClusterChoice:
    """The options of a run on a cluster.

    Args:
        on: The kind of cluster; None for this machine.
        namespace: Of the installation.
        context: Of the kubeconfig; None for its current one.
        cpu: That each worker asks for; the operator's default if None.
        memory: Likewise.
    """

    on: str | None
    namespace: str
    context: str | None
    cpu: str | None
    memory: str | None


def cluster_options(command: Command) -> Command:
    """Give the command what says that it runs on a cluster, and how."""
    for option in (
        cluster_option("--memory", metavar="QUANTITY", help="Kubernetes: of a worker, like 1Gi."),
        cluster_option("--cpu", metavar="QUANTITY", help="Kubernetes: of a worker, like 500m."),
    ):
        command = option(command)
    return on_option(command)


def run_on_cluster(  # noqa: PLR0913 - what, how, and how it is printed
    choice: ClusterChoice,
    spec: Path,
    sets: tuple[str, ...],
    *,
    workers: int | None,
    deploy: bool,
    as_json: bool,
) -> None:
    """Apply the Study of a spec, show how it goes on, and print what came of it."""
    from fairlead.spec.load import load

    with kubernetes_needed("a run on Kubernetes"):
        from fairlead.control.cluster_runs import apply
        from fairlead.control.rendering import ClusterRequest, study_object

    refuse_resources(choice.cpu, choice.memory)
    request = ClusterRequest(workers=workers, cpu=choice.cpu, memory=choice.memory, deploy=deploy)
    study = study_object(load(spec, sets=sets), request)
    with connected(choice.namespace, choice.context) as cluster:
        applied = apply(cluster, study)
        note(f"Study {applied.name} in namespace {applied.namespace} is applied")
        _follow(cluster, applied, as_json=as_json)


def watch_on_cluster(name: str, *, namespace: str, context: str | None, as_json: bool) -> None:
    """Show how the Study of this name goes on, and print what came of it."""
    with kubernetes_needed("a run on Kubernetes"):
        from fairlead.control.cluster_runs import find

    with connected(namespace, context) as cluster:
        _follow(cluster, find(cluster, name), as_json=as_json, lines_as_json=as_json)


def _follow(
    cluster: Cluster, study: StudyOnCluster, *, as_json: bool, lines_as_json: bool = False
) -> None:
    from fairlead.cli.progress import watching
    from fairlead.control.cluster_runs import follow

    with counted(keeps=True) as stop, watching(quiet=False, as_json=lines_as_json) as watch:
        ended = follow(cluster, study, watch, stop)
    if as_json:
        print_json(dict(ended.status))
    else:
        _show(ended)


def _show(ended: StudyOnCluster) -> None:
    status = ended.status
    model = f"{ended.name} v{status.get('version')}" if status.get("version") else ""
    fields = [
        ("study", status.get("study")),
        ("run", status.get("run")),
        ("trials", status.get("trials")),
        (f"best {status.get('metric', 'score')}", status.get("best")),
        ("model", model),
        ("gate", status.get("message")),
    ]
    print_fields([(name, str(value)) for name, value in fields if value not in {None, ""}])
    where = f"-n {ended.namespace} "
    note(f"next: kubectl {where}describe study {ended.name}")
