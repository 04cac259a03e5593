"""`fairlead uninstall`: Fairlead out of a Kubernetes cluster."""

from __future__ import annotations

import click

from fairlead.cli.kubernetes import (
    connected,
    context_option,
    kubernetes_needed,
    namespace_option,
    say,
)
from fairlead.cli.output import json_option, note, print_json, print_table

_EPILOG = """\b
Examples:
  fairlead uninstall
  fairlead uninstall --namespace trials --purge
"""


@click.command(epilog=_EPILOG)
@namespace_option
@context_option
@click.option("--purge", is_flag=True, help="Delete the data as well: nothing is left.")
@json_option
def command(*, namespace: str, context: str | None, purge: bool, as_json: bool) -> None:
    """Delete an installation from a Kubernetes cluster.

    Volumes, Secrets, Studies, Endpoints, the kinds and the namespace stay: installed again, it
    goes on with them. With --purge they go, too; the namespace where Fairlead made it, the kinds
    unless another namespace uses them.
    """
    with kubernetes_needed("an installation in Kubernetes"):
        from fairlead.control.cluster_uninstallation import uninstall
    with connected(namespace, context) as cluster:
        done = uninstall(cluster, purge=purge, listen=say)
    if as_json:
        print_json(done)
        return
    print_table(
        ("deleted", "objects"),
        sorted(done.deleted.items()),
        empty=f"there was nothing to delete in namespace {namespace!r}",
    )
    if done.kept:
        note(f"kept: {', '.join(done.kept)}")
