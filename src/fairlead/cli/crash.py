"""Where the traceback of an unexpected error is kept.

Belongs here: the file. Does not: what people are told (main.py).
"""

from __future__ import annotations

import tempfile
import time
import traceback
from pathlib import Path

import click

from fairlead.cli.output import settings
from fairlead.errors import Invalid


def keep_traceback(ctx: click.Context, error: Exception) -> Path:
    """Write the traceback into the logs, or a temporary folder where that cannot be.

    Returns:
        The file.
    """
    text = "".join(traceback.format_exception(error))
    for folder in (_logs(ctx), Path(tempfile.gettempdir())):
        try:
            return _write(folder, text)
        except OSError:
            continue
    return Path("nowhere: no folder could be written to")


def _logs(ctx: click.Context) -> Path:
    try:
        return settings(ctx).logs
    except Invalid:
        return Path(tempfile.gettempdir())


def _write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**6:06}.txt"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path
