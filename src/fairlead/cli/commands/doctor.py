"""`fairlead doctor`: whether this installation can run a spec, or a cluster take one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from fairlead.cli.context import settings
from fairlead.cli.kubernetes import cluster_option, connected, kubernetes_needed, on_option
from fairlead.cli.output import json_option, note, print_json, print_table

if TYPE_CHECKING:
    from fairlead.control.installation import Check

_EPILOG = """\b
Examples:
  fairlead doctor
  fairlead doctor --json
  fairlead doctor --on kubernetes --image example.org/fairlead:0.1.0
"""


@click.command(epilog=_EPILOG)
@on_option
@cluster_option("--image", metavar="IMAGE", help="Kubernetes: that a pod tries [$FAIRLEAD_IMAGE].")
@cluster_option(
    "--storage-class", metavar="NAME", help="Kubernetes: of volumes [the cluster's default one]."
)
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    *,
    on: str | None,
    namespace: str,
    context: str | None,
    image: str | None,
    storage_class: str | None,
    as_json: bool,
) -> None:
    """Check this installation: packages, home, ledger, machine, MLflow.

    With --on kubernetes, whether Fairlead can be installed in a cluster: its version and clock,
    permissions, storage class, quota, and whether the image can be pulled and starts. Nothing is
    changed but that a pod tries the image, and is deleted again. The exit status is 1 where a
    check finds what would stop a run.
    """
    if on is None:
        from fairlead.control.installation import checks

        _show(ctx, checks(settings(ctx)), "a run", as_json=as_json)
        return
    with kubernetes_needed("a Kubernetes cluster"):
        from fairlead.control.cluster_checks import cluster_checks
        from fairlead.kube.install.installation import (
            IMAGE,
            Claim,
            Installation,
            own_postgresql,
            own_rabbitmq,
        )
    storage = storage_class or ""
    tried = image or settings(ctx).image
    wanted = Installation(
        namespace=namespace,
        image=tried or IMAGE,
        claim=Claim(storage_class=storage),
        postgresql=own_postgresql(storage_class=storage),
        rabbitmq=own_rabbitmq(storage_class=storage),
    )
    with connected(namespace, context) as cluster:
        found = cluster_checks(cluster, wanted, image=bool(tried))
        _show(ctx, found, "an installation", as_json=as_json)


def _show(ctx: click.Context, checks: Iterable[Check], what: str, *, as_json: bool) -> None:
    found = list(checks)
    failed = [check.name for check in found if check.state == "fail"]
    if as_json:
        print_json({"ok": not failed, "checks": found})
    else:
        rows = [(check.state, check.name, check.text) for check in found]
        print_table(("", "check", "found"), rows)
        can = "can start" if what == "a run" else "can be made"
        note(f"{what} would stop at: {', '.join(failed)}" if failed else f"{what} {can}")
    if failed:
        ctx.exit(1)
