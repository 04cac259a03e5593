"""`fairlead predict`: predictions of a model for the rows of a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, get_args

import click

from fairlead.cli.context import opened
from fairlead.cli.options import NonEmptyPath, VersionNumber
from fairlead.cli.output import json_option
from fairlead.cli.row_files import Block, Form, block, parts, write
from fairlead.errors import Failed, Invalid, InvalidData

if TYPE_CHECKING:
    from fairlead.control.models import Predictor
    from fairlead.data.features import Features
    from fairlead.records import Signature

_AT_ONCE = 8192  # rows: what is predicted and written together
_SUFFIXES: dict[str, Form] = {
    "": "csv",
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_EPILOG = """\b
Examples:
  fairlead predict boston-prices rows.csv
  fairlead predict boston-prices rows.parquet --output predicted.parquet
  cat rows.jsonl | fairlead predict boston-prices - --format jsonl
"""


@click.command(epilog=_EPILOG)
@click.argument("model")
@click.argument("rows", type=click.Path(allow_dash=True, path_type=Path))
@click.option("--version", type=VersionNumber(), help="Version number (default: the champion).")
@click.option(
    "--output",
    type=NonEmptyPath(dir_okay=False, path_type=Path),
    help="Write to this file instead of stdout.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice([name for name in get_args(Form) if name != "json"]),
    help="Output format (default: by the name of --output, else csv).",
)
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - each is an option
    ctx: click.Context,
    *,
    model: str,
    rows: Path,
    version: int | None,
    output: Path | None,
    form: Form | None,
    as_json: bool,
) -> None:
    """Predict ROWS (a CSV, TSV, Parquet or JSON lines file, or - for stdin) with MODEL.

    Columns are found by name, in any order; those that the model does not know are ignored. One
    prediction per row is written, in the order of the rows; for classes with the probability of
    each. A large CSV file is read and predicted in parts: where a later part is wrong, the
    predictions before it are on stdout already; --output is written whole or not at all.
    """
    from fairlead.control.models import predictor

    chosen = _form(form, output, as_json=as_json)
    with opened(ctx) as stores:
        found = predictor(stores, model, version)
    every = _read(rows, found)
    predicted = (each for features in every for each in _predicted(found, features))
    with _target(output) as stream:
        write(predicted, stream, chosen)


def _form(form: Form | None, output: Path | None, *, as_json: bool) -> Form:
    if as_json and form:
        raise click.UsageError("--json and --format cannot be combined.")
    if as_json:
        return "json"
    return form or ("csv" if output is None else _form_of(output))


def _form_of(output: Path) -> Form:
    try:
        return _SUFFIXES[output.suffix.lower()]
    except KeyError:
        known = ", ".join(filter(None, _SUFFIXES))
        raise Invalid(
            f"--output {str(output)!r}: {output.suffix!r} is none of {known}; name the format "
            "with --format"
        ) from None


def _read(path: Path, model: Predictor) -> Iterator[Features]:
    """The file's rows, part by part; some models take none that misses a number."""
    from fairlead.data.rows import Before, read_rows

    rows = 0
    for part in parts(path, whole=not model.dialect.can_be_cut):
        before = Before(rows=rows, lines=part.lines)
        features = read_rows(part, model.signature, dialect=model.dialect, before=before)
        if not model.exported.found.missing:
            _refuse_missing(features, model.signature, part.name, before=rows)
        rows += len(features)
        yield features


def _refuse_missing(features: Features, signature: Signature, file: str, *, before: int) -> None:
    """Refuse rows that miss a number which the model needs.

    Raises:
        InvalidData: Names the first one, counted from the beginning of the file.
    """
    import numpy as np

    missing = np.argwhere(np.isnan(features.numbers))
    if not len(missing):
        return
    row, column = missing[0].tolist()
    raise InvalidData(
        f"{file}: row {before + row + 1}, column {signature.sources[column]!r} has no value, and "
        "the model was trained without missing numbers: give one, or train it with data.impute"
    )


def _predicted(model: Predictor, features: Features) -> Iterator[Block]:
    import numpy as np

    for start in range(0, max(len(features), 1), _AT_ONCE):  # no rows are a block, too
        rows = np.arange(start, min(start + _AT_ONCE, len(features)))
        yield block(model.exported.predict(features.take(rows)), model.signature)


@contextmanager
def _target(output: Path | None) -> Iterator[BinaryIO]:
    """Stdout, or a file that is there only once it is whole."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with partial.open("xb") as file:
            yield file
        partial.replace(output)
    except OSError as error:
        raise Failed(f"writing {str(output)!r}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
