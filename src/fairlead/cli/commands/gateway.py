"""`fairlead gateway`: holds requests for models whose replicas are still starting."""

from __future__ import annotations

import click

from fairlead.errors import Invalid

_EPILOG = """\b
Examples:
  fairlead gateway --to http://{model}-replicas:8000 --host 0.0.0.0
  fairlead gateway --to http://{model}-replicas:8000 --seconds 60
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--to", "address", required=True, help="URL of the replicas; {model} stands for the model."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Name or address to bind.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to bind; 0 for a free one.",
)
@click.option(
    "--hold",
    type=click.IntRange(1, 65536),
    default=256,
    show_default=True,
    help="Requests held at most; others are answered with 503 at once.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 3600),
    default=30.0,
    show_default=True,
    help="Seconds that a request waits for a replica.",
)
def command(*, address: str, host: str, port: int, hold: int, seconds: float) -> None:
    """Hold requests until a replica of their model is ready, and pass them on.

    GET /waiting says how many wait for which model: whoever starts replicas asks for it. A request
    that cannot be held, or waits too long, is answered with 503 and Retry-After. Tokens are checked
    by the replicas.
    """
    try:
        from fairlead.gateway.app import GatewayBounds
        from fairlead.gateway.process import GatewayRequest, serve
    except ModuleNotFoundError as error:
        if error.name != "httpx2":
            raise
        raise Invalid(
            f"the gateway needs the package {error.name!r}; install fairlead[kubernetes]"
        ) from error

    bounds = GatewayBounds(requests=hold, seconds=seconds)
    request = GatewayRequest(host=host, port=port, address=address, bounds=bounds)
    serve(request, lambda url: click.echo(f"gateway at {url}"))
