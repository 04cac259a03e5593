"""`fairlead new`: a spec to start from, with its data where it is an example."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import click

from fairlead.cli.next_steps import program
from fairlead.cli.output import note, printable
from fairlead.errors import Failed, Invalid

EXAMPLES = {"boston": "boston", "boston-bayes": "boston", "california": "california"}
"""Name of the example to the catalog's name of its data."""

_EPILOG = """\b
Examples:
  fairlead new prices
  fairlead new prices --example california
"""


@dataclass(frozen=True, kw_only=True)
class _File:
    """A file to write: its text, or the file that it is a copy of."""

    path: Path
    text: str = ""
    source: Path | None = None


@click.command(epilog=_EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--example", type=click.Choice(tuple(EXAMPLES)), help="An example with its data.")
def command(folder: Path, example: str | None) -> None:
    """Write a commented spec into the folder DIR; nothing is overwritten.

    Without --example the spec runs as it is, on a small data set, and says where to name your own.
    """
    files = _example(folder, example) if example else [_plain(folder)]
    _refuse_overwriting(files)
    try:
        for file in files:
            _write(file)
    except OSError as error:
        raise Failed(f"writing into {str(folder)!r}: {error}") from error
    for file in files:
        click.echo(printable(str(file.path)))
    note(f"next: {program()} run {shlex.quote(str(files[0].path))}")


def _plain(folder: Path) -> _File:
    name = _name(folder)
    return _File(path=folder / f"{name}.yaml", text=_spec("plain").replace("NAME", name, 1))


def _example(folder: Path, example: str) -> list[_File]:
    from fairlead.data.catalog import ENTRIES

    spec = _File(path=folder / f"{example}.yaml", text=_spec(example))
    carried = ENTRIES[EXAMPLES[example]].carried
    if carried is None:
        return [spec]
    return [spec, _File(path=folder / "data" / carried.name, source=carried)]


def _spec(name: str) -> str:
    return (resources.files("fairlead.cli") / "specs" / f"{name}.yaml").read_text(encoding="utf-8")


def _name(folder: Path) -> str:
    """The folder's name as a model's name may be."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-")
    return name[:63].rstrip("-") or "model"


def _refuse_overwriting(files: list[_File]) -> None:
    for file in files:
        if file.path.exists():
            raise Invalid(f"{str(file.path)!r} is there already; choose another folder")


def _write(file: _File) -> None:
    file.path.parent.mkdir(parents=True, exist_ok=True)
    if file.source:
        shutil.copyfile(file.source, file.path)
    else:
        with file.path.open("x", encoding="utf-8") as out:
            out.write(file.text)
