"""`fairlead install`: Fairlead in a Kubernetes cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairlead.cli.context import settings
from fairlead.cli.kubernetes import (
    connected,
    context_option,
    kubernetes_needed,
    namespace_option,
    print_yaml,
    say,
)
from fairlead.cli.output import json_option, note, print_fields, print_json
from fairlead.formatting import without_password

if TYPE_CHECKING:
    from fairlead.control.cluster_installation import Installed
    from fairlead.kube.install.installation import Installation

_PARTS = ("postgresql", "rabbitmq", "keda", "training")
_EPILOG = """\b
Examples:
  fairlead install --with postgresql --image example.org/fairlead:0.1.0
  fairlead install --with postgresql,rabbitmq --dry-run > fairlead.yaml
  fairlead --ledger postgresql://me@db/f --artifacts s3://bucket install
"""


class Parts(click.ParamType[tuple[str, ...]]):
    """Names out of a list, with commas between them."""

    name = "parts"

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The names."""
        if isinstance(value, tuple):
            return value
        found = tuple(part.strip() for part in value.split(","))
        for part in found:
            if part not in _PARTS:
                self.fail(f"{part!r} is not one of {', '.join(_PARTS)}.", param, ctx)
        return found


@click.command(epilog=_EPILOG)
@namespace_option
@context_option
@click.option(
    "--with",
    "parts",
    type=Parts(),
    default=(),
    metavar="PARTS",
    help="Have these, too, with commas between: postgresql, rabbitmq, keda, training.",
)
@click.option(
    "--image", metavar="IMAGE", help="Of Fairlead [$FAIRLEAD_IMAGE, else fairlead:VERSION]."
)
@click.option("--postgresql-image", metavar="IMAGE", help="Of PostgreSQL [the official one].")
@click.option("--rabbitmq-image", metavar="IMAGE", help="Of RabbitMQ [the official one].")
@click.option(
    "--size", default="10Gi", show_default=True, help="Of the artefacts' volume, as Kubernetes has."
)
@click.option("--storage-class", metavar="NAME", help="Of volumes [the cluster's default one].")
@click.option("--tls-secret", metavar="NAME", help="The server speaks TLS by this Secret's pair.")
@click.option("--shared", is_flag=True, help="Several nodes mount the artefacts' volume at once.")
@click.option("--max-workers", type=click.IntRange(1, 1024), default=8, help="keda: at most [8].")
@click.option("--worker-cpu", default="1", metavar="QUANTITY", help="keda: of each worker [1].")
@click.option("--worker-memory", default="1Gi", metavar="QUANTITY", help="keda: likewise [1Gi].")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest wait until it is ready.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be applied, without secrets.")
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    *,
    namespace: str,
    context: str | None,
    parts: tuple[str, ...],
    image: str | None,
    postgresql_image: str | None,
    rabbitmq_image: str | None,
    size: str,
    storage_class: str | None,
    tls_secret: str | None,
    shared: bool,
    max_workers: int,
    worker_cpu: str,
    worker_memory: str,
    timeout: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Install Fairlead in a Kubernetes cluster, or change an installation.

    The server, the operator and the kinds Study and Endpoint are applied, and waited for. The
    ledger is the PostgreSQL that --with postgresql adds, or the one of $FAIRLEAD_LEDGER; the
    artefact store is a volume, or that of $FAIRLEAD_ARTIFACTS. With keda, which is in the cluster
    already, workers are its Jobs; without it the operator starts those of Studies. With training,
    fits may start pods (train.engine): their workers get the right to. Passwords are made up once
    and kept in Secrets. What cannot get ready, such as an image that cannot be pulled,
    is said in a line, with exit status 1.
    """
    with kubernetes_needed("an installation in Kubernetes"):
        from fairlead.control.cluster_installation import install, manifests
        from fairlead.kube.install.installation import IMAGE, Claim, Installation, KedaWorkers
        from fairlead.kube.install.installation import own_postgresql as postgresql
        from fairlead.kube.install.installation import own_rabbitmq as rabbitmq

    found, storage = settings(ctx), storage_class or ""
    claim = Claim(
        size=size, storage_class=storage, access="ReadWriteMany" if shared else "ReadWriteOnce"
    )
    sql = postgresql(image=postgresql_image, storage_class=storage) if _PARTS[0] in parts else None
    mq = rabbitmq(image=rabbitmq_image, storage_class=storage) if _PARTS[1] in parts else None
    workers = KedaWorkers(most=max_workers, cpu=worker_cpu, memory=worker_memory)
    wanted = Installation(
        namespace=namespace,
        image=image or found.image or IMAGE,
        ledger="" if sql or found.ledger.startswith("sqlite:") else found.ledger,
        queue="" if mq or found.queue == "none" else found.queue,
        artifacts=found.artifacts,
        claim=claim,
        postgresql=sql,
        rabbitmq=mq,
        tls_secret=tls_secret or "",
        keda=workers if _PARTS[2] in parts else None,
        training=_PARTS[3] in parts,
    )
    if dry_run:
        if not as_json:
            click.echo("# To look at: `fairlead install` makes up the values of Secrets.")
        (print_json if as_json else print_yaml)(manifests(wanted))
        return
    with connected(namespace, context) as cluster:
        done = install(cluster, wanted, seconds=timeout, listen=say)
    if as_json:
        print_json(done)
    else:
        _print(done, wanted)


def _print(done: Installed, wanted: Installation) -> None:
    own = "in the installation"
    print_fields(
        [
            ("namespace", done.namespace),
            ("image", done.image),
            (
                "ledger",
                f"PostgreSQL {own}" if wanted.postgresql else without_password(wanted.ledger),
            ),
            (
                "queue",
                f"RabbitMQ {own}"
                if wanted.rabbitmq
                else without_password(wanted.queue) or "ledger",
            ),
            ("artefacts", wanted.artifacts or f"a volume of {wanted.claim.size}"),
            ("ready", ", ".join(done.ready)),
            *([("removed", ", ".join(done.removed))] if done.removed else []),
        ]
    )
    kubectl = f"kubectl -n {done.namespace}"
    scheme = "https" if wanted.tls_secret else "http"
    note(
        f"`{kubectl} port-forward service/fairlead-server 8000` makes it {scheme}://127.0.0.1:8000"
    )
    note(
        f"its token: `{kubectl} get secret fairlead-tokens -o jsonpath={{.data.token}} | base64 -d`"
    )
