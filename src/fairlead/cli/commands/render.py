"""`fairlead render`: a spec as YAML for other systems."""

from __future__ import annotations

from pathlib import Path

import click

from fairlead.cli.kubernetes import kubernetes_needed, print_yaml
from fairlead.cli.options import sets_option
from fairlead.cli.output import note

_ANNOTATED = 250_000
"""Bytes past which `kubectl apply` does not find room for its copy in an annotation."""
_EPILOG = """\b
Examples:
  fairlead render boston.yaml --for kubernetes --workers 8 > study.yaml
  fairlead render boston.yaml --for kubernetes | kubectl apply -f -
"""


@click.command(epilog=_EPILOG)
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--for",
    "target",
    type=click.Choice(["kubernetes"]),
    required=True,
    help="Whose objects: a Study of Fairlead's operator.",
)
@sets_option
@click.option("--workers", type=click.IntRange(1, 1024), help="Workers at most.")
@click.option("--cpu", metavar="QUANTITY", help="Of each worker, such as 500m.")
@click.option("--memory", metavar="QUANTITY", help="Of each worker, such as 1Gi.")
@click.option("--deploy", is_flag=True, help="If it becomes champion, have it deployed.")
def command(  # noqa: PLR0913 - click passes each option by name
    *,
    spec: Path,
    target: str,  # noqa: ARG001 - there is one so far
    sets: tuple[str, ...],
    workers: int | None,
    cpu: str | None,
    memory: str | None,
    deploy: bool,
) -> None:
    """Print SPEC as plain YAML for a cluster.

    A Study has the document as it is, and with it the code of ./file.py families and data in
    text files of up to 900 kB together; larger data is refused. Nothing is run, and no cluster is
    asked.
    """
    with kubernetes_needed("an object of Kubernetes"):
        from fairlead.control.rendering import ClusterRequest, study_object
        from fairlead.kube.install.installation import refuse_quantity
    from fairlead.spec.load import load

    for name, quantity in (("--cpu", cpu), ("--memory", memory)):
        if quantity is not None:
            refuse_quantity(quantity, name)
    request = ClusterRequest(workers=workers, cpu=cpu, memory=memory, deploy=deploy)
    made = study_object(load(spec, sets=sets), request)
    if sum(map(len, made["spec"].get("files", {}).values())) > _ANNOTATED:
        note("it is large: `kubectl apply` takes it with --server-side alone")
    print_yaml([made])
