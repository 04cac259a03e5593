"""Remarks on a plan, a line each: what is no fault, and yet may not be what was meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fairlead.data import precision, split
from fairlead.data.table import Table
from fairlead.formatting import classes, count
from fairlead.registry.gate import MIN_ROWS
from fairlead.search import catalog
from fairlead.spec.document import Data, Holdout, Promote, Search, Train

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BINARY = 2
_LABELS = 10  # whole numbers that are likelier to be names of classes than amounts
_SOME = 20  # rows, of which hardly any rise one after another, or are 1 to n, by chance
_BEGIN = 1024  # rows that are looked at before a whole column is read, maybe from the disk
_SHARED = 5  # rows that each of them has then, on average


def on_target(table: Table, data: Data) -> Iterator[str]:
    """A target of numbers that looks like classes, where the spec does not say what it is.

    Args:
        table: The data.
        data: What the user says of it.
    """
    import numpy as np

    if data.task != "auto" or table.classes is not None:
        return
    distinct = np.unique(table.target)
    whole = bool((distinct == np.floor(distinct)).all())
    few = len(distinct) <= _LABELS and _SHARED * len(distinct) <= len(table.target)
    if len(distinct) == _BINARY or (whole and few):
        yield (
            f"target {table.target_name!r} has {len(distinct)} distinct values and is taken as a "
            "number; data.task: classification makes it a class"
        )


def on_precision(table: Table) -> Iterator[str]:
    """Columns whose numbers an exported model cannot tell apart."""
    if columns := precision.rounded(table.features, table.signature):
        yield f"{precision.advice(columns)}; otherwise it may not predict what was trained"


def on_row_numbers(table: Table) -> Iterator[str]:
    """Columns that number the rows: a model may learn their order, which new rows do not have."""
    found = [
        column.name
        for column in table.columns
        if column.kind == "number" and _numbers_rows(_values(table, column.name))
    ]
    if found:
        named = ", ".join(map(repr, found))
        if len(found) == 1:
            yield f"column {named} looks like a number of the row; name it in data.drop if it is"
        else:
            yield f"columns {named} look like numbers of the row; name in data.drop those that are"


def on_copies(table: Table) -> Iterator[str]:
    """Columns that hold the target: the same number, or one value for each class, in every row."""
    found = list(_amount_copies(table) if table.classes is None else _class_copies(table))
    if found:
        named, one = ", ".join(map(repr, found)), len(found) == 1
        yield (
            f"{'column' if one else 'columns'} {named} {'holds' if one else 'hold'} the target "
            f"{table.target_name!r} in every row, so a model learns nothing else; name "
            f"{'it' if one else 'them'} in data.drop if {'it is' if one else 'they are'} not known "
            "before the target is"
        )


def _amount_copies(table: Table) -> Iterator[str]:
    import numpy as np

    for column in table.columns:
        if column.kind == "number":
            values = _values(table, column.name)
            begin = slice(0, _BEGIN)
            if np.array_equal(values[begin], table.target[begin]) and np.array_equal(
                values, table.target
            ):
                yield column.name


def _class_copies(table: Table) -> Iterator[str]:
    """Columns in which each class has a value of its own; of few rows, that may be chance."""
    import numpy as np

    _, first, classes = np.unique(table.target, return_index=True, return_inverse=True)
    if len(classes) < _SOME:
        return
    for column in table.columns:
        if column.kind == "date":
            continue
        values = (
            _values(table, column.name) if column.kind == "number" else _codes(table, column.name)
        )
        own, begin = values[first], slice(0, _BEGIN)
        if len(np.unique(own)) < len(own) or bool((values[begin] != own[classes[begin]]).any()):
            continue
        if bool((values == own[classes]).all()):
            yield column.name


def _codes(table: Table, name: str) -> NDArray[np.int32]:
    return table.features.text[:, table.signature.text.index(name)]


def _values(table: Table, name: str) -> NDArray[np.float64]:
    return table.features.numbers[:, table.signature.numbers.index(name)]


def _numbers_rows(values: NDArray[np.float64]) -> bool:
    """Whether these are whole numbers, none twice, that rise, fall, or are 1 to n in any order."""
    import numpy as np

    begin = values[:_BEGIN]
    if len(values) < _SOME or not _may_number_rows(begin):
        return False
    if not (np.isfinite(values) & (values == np.floor(values))).all():
        return False
    steps = np.diff(values)
    if bool((steps > 0).all() or (steps < 0).all()):
        return True
    return bool((np.diff(np.sort(values)) == 1).all())


def _may_number_rows(begin: NDArray[np.float64]) -> bool:
    """Whether the first rows let a column be one that numbers them; most are none by these."""
    import numpy as np

    return bool((begin == np.floor(begin)).all()) and len(np.unique(begin)) == len(begin)


def on_few(held: NDArray[np.intp], promote: Promote) -> Iterator[str]:
    """A holdout on which the gate cannot judge, whatever the candidate is.

    Args:
        held: Indexes of its rows.
        promote: The spec's.
    """
    if len(held) < MIN_ROWS and promote.when in {"better", "confident"}:
        yield (
            f"data.holdout: its {count(len(held), 'row')} {'is' if len(held) == 1 else 'are'} too "
            f"few to judge on, {MIN_ROWS} are needed, so no version becomes champion by itself; "
            "raise its share, or add rows"
        )


def on_holdout(table: Table, held: NDArray[np.intp], holdout: Holdout) -> Iterator[str]:
    """Classes of which no row is held out, so that nothing says how well they are predicted.

    Args:
        table: The data.
        held: Indexes of its holdout rows.
        holdout: What the spec says of it.
    """
    if missing := split.lacking(table.target[held], table.classes):
        advice = "raise its share, or add rows of it" if holdout.stratify else split.STRATIFYING
        yield (
            f"data.holdout: none of its {count(len(held), 'row')} is of {classes(missing)} of "
            f"{table.target_name!r}, so nothing judges how well that is predicted; {advice}"
        )


def on_trials(search: Search) -> Iterator[str]:
    """A search that draws from fewer trials than it may spend.

    Args:
        search: With the parameters of every family written out.
    """
    different, asked = catalog.different_trials(search), catalog.most_trials(search)
    if different is not None and different < asked:
        be = "trial exists" if different == 1 else "different trials exist"
        yield (
            f"search.trials: only {different} {be}, and {asked} are drawn, so some are repeated; "
            "search.method: grid runs each once"
        )


def on_parted(train: Train | None) -> Iterator[str]:
    """Fits whose executors have parts of the rows, and find what follows from all of them."""
    if train is not None and train.mode == "allreduce" and train.workers > 1:
        yield (
            f"train.mode: allreduce with {train.workers} workers gives other trees than one "
            "process does: each finds cut points in the rows that it has; mode: exact finds them "
            "in all rows"
        )
