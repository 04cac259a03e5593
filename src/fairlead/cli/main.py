"""The command `fairlead`: its commands, its global options, and how it ends.

Each command is a module of commands/ whose click command is named `command`; it is imported when it
is invoked. An error becomes one line on stderr and an exit status; the traceback of an unexpected
one is kept in a file.

Exit status: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted. With
$FAIRLEAD_DEBUG=1 an unexpected error is shown with its traceback.
"""

from __future__ import annotations

import errno
import importlib
import os
import select
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import click

from fairlead.cli.options import NonEmptyPath
from fairlead.errors import FairleadError, Invalid
from fairlead.version import VERSION

INTERRUPTED = 130  # as a shell reports a process that SIGINT ended

# The help lines stand here, not in the commands, so that `fairlead --help` imports none of them.
COMMANDS = {
    "The job": {
        "new": "Write a spec to start from.",
        "plan": "Show what a run would do, and how long it would take.",
        "run": "Search, refit, judge and register: the whole path of a spec.",
        "score": "Score one parameter set of a spec, without a study.",
        "studies": "List the studies.",
        "trials": "List the trials of a study.",
        "report": "Write a study's report, one HTML file.",
        "export": "Export trials to Optuna, MLflow, CSV or Parquet.",
    },
    "The fleet": {
        "submit": "Submit a spec for a controller and workers to carry out.",
        "runs": "List the runs.",
        "watch": "Show the progress of a run, from anywhere.",
        "logs": "Print what happened to a run's tasks.",
        "retrain": "Train a model's champion again on today's data.",
        "schedules": "List, pause and remove what `retrain --every` made.",
        "adjust": "Change a run while it goes on.",
        "pause": "Let the tasks of a run wait.",
        "resume": "Let the tasks of a run be taken again.",
        "cancel": "End a run.",
        "server": "Serve the control API, and carry submitted runs.",
        "controller": "Carry submitted runs from stage to stage.",
        "worker": "Claim and carry out tasks, on any machine.",
        "autoscale": "Start workers as tasks come, and let idle ones leave.",
        "fleet": "List the workers that are alive.",
        "operator": "Keep Studies and Endpoints of Kubernetes.",
    },
    "Models": {
        "models": "List the models and what is live.",
        "predict": "Predict rows of a file with a model.",
        "history": "Show which versions became champion, when and why.",
        "promote": "Make a version the champion by hand.",
        "rollback": "Make the previous champion the champion again.",
        "reproduce": "Train a version again and compare the results.",
    },
    "Serving": {
        "serve": "Serve models over HTTP.",
        "deploy": "Bring a version into service, step by step.",
        "route": "Show or set how a model's traffic is split.",
        "undo": "Restore the previous route.",
        "undeploy": "Take a model out of service.",
        "gateway": "Hold requests until a replica of their model is ready.",
        "test-endpoint": "Smoke-test the live endpoint with its golden rows.",
        "token": "Add, list and remove the bearer tokens of servers.",
    },
    "Kubernetes": {
        "install": "Install Fairlead in a cluster.",
        "uninstall": "Delete an installation from a cluster.",
        "render": "Print a spec as an object for kubectl.",
    },
    "Upkeep": {
        "families": "List the kinds of models that can be trained.",
        "schema": "Print the JSON Schema of a spec, for editors.",
        "doctor": "Check this installation, or a cluster.",
        "ledger": "Show, upgrade or copy the ledger; print its database's rights.",
        "gc": "List, and with --delete remove, artefacts that nothing names.",
    },
}
NAMES = tuple(name for section in COMMANDS.values() for name in section)


_GLOBAL = {"--home", "--ledger", "--artifacts", "--server"}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_EXPECTED = (click.ClickException, click.Abort, click.exceptions.Exit)


class Commands(click.Group):
    """A group that imports a command's module when that command is invoked."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names of the commands, in the order of the help."""
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of this name, imported now; None where there is none."""
        if cmd_name not in NAMES:
            return None
        module = importlib.import_module(f"fairlead.cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but suggesting from the names that are not loaded yet."""
        if args[0] not in NAMES and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=NAMES, ctx=ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does; an error becomes a line, an unexpected one also a kept traceback."""
        try:
            return super().invoke(ctx)
        except FairleadError as error:
            return _refuse(error)  # here, where the options are known that the next command needs
        except _EXPECTED:
            raise
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _reader_is_gone():
                return 1
            if os.environ.get("FAIRLEAD_DEBUG") == "1":
                raise
            return _system_error(error) or _crash(ctx, error)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the help lines in their sections."""
        for title, commands in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()), col_max=14)


