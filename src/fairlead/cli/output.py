"""How commands print: results on stdout as a table, fields, JSON or CSV; messages on stderr.

Times are UTC, so that two machines show the same.
"""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fairlead.errors import FairleadError, Invalid
from fairlead.formatting import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


Command = TypeVar("Command", bound=Callable[..., Any])
_WIDTH = 80  # of tables that are not written to a terminal
_GAP = 2  # characters between two columns
_NARROW = 8
"""Characters that each column has beside those whose words are not broken."""
_TIED = "\ue000"
"""Stands for the blank of `95 %` while a table is drawn: rich folds at a no-break space, too, and
`printable` leaves no character of this kind in a cell."""

_PERCENT = re.compile(r"(?<=[0-9]) %")


def json_option(command: Command) -> Command:
    """Give the command `--json`, as its argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def csv_option(command: Command) -> Command:
    """Give the command `--csv`, as its argument `as_csv`."""
    return click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")(command)


def second(seconds: float) -> str:
    """A time, such as 2026-11-21 05:42:35: in tables of what comes several times a minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def minute(seconds: float) -> str:
    """A time, such as 2026-11-21 05:42: in tables."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def note(text: str) -> None:
    """Print a message on stderr."""
    click.echo(printable(text), err=True)


def log(text: str) -> None:
    """Print a message of a program that goes on, also where the disk of its log is full."""
    try:
        note(text)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise


def log_at(text: str) -> None:
    """The same, behind the time: for programs that go on for days."""
    import time

    log(f"{second(time.time())}  {text}")


def exit_status(error: FairleadError) -> int:
    """The exit status after an error: 2 where the request was wrong, 1 where the work failed."""
    return 2 if isinstance(error, Invalid) else 1


def print_json(value: object) -> None:
    """Print one JSON value; fields keep their order."""
    click.echo(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a header and rows; None is an empty field."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    unfolded: Collection[str] = (),
    spared: Sequence[str] = (),
    empty: str = "there is none",
) -> None:
    """Print a table as wide as the terminal, or 80 columns, without blanks around it.

    What does not fit is folded onto more lines at its blanks, never cut: an id can always be
    copied. Where the longest words of all columns are wider together, columns that can be spared
    are left out; then a word is broken, the longest first, of an unfolded column last.

    Args:
        columns: Headings.
        rows: One value a column; numbers stand right, None is a dash.
        unfolded: Headings of columns that read badly when folded, such as ids and times.
        spared: Headings of columns that a narrow table does without, the least needed first.
        empty: The message in place of a table without a row.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    kept = [list(row) for row in rows]
    if not kept:
        note(empty)
        return

    console = Console(width=None if sys.stdout.isatty() else _width(), highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    cells = [[_cell(value) for value in row] for row in kept]
    shown, widths = _fitted(console, columns, cells, unfolded, spared)
    for index, width in zip(shown, widths, strict=True):
        table.add_column(
            columns[index],
            overflow="fold",
            justify="right" if _numeric([row[index] for row in kept]) else "left",
            width=width,
        )
    for row in cells:
        table.add_row(*(row[index] for index in shown))
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().splitlines():
        click.echo(line.replace(_TIED, " ").rstrip())


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Print a name and a value a line; a long value goes on below itself."""
    import shutil

    from fairlead.formatting import laid_out

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _width()
    click.echo(laid_out([(name, printable(value)) for name, value in fields], width=width))


def printable(text: str) -> str:
    """The text with what a terminal would act upon, such as an escape, written out."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() and int(columns) else _WIDTH


def _fitted(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[list[Text]],
    unfolded: Collection[str],
    spared: Sequence[str],
) -> tuple[Sequence[int], Sequence[int]]:
    """The columns that are shown, by their indexes, and the width of each.

    Rich's own rule narrows the widest column, and breaks its words.
    """
    from rich.measure import Measurement
    from rich.text import Text

    least, most = [], []
    for index, column in enumerate(columns):
        found = [
            Measurement.get(console, console.options, cell)
            for cell in (Text(column), *(row[index] for row in rows))
        ]
        most.append(max(each.maximum for each in found))
        least.append(most[-1] if column in unfolded else max(each.minimum for each in found))
    shown = [*range(len(columns))]
    for heading in spared:
        if sum(least[index] for index in shown) <= _room(console, shown):
            break
        shown.remove(columns.index(heading))
    widths = shared(
        _room(console, shown),
        least=[least[index] for index in shown],
        most=[most[index] for index in shown],
        whole=[place for place, index in enumerate(shown) if columns[index] in unfolded],
    )
    return shown, widths


def _room(console: Console, shown: Sequence[int]) -> int:
    """Characters of a line without the gaps between columns."""
    return console.width - _GAP * (len(shown) - 1)


def shared(
    room: int, *, least: Sequence[int], most: Sequence[int], whole: Collection[int] = ()
) -> list[int]:
    """Share a line between columns: to each its longest word, then the rest to the narrowest.

    Args:
        room: Characters, without the gaps between columns.
        least: The longest word of each column.
        most: The longest line of each column.
        whole: The columns whose words are broken only if that of all others is not enough.

    Returns:
        The width of each column: at least 1, and together no more than the room where that can be.
    """
    if sum(least) > room:
        kept = [each if index in whole else _NARROW for index, each in enumerate(least)]
        least, most = (kept if sum(kept) <= room else [1] * len(least)), least
        least = [min(low, high) for low, high in zip(least, most, strict=True)]
    widths = list(least)
    for level in range(1, min(room, max(most, default=0)) + 1):
        raised = [min(max(low, level), high) for low, high in zip(least, most, strict=True)]
        if sum(raised) > room:
            break
        widths = raised
    return widths


def _numeric(values: Sequence[object]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in known
    )


def _cell(value: object) -> Text:
    from rich.text import Text

    if value is None:
        return Text("-")
    text = printable(f"{value:.6g}" if isinstance(value, float) else str(value))
    return Text(_PERCENT.sub(f"{_TIED}%", text))
