"""`fairlead serve`: models over HTTP, with the server's signals and what it prints."""

from __future__ import annotations

import json
import logging
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import click

from fairlead.cli.context import opened, settings
from fairlead.cli.deployment_progress import step
from fairlead.cli.next_steps import explained, with_commands
from fairlead.cli.options import VersionNumber
from fairlead.cli.output import exit_status, printable
from fairlead.errors import FairleadError

if TYPE_CHECKING:
    from fairlead.records import Deployment, Route, Scalar
    from fairlead.server.events import ServerEvent
    from fairlead.server.supervisor import ShutdownRequest
    from fairlead.serving.settings import Logging
    from fairlead.stores import Stores

_LONG = 2.0  # seconds to open a ledger in
_WIDE = 40  # columns of a row that are shown in a curl line
_SLOW = (
    f"not open after {_LONG:g} s; this server binds its address once it is (where other programs "
    "keep it locked, it gives up after a minute)"
)
_EPILOG = """\b
Examples:
  fairlead serve
  fairlead serve boston-prices --port 8000 --processes 2
  fairlead serve boston-prices --version 3
  fairlead token add shop && fairlead serve --host 0.0.0.0
"""


@click.command(epilog=_EPILOG)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--version",
    type=VersionNumber(),
    metavar="VERSION",
    help="Of the one MODEL: serve it alone, whatever the ledger routes.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port to bind; 0 takes a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Name or address to bind; any but a loopback address needs a token.",
)
@click.option(
    "--advertise",
    default="",
    metavar="HOST",
    help="Name or address by which other machines reach it [what is bound].",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 1024),
    help="Number of serving processes (default: one per core, from 2 to 4).",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0, max=86_400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Time for running requests to finish once the server is to stop.",
)
@click.option("--log-requests", is_flag=True, help="Log every request, not only failed ones.")
@click.option(
    "--log-form",
    type=click.Choice(["auto", "lines", "json"]),
    default="auto",
    show_default=True,
    help="Form of the log on stderr: lines for people, or a JSON object per line; auto: lines on a "
    "terminal.",
)
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    *,
    models: tuple[str, ...],
    version: int | None,
    port: int,
    host: str,
    advertise: str,
    processes: int | None,
    grace: float,
    log_requests: bool,
    log_form: Literal["auto", "lines", "json"],
) -> None:
    """Serve models over HTTP: those that are named, or all, later ones included.

    The version that was deployed last is live; of a model that never was deployed, the champion
    is. Deployments are carried out while this runs. Ctrl-C or SIGTERM finishes running requests;
    a second one ends at once.

    With --version one version is served, and the ledger is only read, at the start: for platforms
    that split the traffic themselves.
    """
    if version is not None and len(models) != 1:
        raise click.UsageError("--version needs one MODEL.")
    from fairlead.server.auth import read_tokens, serving_tokens
    from fairlead.server.supervisor import ServeOptions, serve
    from fairlead.serving import settings as process
    from fairlead.serving.telemetry.logs import written

    writing = process.Logging(form=log_form, requests=log_requests)
    with (
        written(writing) as log,
        _refused(ctx, writing, log),
        _opened(ctx, log) as stores,
        _shutdown_requests() as stop,
    ):
        known = serving_tokens(read_tokens(settings(ctx).tokens), time.time())
        options = ServeOptions(
            models=models or None,
            version=version,
            host=host,
            port=port,
            advertised=advertise,
            processes=processes,
            grace=grace,
            tokens=known,
            tokens_file=settings(ctx).tokens,
            logging=writing,
            check_cache=settings(ctx).checked,
        )
        reporter = ServerReporter(stores, log, token=bool(known), host=host)
        serve(stores, options, shutdown=stop, on_event=reporter)
        log.info("stopped")


@contextmanager
def _refused(ctx: click.Context, writing: Logging, log: logging.Logger) -> Iterator[None]:
    """Writes why it cannot serve to its log, where programs read that."""
    from fairlead.serving.telemetry.logs import is_for_people

    try:
        yield
    except Exception as error:
        if is_for_people(writing, sys.stderr) or isinstance(error, click.exceptions.Exit):
            raise
        if not isinstance(error, FairleadError):
            log.exception("%s", type(error).__name__)
            ctx.exit(1)
        log.error("%s", printable(explained(error)))  # noqa: TRY400 - a message, not a fault of ours
        ctx.exit(exit_status(error))


