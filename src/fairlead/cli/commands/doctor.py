"""`fairlead doctor`: whether this installation can run a spec."""

from __future__ import annotations

import click

from fairlead.cli.context import settings
from fairlead.cli.output import json_option, note, print_json, print_table

_EPILOG = """\b
Examples:
  fairlead doctor
  fairlead doctor --json
"""


@click.command(epilog=_EPILOG)
@json_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Check this installation: packages, home, ledger, machine, MLflow.

    Nothing is changed. The exit status is 1 where a check finds what would stop a run.
    """
    from fairlead.control.installation import checks

    found = list(checks(settings(ctx)))
    failed = [check.name for check in found if check.state == "fail"]
    if as_json:
        print_json({"ok": not failed, "checks": found})
    else:
        rows = [(check.state, check.name, check.text) for check in found]
        print_table(("", "check", "found"), rows)
        note(f"a run would stop at: {', '.join(failed)}" if failed else "a run can start")
    if failed:
        ctx.exit(1)