_EPILOG = """\b
Examples:
  fairlead new prices --example boston
  fairlead run prices/boston.yaml
  fairlead models
"""


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
)
@click.option(
    "--home",
    type=NonEmptyPath(file_okay=False, path_type=Path),
    help="Folder of all state (default: $FAIRLEAD_HOME, else .fairlead).",
)
@click.option("--ledger", metavar="URL", help="The ledger's database (else $FAIRLEAD_LEDGER).")
@click.option("--artifacts", metavar="URL", help="The artefact store (else $FAIRLEAD_ARTIFACTS).")
@click.option("--server", metavar="URL", help="A `fairlead server` that has both of them.")
@click.version_option(VERSION, "--version", message="fairlead %(version)s")
def commands(
    home: Path | None, ledger: str | None, artifacts: str | None, server: str | None
) -> None:
    """Take one YAML file from data to a judged, registered and served model."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: Without the program's name; those of the process if None.

    Returns:
        The exit status.
    """
    _open_closed_streams()
    _forget_odd_sizes()
    try:
        status = _run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
        status = 1
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _silence(sys.stdout)
        status = _disk_full(error)
    return status


def _open_closed_streams() -> None:
    """Where a shell closed what is written to (`>&-`), it goes nowhere, and nothing else breaks."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - a descriptor
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - a descriptor


def _forget_odd_sizes() -> None:
    """Rich takes any digit of Unicode in these for a number, and fails where it is none."""
    for name in ("COLUMNS", "LINES"):
        if not os.environ.get(name, "").isascii():
            del os.environ[name]


def _run(args: Sequence[str] | None) -> int:
    try:
        outcome = commands.main(args, prog_name="fairlead", standalone_mode=False)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        return _refuse_usage(error)
    return outcome if isinstance(outcome, int) else 0  # an int comes from ctx.exit()


def _refuse(error: FairleadError) -> int:
    from fairlead.cli.next_steps import explained
    from fairlead.cli.output import exit_status

    _print(explained(error))
    return exit_status(error)


def _refuse_usage(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    if context is None or isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    else:
        path, said = context.command_path, error.format_message()
        stop = "" if said.endswith((".", "?", "!")) else "."
        if isinstance(error, click.NoSuchOption) and error.option_name in _GLOBAL:
            said, stop = f"{said}{stop} Put {error.option_name} before the command", "."
        _print(f"{path}: {said}{stop} Try `{path} --help`.")
    return error.exit_code


def _system_error(error: Exception) -> int | None:
    """The exit status of an error that the program cannot avoid; None of any other one."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return _disk_full(error)
    if isinstance(error, UnicodeEncodeError) and "surrogate" in error.reason:
        _print(f"an argument is not UTF-8: {error.object!a}; write it in UTF-8")
        return 2
    return None


def _disk_full(error: OSError) -> int:
    _print(f"the disk, or where stdout goes, is full: {error.strerror}; free some space")
    return 1


def _crash(ctx: click.Context, error: Exception) -> int:
    kept = _keep_traceback(ctx, error)
    _print(f"{type(error).__name__}: {error} (the traceback is in {kept})")
    return 1


def _keep_traceback(ctx: click.Context, error: Exception) -> Path:
    """Write the traceback into the logs, or a temporary folder where that cannot be."""
    text = "".join(traceback.format_exception(error))
    for folder in (_logs(ctx), Path(tempfile.gettempdir())):
        try:
            return _write(folder, text)
        except OSError:
            continue
    return Path("nowhere: no folder could be written to")


def _logs(ctx: click.Context) -> Path:
    from fairlead.cli.context import settings

    try:
        return settings(ctx).logs
    except Invalid:
        return Path(tempfile.gettempdir())


def _write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**6:06}.txt"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def _print(text: str) -> None:
    from fairlead.cli.output import note

    note(" ".join(text.split("\n")))


def _reader_is_gone() -> bool:
    """Whether what broke was a stream of this process, as under `| head`; it is silenced then."""
    broken = [stream for stream in (sys.stdout, sys.stderr) if _is_broken(stream)]
    for stream in broken:
        _silence(stream)
    return bool(broken)


def _is_broken(stream: TextIO) -> bool:
    poll = select.poll()
    poll.register(stream.fileno(), 0)  # an error is reported whatever is polled for
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _silence(stream: TextIO) -> None:
    # The reader has gone: what Python still flushes at exit must not raise again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
