"""A table made of frames that come one after another, whose rows never are in memory together.

A first pass over the columns of texts and over a target of classes finds what is in them; a second
one over all columns writes the arrays, and finds the fingerprint and what each row is known by. The
table is the one that the same rows in one file give.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from fairlead.data import assemble
from fairlead.data.cells import coded, texts
from fairlead.data.features import Features
from fairlead.data.fingerprint import Fingerprint, row_hashes
from fairlead.data.frame import Cells, Frame, Parts
from fairlead.data.scratch import ArrayFile, Scratch
from fairlead.data.table import Table
from fairlead.data.target import (
    amounts,
    check_target,
    check_varies,
    classes_of,
    is_amount,
    labels_of,
)
from fairlead.records import Scalar
from fairlead.spec.document import Data

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 1 << 16


def table_of(folder: Parts, data: Data, *, scratch: Scratch, memory: int) -> Table:
    """Read the files of a folder.

    Args:
        folder: The files.
        data: The spec's section.
        scratch: Where the arrays go.
        memory: Bytes that the rows may take at a time.

    Returns:
        The table; its arrays are read-only maps of files.

    Raises:
        InvalidSpec: As `assemble.assemble`.
        InvalidData: As `assemble.assemble` and `assemble.check_missing`; a cell is named with its
            file.
    """
    first = folder.first(memory)
    layout = assemble.layout_of(first, data, rows=folder.rows)
    reading = _Reading(folder=folder, data=data, layout=layout, memory=memory)
    found = reading.different()
    arrays = reading.arrays(found, scratch)
    return Table(
        columns=layout.columns,
        features=Features(
            numbers=arrays.numbers, text=arrays.text, categories=tuple(found.categories.values())
        ),
        target_name=layout.target,
        target=arrays.target,
        classes=found.classes,
        fingerprint=arrays.fingerprint,
        missing=first.missing,
        notes=layout.notes,
        hashes=arrays.hashes,
        scratch=scratch,
    )


@dataclass(frozen=True, kw_only=True)
class _Different:
    """What is in the columns of which it must be known before any row is written.

    Args:
        categories: The texts of each text column, sorted.
        labels: What tells the classes apart, sorted: numbers or strings; None for amounts.
        classes: The classes; None for amounts.
    """

    categories: Mapping[str, tuple[str, ...]]
    labels: NDArray[np.float64] | tuple[str, ...] | None
    classes: tuple[Scalar, ...] | None


@dataclass(frozen=True, kw_only=True)
class _Arrays:
    """What the second pass gave."""

    numbers: NDArray[np.float64]
    text: NDArray[np.int32]
    target: NDArray[Any]
    hashes: NDArray[np.uint64]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class _Reading:
    folder: Parts
    data: Data
    layout: assemble.Layout
    memory: int

    @cached_property
    def texts(self) -> tuple[Any, ...]:
        """The text columns."""
        return tuple(column for column in self.layout.columns if column.kind == "text")

    @property
    def is_amount(self) -> bool:
        """Whether the target is."""
        return is_amount(self.data, self.layout.found)

    def frames(self, names: Sequence[str]) -> Iterator[Frame]:
        """All rows of these columns."""
        return self.folder.frames(names, memory=self.memory)

    def names(self) -> Sequence[str]:
        """Of all columns that are used."""
        return [*(column.name for column in self.layout.columns), self.layout.target]

    # ---- the first pass -------------------------------------------------------------------

    def different(self) -> _Different:
        """The texts of each text column, and the classes."""
        found: dict[str, set[str]] = {column.name: set() for column in self.texts}
        labels: set[Any] = set()
        names = [*found, *(() if self.is_amount else (self.layout.target,))]
        for frame in self.frames(names) if names else ():
            for column in self.texts:
                self._refuse_other(frame, column.name)
                cells = texts(frame[column.name], column.type, frame.spelling)
                found[column.name].update(_strings(cells))
                assemble.check_texts(column.name, len(found[column.name]), self.data.encoded)
            if not self.is_amount:
                labels.update(_distinct(self._labels(frame)))
        categories = {name: tuple(sorted(own)) for name, own in found.items()}
        if self.is_amount:
            return _Different(categories=categories, labels=None, classes=None)
        return self._with_classes(categories, sorted(labels))

    def _refuse_other(self, frame: Frame, name: str) -> None:
        if name in frame.other:
            column = next(one for one in self.texts if one.name == name)
            refuse = assemble.refusing(frame, self.layout.columns, self.data)
            assemble.features_of(frame, (column,), refuse)

    def _labels(self, frame: Frame) -> NDArray[np.float64] | Cells:
        name, found = self.layout.target, self.layout.found
        check_target(frame, name, self.data, found)
        return labels_of(frame, name, self.data, found)

    def _with_classes(
        self, categories: Mapping[str, tuple[str, ...]], labels: Sequence[Any]
    ) -> _Different:
        self._check_varies(len(labels) > 1)
        if isinstance(labels[0], str):
            return _Different(categories=categories, labels=tuple(labels), classes=tuple(labels))
        numbers = np.array(labels, dtype=np.float64)
        return _Different(categories=categories, labels=numbers, classes=classes_of(numbers))

    def _check_varies(self, varies: bool) -> None:  # noqa: FBT001 - an assertion
        if not varies:
            name = self.layout.target
            check_varies(varies, next(self.frames([name]))[name], name)

    # ---- the second pass ------------------------------------------------------------------

    def arrays(self, found: _Different, scratch: Scratch) -> _Arrays:
        """Write what all rows hold."""
        rows, width = self.folder.rows, sum(len(c.numbers) for c in self.layout.columns)
        writing = _Writing(
            numbers=scratch.file((rows, width), np.float64),
            text=scratch.file((rows, len(self.texts)), np.int32),
            target=scratch.file((rows,), np.float64 if found.classes is None else np.int64),
            hashes=scratch.file((rows,), np.uint64),
            fingerprint=Fingerprint(
                rows,
                self.layout.columns,
                tuple(found.categories.values()),
                target_name=self.layout.target,
                classes=found.classes,
            ),
            present=np.zeros(width, dtype=np.bool_),
        )
        try:
            return self._filled(writing, found)
        finally:
            writing.close()

    def _filled(self, writing: _Writing, found: _Different) -> _Arrays:
        names = [column.name for column in self.layout.columns for _ in column.numbers]
        for frame in self.frames(self.names()):
            refuse = assemble.refusing(frame, self.layout.columns, self.data)
            features = assemble.features_of(frame, self.layout.columns, refuse)
            missing = np.isnan(features.numbers)
            if self.data.impute is None:
                assemble.refuse_missing(missing, names, frame)
            writing.add(features, _codes(features, found), self._target(frame, found), missing)
        assemble.check_present(names, writing.present)
        if writing.low == writing.high:
            self._check_varies(found.classes is not None)
        return writing.whole()

    def _target(self, frame: Frame, found: _Different) -> NDArray[Any]:
        name, look = self.layout.target, self.layout.found
        if found.labels is None:
            check_target(frame, name, self.data, look)
            return amounts(frame, name, self.data, look)
        labels = self._labels(frame)
        if isinstance(labels, np.ndarray):
            return np.searchsorted(found.labels, labels).astype(np.int64)
        codes, own = coded(labels)
        return _places(own, tuple(found.labels))[codes].astype(np.int64)


@dataclass(kw_only=True)
class _Writing:
    """The arrays in the making."""

    numbers: ArrayFile
    text: ArrayFile
    target: ArrayFile
    hashes: ArrayFile
    fingerprint: Fingerprint
    present: NDArray[np.bool_]
    low: float = field(default=np.inf)
    high: float = field(default=-np.inf)

    def add(
        self,
        features: Features,
        codes: NDArray[np.int32],
        target: NDArray[Any],
        missing: NDArray[np.bool_],
    ) -> None:
        """Further rows; the codes are those of the whole table."""
        self.numbers.append(features.numbers)
        self.fingerprint.update(features.numbers)
        self.text.append(codes)
        self.target.append(target)
        self.hashes.append(row_hashes(features))
        self.present |= ~missing.all(axis=0)
        self.low = min(self.low, float(target.min()))
        self.high = max(self.high, float(target.max()))

    def whole(self) -> _Arrays:
        """The arrays, which have all rows now."""
        text, target = self.text.mapped(), self.target.mapped()
        for values in (text, target):
            for start in range(0, len(values), _BLOCK):
                self.fingerprint.update(values[start : start + _BLOCK])
        return _Arrays(
            numbers=self.numbers.mapped(),
            text=text,
            target=target,
            hashes=self.hashes.mapped(),
            fingerprint=self.fingerprint.digest(),
        )

    def close(self) -> None:
        """Whatever came of it."""
        for file in (self.numbers, self.text, self.target, self.hashes):
            file.close()


def _codes(features: Features, found: _Different) -> NDArray[np.int32]:
    """The codes of these rows in the categories of all rows."""
    columns = zip(features.categories, found.categories.values(), strict=True)
    codes = np.empty(features.text.shape, np.int32)
    for at, (own, all_of_them) in enumerate(columns):
        codes[:, at] = _places(own, all_of_them)[features.text[:, at]]
    return codes


def _places(own: Sequence[str], among: Sequence[str]) -> NDArray[np.int32]:
    """Where each text is among others that are sorted; the last is for none."""
    places = {text: place for place, text in enumerate(among)}
    return np.array([*(places[text] for text in own), -1], dtype=np.int32)


def _strings(cells: Cells) -> Iterator[str]:
    return (text for text in pc.unique(cells).to_pylist() if text is not None)


def _distinct(labels: NDArray[np.float64] | Cells) -> Iterator[Any]:
    if isinstance(labels, np.ndarray):
        return iter(np.unique(labels).tolist())
    return _strings(labels)
