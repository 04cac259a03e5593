"""`fairlead deploy`: bring a version into service, step by step."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from fairlead.cli.cluster_deploy import EndpointChoice, deploy_on_cluster, endpoint_options
from fairlead.cli.context import opened
from fairlead.cli.deployment_progress import Reporter, in_words, waited
from fairlead.cli.next_steps import program
from fairlead.cli.options import VersionNumber
from fairlead.cli.output import json_option, note, print_fields, print_json

if TYPE_CHECKING:
    from fairlead.records import Deployment
    from fairlead.stores import Stores

_WHOLE = 100
_EPILOG = """\b
Examples:
  fairlead deploy boston-prices
  fairlead deploy boston-prices --version 3 --canary 10,50,100 --wait
  fairlead deploy boston-prices --on kubernetes --min 2 --max 5 --wait
"""


class Canary(click.ParamType[tuple[int, ...]]):
    """Rising percents that end with 100."""

    name = "percents"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The steps."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip().removesuffix("%") for part in value.split(",")]
        if not all(re.fullmatch("[0-9]{1,3}", part, re.ASCII) for part in parts):
            self.fail(f"{value!r}: give percents, such as 10,50,100.", param, ctx)
        steps = tuple(map(int, parts))
        if steps[-1] != _WHOLE:
            rule = f"{value!r}: the percents must rise from above 0 to 100, so the last is 100"
            self.fail(f"{rule}, not {steps[-1]}.", param, ctx)
        if any(after <= before for before, after in pairwise((0, *steps))):
            self.fail(f"{value!r}: the percents must rise from above 0 to 100.", param, ctx)
        return steps


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.option("--version", type=VersionNumber(), help="Version number (default: the champion).")
@click.option(
    "--canary",
    type=Canary(),
    help="Percents of the traffic, step by step, such as 10,50,100 (default: `serve.canary` of the "
    "spec, else 100).",
)
@click.option("--wait/--no-wait", help="Wait until it is live or was rolled back.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="With --wait: longest wait; the deployment itself goes on.",
)
@endpoint_options
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    /,
    *,
    model: str,
    version: int | None,
    canary: tuple[int, ...] | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
    **of_cluster: Any,
) -> None:
    """Bring a version of MODEL into service; running servers carry it out.

    The version is verified in a process of its own and gets traffic in the steps of --canary. The
    endpoint is smoke-tested with the version's golden rows (rows of the holdout with what the model
    predicted when it was made) before and after each step, and the version is judged against the
    one that it replaces. A fault rolls it back. Without steps it gets all of the traffic at once.

    A canary needs traffic: each step but the last waits, for as long as it takes, until the
    new revision has answered `serve.judge.requests` requests. A model's first revision gets
    everything at once. The settings are those of the section `serve` of the spec that found the
    version; `fairlead run SPEC --deploy` takes those of the spec as it is now. With --wait the
    exit status is 1 where it was rolled back, or has not ended after --timeout.

    With --on kubernetes it is an Endpoint of the installation there: its replicas carry the
    deployment out, and without --version each new champion follows.
    """
    from fairlead.control.deployments import DeployRequest, current_details, deploy, details

    if timeout is not None and not wait:
        raise click.UsageError("--timeout goes with --wait.")
    choice = EndpointChoice(**of_cluster)
    if choice.on is not None:
        deploy_on_cluster(
            choice,
            model,
            version=version,
            canary=canary,
            wait=wait,
            timeout=timeout,
            as_json=as_json,
        )
        return
    request, reporter = DeployRequest(model=model, version=version, steps=canary), Reporter()
    with opened(ctx) as stores:
        deployment = deploy(stores, request, on_event=reporter, awaited=wait)
        if deployment is not None and not wait:
            _leave(stores, deployment, reporter.warnings, as_json=as_json)
            return
        if deployment is None:
            found = current_details(stores, model)
        else:
            found = details(stores, waited(stores, deployment, timeout=timeout))
    if as_json:
        number = deployment.number if deployment else None
        ended = {"deployment": number, "state": "done", "details": found}
        print_json({**ended, "warnings": reporter.warnings})
    else:
        print_fields(in_words(found))


def _leave(stores: Stores, deployment: Deployment, warnings: list[str], *, as_json: bool) -> None:
    """Print that it began, and who carries it out."""
    from fairlead.control.deployments import servers

    if as_json:
        state = {"deployment": deployment.number, "state": deployment.state, "details": None}
        print_json({**state, "warnings": warnings})
    else:
        steps = ", ".join(map(str, deployment.steps))
        click.echo(
            f"{deployment.model}: deployment {deployment.number} of {deployment.revision} began "
            f"({steps} %)"
        )
    if servers(stores, deployment.model):
        note(f"`{program()} route {deployment.model}` shows its progress")
    else:
        note(f"no server serves it now: the next `{program()} serve` carries it out")
