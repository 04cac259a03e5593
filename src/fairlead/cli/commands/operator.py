"""`fairlead operator`: keeps the Studies of a Kubernetes cluster."""

from __future__ import annotations

import click

from fairlead.cli.context import settings
from fairlead.errors import Invalid

_EPILOG = """\b
Examples:
  fairlead operator                  in a pod, as `install` sets it up
  fairlead operator --namespace ml --image example.com/fairlead:1
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--namespace", envvar="POD_NAMESPACE", help="Where it works [$POD_NAMESPACE, the context's]."
)
@click.option("--image", help="Image of the pods that it makes [$FAIRLEAD_IMAGE].")
@click.option(
    "--settings",
    "name",
    default="fairlead",
    show_default=True,
    help="Name of the ConfigMap and of the Secret that every pod gets.",
)
@click.option(
    "--claim",
    default="fairlead-artifacts",
    show_default=True,
    help="Volume claim of the artefact store, where that is a folder.",
)
@click.option("--service-account", metavar="NAME", help="Of the pods, which have no token of it.")
@click.option(
    "--trainer-account", metavar="NAME", help="Of workers whose fits start pods: with a token."
)
@click.option("--no-workers", is_flag=True, help="Start none: something else does.")
@click.option("--health", type=click.IntRange(1, 65535), help="Port that says whether it is alive.")
@click.option(
    "--token",
    envvar="FAIRLEAD_TOKEN",
    default="",
    help="By which replicas of Endpoints say how busy they are [$FAIRLEAD_TOKEN].",
)
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    *,
    namespace: str | None,
    image: str | None,
    name: str,
    claim: str,
    service_account: str | None,
    trainer_account: str | None,
    no_workers: bool,
    health: int | None,
    token: str,
) -> None:
    """Keep the Studies and Endpoints of a namespace until stopped.

    A Study is submitted by a Job; its workers come with its tasks and go; its status says how far
    it is. Any number of operators may run. SIGTERM ends it, and its workers go on.
    """
    try:
        from fairlead.operator.process import OperatorRequest, operate
    except ImportError:
        raise Invalid("Kubernetes needs packages: pip install 'fairlead[kubernetes]'") from None

    options = settings(ctx)
    if not (image or options.image):
        raise click.UsageError("An image is needed: --image or $FAIRLEAD_IMAGE.")
    request = OperatorRequest(
        namespace=namespace,
        image=image or options.image,
        settings=name,
        claim=claim,
        service_account=service_account,
        trainer_account=trainer_account,
        workers=not no_workers,
        health=health,
        token=token.strip(),  # a Secret that is made of a file may end with a line's end
    )
    operate(request, options)
