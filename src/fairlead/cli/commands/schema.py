"""`fairlead schema`: the JSON Schema of a spec."""

from __future__ import annotations

import click

from fairlead.cli.output import print_json

_EPILOG = """\b
Examples:
  fairlead schema > spec.schema.json

In an editor that knows yaml-language-server, the spec then begins with:

\b
  # yaml-language-server: $schema=spec.schema.json
"""


@click.command(epilog=_EPILOG)
def command() -> None:
    """Print the JSON Schema of a spec, so that editors complete and check it."""
    from fairlead.spec.document import json_schema

    print_json(json_schema())