@contextmanager
def _opened(ctx: click.Context, log: logging.Logger) -> Iterator[Stores]:
    """As `opened`, with a warning where it takes long, whether by a lock or by a slow disk."""
    with ExitStack() as stack:
        ledger = settings(ctx).ledger_url.removeprefix("sqlite:///")
        with _warned_if_slow(f"opening ledger {ledger!r}: {_SLOW}", log):
            found = stack.enter_context(opened(ctx))
        yield found


@contextmanager
def _warned_if_slow(wait: str, log: logging.Logger) -> Iterator[None]:
    """Logs a warning if the block takes long."""
    timer = threading.Timer(_LONG, log.warning, ("%s", printable(wait)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _shutdown_requests() -> Iterator[ShutdownRequest]:
    """Counts SIGINT and SIGTERM."""
    from fairlead.server.supervisor import ShutdownRequest

    stop = ShutdownRequest()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, stop.request) for number in numbers}
    try:
        yield stop
    finally:
        for number, former in before.items():
            signal.signal(number, former)


class ServerReporter:
    """Prints what a server does: what it serves on stdout, the rest in its log.

    Args:
        stores: Have an example for each model.
        log: That its processes write, too.
        token: Whether clients need one.
        host: As it was asked for; clients on other machines may know the server by it.
    """

    def __init__(self, stores: Stores, log: logging.Logger, *, token: bool, host: str) -> None:
        self._stores = stores
        self._host = host
        self._log = log
        self._token = token
        self._url = ""
        self._shown: set[str] = set()  # models with a curl line
        self._steps: dict[str, tuple[object, ...]] = {}

    def __call__(self, event: ServerEvent) -> None:
        """Print or log it."""
        from fairlead.server.events import (
            AddressBound,
            DeploymentChanged,
            RouteFollowed,
            ServerNotice,
            ServerWarning,
        )

        match event:
            case AddressBound(url=url, processes=processes):
                self._url = url
                click.echo(f"serving at {url} with {processes} processes{self._reach()}")
            case RouteFollowed(route=route):
                self._live(route)
            case DeploymentChanged(deployment=deployment):
                self._moved(deployment)
            case ServerNotice(text=text, next_steps=steps):
                self._log.info(printable(with_commands(text, steps)))
            case ServerWarning(text=text, next_steps=steps):
                self._log.warning(printable(with_commands(text, steps)))

    def _reach(self) -> str:
        """The bound address, where it is more than the one that this machine uses."""
        everywhere = self._host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
        name = f"[{self._host}]" if ":" in self._host else self._host
        port = self._url.rpartition(":")[2]
        return f", bound to {name}:{port}" if everywhere else ""

    def _live(self, route: Route) -> None:
        from fairlead.control.endpoints import traffic_in_words

        traffic = traffic_in_words(route)
        click.echo(printable(f"{route.model}: {traffic} (route {route.number})"))
        if route.traffic and route.model not in self._shown:
            self._shown.add(route.model)
            with suppress(FairleadError):  # an example is not worth a failure
                self._example(route)

    def _example(self, route: Route) -> None:
        from fairlead.control.endpoints import example_row

        row = example_row(self._stores, route)
        if row is not None:
            click.echo(printable(example(self._url, route.model, row, token=self._token)))

    def _moved(self, deployment: Deployment) -> None:
        at = (deployment.number, deployment.step, deployment.state)
        if self._steps.get(deployment.model) == at:
            return
        self._steps[deployment.model] = at
        ended = deployment.state != "running" and deployment.reason
        level = logging.WARNING if deployment.state == "failed" else logging.INFO
        line = f"{step(deployment)}: {deployment.reason}" if ended else step(deployment)
        self._log.log(level, printable(line))


def example(url: str, model: str, row: Mapping[str, Scalar], *, token: bool) -> str:
    """The curl line that requests a prediction for a row, to be pasted into a shell.

    Where the row is too wide for a line of a terminal's, where such a request is shown.

    Args:
        url: Of the server.
        model: Name of the model.
        row: What to predict.
        token: Whether the server requires one; it is taken from $FAIRLEAD_TOKEN.
    """
    if len(row) > _WIDE:
        return f"{model}: a row has {len(row)} columns: {url}/docs shows a request"
    body = json.dumps({"rows": [dict(row)]}, ensure_ascii=False)
    head = ' -H "Authorization: Bearer $FAIRLEAD_TOKEN"' if token else ""
    address = f"{url}/models/{quote(model, safe='')}:predict"
    return f"curl -sS{head} {shlex.quote(address)} -d {shlex.quote(body)}"
