"""`fairlead deploy`: a version is brought into service, step by step."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import click

from fairlead.cli.context import opened
from fairlead.cli.live import await_followed
from fairlead.cli.options import VersionNumber
from fairlead.cli.output import json_option, note, print_fields, print_json
from fairlead.errors import Failed

if TYPE_CHECKING:
    from fairlead.artifacts import Artifacts
    from fairlead.ledger.interface import Ledger
    from fairlead.records import Deployment, Route, Version

_WHOLE = 100
_EPILOG = """\b
Examples:
  fairlead deploy boston-prices
  fairlead deploy boston-prices --version 3 --canary 10,50,100 --wait
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
            said = f"{value!r}: the percents must rise from above 0 to 100, so the last is 100"
            self.fail(f"{said}, not {steps[-1]}.", param, ctx)
        if any(after <= before for before, after in pairwise((0, *steps))):
            self.fail(f"{value!r}: the percents must rise from above 0 to 100.", param, ctx)
        return steps


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.option("--version", type=VersionNumber(), help="Which version (default: the champion).")
@click.option(
    "--canary",
    type=Canary(),
    help="Percents of the traffic, step by step, such as 10,50,100 (default: `serve.canary` of the "
    "spec; 100 where it says nothing).",
)
@click.option("--wait/--no-wait", help="Wait until it is live, or was taken back.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="With --wait: wait so long at most; the deployment goes on by itself.",
)
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    *,
    model: str,
    version: int | None,
    canary: tuple[int, ...] | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Bring a version of MODEL into service; the servers that run carry it out.

    It is proved in a process of its own, gets traffic in the steps of --canary, is asked its golden
    rows (rows of the holdout with what the model predicted when it was made) through the real
    address before and after each step, and is judged against what it replaces. A fault takes it
    back. Without steps it gets all of the traffic at once.

    A canary needs traffic: at each step but the last it waits, for as long as it takes, until the
    new revision has answered `serve.judge.requests` requests. A model's first revision gets
    everything at once. The settings are those of the section `serve` of the spec that found the
    version; `fairlead run SPEC --deploy` takes those of the spec as it is now. With --wait the
    exit status is 1 where it did not stay, or has not ended after --timeout.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout goes with --wait.")
    with opened(ctx) as (ledger, artifacts):
        deployment, warned = _begun(ledger, artifacts, model, version, canary, wait=wait)
        if deployment is None:
            _show(artifacts, None, ledger.routes.current(model), warned, as_json=as_json)
        elif wait:
            route = waited(ledger, deployment, limit=timeout)
            _show(artifacts, deployment, route, warned, as_json=as_json)
        else:
            _leave(ledger, deployment, warned, as_json=as_json)


def _begun(  # noqa: PLR0913 - the command's own arguments
    ledger: Ledger,
    artifacts: Artifacts,
    model: str,
    number: int | None,
    canary: tuple[int, ...] | None,
    *,
    wait: bool,
) -> tuple[Deployment | None, list[str]]:
    """The deployment, None where the version is live already; and what changes for clients."""
    from fairlead.rollout.routes import current_route, running_deployment
    from fairlead.rollout.start import (
        deployable_version,
        deployment_warnings,
        is_live,
        serve_settings,
        start_deployment,
    )

    version = deployable_version(ledger, artifacts, model, number)
    serve = serve_settings(ledger, version)
    if is_live(ledger, version, serve) and not running_deployment(ledger, model):
        if wait:
            _refuse_unserved(ledger, version)
            await_followed(ledger, current_route(ledger, model))
        note(_live_already(version))
        return None, []
    if wait:
        _refuse_unserved(ledger, version)
    warned = deployment_warnings(ledger, artifacts, version, serve)
    for line in warned:
        note(f"warning: {line}")
    former = running_deployment(ledger, model)
    begun = start_deployment(
        ledger, artifacts, model, version=version.number, steps=canary, serve=serve
    )
    if former is not None:
        note(_superseded(former))
    return begun, warned


def _live_already(version: Version) -> str:
    """That there is nothing to do, and what may have been meant."""
    return (
        f"v{version.number} has all of the traffic already: nothing was written (`fairlead deploy "
        f"{version.model} --version V` brings another version, `fairlead run SPEC --deploy` this "
        "one with other settings)"
    )


def _superseded(former: Deployment) -> str:
    at = "had no traffic yet" if former.step < 0 else f"was at {former.steps[former.step]} %"
    return f"supersedes deployment {former.number} of {former.revision}, which {at}"


def _refuse_unserved(ledger: Ledger, version: Version) -> None:
    """Where nobody answers for the model, nothing that is waited for can come.

    Raises:
        Failed: Says so.
    """
    from fairlead.rollout.wait import servers_of

    if not servers_of(ledger, version.model):
        raise Failed(
            f"deploying v{version.number} of {version.model!r} and waiting for it: no server "
            f"serves it now; start `fairlead serve {version.model}`, or leave --wait out"
        )


def waited(ledger: Ledger, deployment: Deployment, *, limit: float | None = None) -> Route:
    """Wait until the deployment is done, and say how it goes; so many seconds at most, if given.

    Returns:
        Its last route.

    Raises:
        Failed: It did not stay, and why.
    """
    from fairlead.cli.steps import end as told_end
    from fairlead.cli.steps import last_route, shown
    from fairlead.rollout.wait import wait_until_ended

    try:
        with shown(deployment) as told:
            ended = wait_until_ended(
                ledger, deployment, on_look=told, timeout=limit or float("inf")
            )
    except KeyboardInterrupt:
        note(f"not waiting any more: the deployment goes on (`fairlead route {deployment.model}`)")
        raise
    if ended.state != "done":
        number = f"deployment {ended.number} of {ended.revision}"
        raise Failed(f"deploying {ended.model!r}: {number} {told_end(ended)}")
    return last_route(ledger, ended)


def _show(
    artifacts: Artifacts,
    deployment: Deployment | None,
    route: Route | None,
    warned: list[str],
    *,
    as_json: bool,
) -> None:
    from fairlead.cli.steps import details_of, in_words

    assert route is not None  # it is live
    details = details_of(artifacts, route)
    if as_json:
        number = deployment.number if deployment else None
        ended = {"deployment": number, "state": "done", "details": details}
        print_json({**ended, "warnings": warned})
    else:
        print_fields(in_words(details))


def _leave(ledger: Ledger, deployment: Deployment, warned: list[str], *, as_json: bool) -> None:
    """Say that it began, and who carries it out."""
    from fairlead.rollout.wait import servers_of

    if as_json:
        state = {"deployment": deployment.number, "state": deployment.state, "details": None}
        print_json({**state, "warnings": warned})
    else:
        steps = ", ".join(map(str, deployment.steps))
        click.echo(
            f"{deployment.model}: deployment {deployment.number} of {deployment.revision} began "
            f"({steps} %)"
        )
    if servers_of(ledger, deployment.model):
        note(f"`fairlead route {deployment.model}` shows how far it is")
    else:
        note("no server serves it now: the next `fairlead serve` carries it out")
