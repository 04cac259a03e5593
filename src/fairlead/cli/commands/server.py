"""`fairlead server`: the control API over HTTP, and a controller."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from fairlead.cli.context import settings
from fairlead.cli.options import token_option
from fairlead.cli.output import log_at
from fairlead.errors import Invalid

_EPILOG = """\b
Examples:
  fairlead server                    for this machine, with a controller
  fairlead server --no-controller    the API alone
  fairlead token add laptop --role submitter && fairlead server --host 0.0.0.0
"""


@click.command(epilog=_EPILOG)
@click.option("--host", default="127.0.0.1", show_default=True, help="Name or address to bind.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to bind; 0 for a free one.",
)
@click.option(
    "--controller/--no-controller", default=True, help="Carry submitted runs as well (default)."
)
@click.option(
    "--runs",
    "most",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="Runs to carry at once.",
)
@click.option(
    "--workers",
    type=click.IntRange(0, 256),
    default=0,
    show_default=True,
    help="Workers to start here for each run that is carried.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Speak TLS by this certificate with its chain (PEM).",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Private key of --tls-cert (PEM).",
)
@token_option
@click.pass_context
def command(  # noqa: PLR0913 - click passes each option by name
    ctx: click.Context,
    *,
    host: str,
    port: int,
    controller: bool,
    most: int,
    workers: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    token: str | None,
) -> None:
    """Serve the control API under /api/v1, and carry submitted runs, until stopped.

    Without a token that has a role (`fairlead token add NAME --role ROLE`) it listens on this
    machine only, and every request from it may do everything. SIGINT (Ctrl-C) or SIGTERM answers
    what was asked and ends; a second one ends at once. A certificate that is renewed is read again
    within a minute.
    """
    try:
        from fairlead.api.certificate import Certificate
        from fairlead.api.process import ControlServer
    except ModuleNotFoundError as error:
        if error.name not in {"fastapi", "starlette"}:
            raise
        raise Invalid(
            f"serving the control API needs the package {error.name!r}; install fairlead[api]"
        ) from error
    from fairlead.control.controller import Controller

    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together.")
    found = settings(ctx)
    if found.is_behind_api:
        raise Invalid(
            f"ledger {found.ledger!r}: a server has it already; name its database",
            code="behind_api",
        )
    carrying = Controller(settings=found, most=most, workers=workers, note=log_at, token=token)
    server = ControlServer(
        settings=found,
        host=host,
        port=port,
        certificate=Certificate(certificate=tls_cert, key=tls_key)
        if tls_cert and tls_key
        else None,
        controller=carrying if controller else None,
        on_bound=lambda url: click.echo(f"control API at {url}/api/v1"),
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    server.run()
