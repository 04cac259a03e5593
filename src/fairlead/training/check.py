"""Checking the families of a spec before it is run.

This imports the families' libraries and, where a family is named by an import path, runs the user's
code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairlead.errors import InvalidSpec
from fairlead.families import catalog
from fairlead.families.family import DryRun, Family, Shaped, Stepwise, Task, Tryable
from fairlead.families.imported import Imported
from fairlead.records import Params
from fairlead.spec.space import Range

_NEVER = "write promote: {when: never} where it need not"


@dataclass(frozen=True, kw_only=True)
class FamiliesToCheck:
    """Families as `search.over` has them, in its order.

    Args:
        names: As the spec writes them.
        params: Of each, the first value of every parameter.
        texts: Of each, all values of every parameter that are text.
        whole: Of each, the ends of every range of whole numbers without a step.
        sources: Content of the files of `./file.py:Name` families.
        task: What the data is for.
        to_export: Whether their models are to be exported.
        shared: Whether several processes are to share a fit.
        elsewhere: Whether networks of the user's are left out where TensorFlow is not installed.
        dry_run: What the models of those that can be tried out are tried with; None where they are
            not.
    """

    names: Sequence[str]
    params: Sequence[Params]
    texts: Sequence[Mapping[str, Sequence[str]]]
    whole: Sequence[Mapping[str, tuple[int, int]]]
    sources: Mapping[str, bytes]
    task: Task
    to_export: bool
    shared: bool = False
    elsewhere: bool = False
    dry_run: DryRun | None = None


def check_families(asked: FamiliesToCheck) -> tuple[str, ...]:
    """Check each family by itself, then each of its parameters: a fault is said of its cause.

    Args:
        asked: The families.

    Returns:
        Remarks, a line each: families whose models could become champion but for having no ONNX
        form, and ranges of whole numbers that were hardly meant to be.

    Raises:
        InvalidSpec: A family does not take a parameter, or cannot do the task; the message begins
            with the key.
    """
    families = dict(_families(asked))
    for index, family in families.items():
        params = asked.params[index]
        with about(key_of(index, family.name)):
            needed = {name: params[name] for name in family.needed() & params.keys()}
            family.check(needed, asked.task)
            if asked.shared and isinstance(family, Imported):
                _refuse_unshared(family)
        for name, value in params.items():
            with about(f"search.over[{index}].params.{name}"):
                family.check({**needed, name: value}, asked.task)
        if asked.dry_run is not None:
            _try_out(family, index, params, asked.task, asked.dry_run)
    unexportable = _unexportable(families, asked) if asked.to_export else ()
    return (*unexportable, *_whole(families, asked))


def _families(asked: FamiliesToCheck) -> Iterator[tuple[int, Family]]:
    """Those that can be checked here, by their places."""
    for index, name in enumerate(asked.names):
        source = asked.sources.get(name)
        family = catalog.family(name, base=Path(), source=source, elsewhere=asked.elsewhere)
        if not (name.startswith(catalog.BUILT) and catalog.is_elsewhere(family)):
            yield index, family


def _try_out(family: Family, index: int, params: Params, task: Task, asked: DryRun) -> None:
    if asked.shape is not None and isinstance(family, Shaped):
        family = family.shaped(asked.shape)
    if isinstance(family, Tryable):
        with about(key_of(index, family.name)):
            family.dry_run(params, task, asked)


def _refuse_unshared(family: Imported) -> None:
    if not isinstance(family.in_steps(), Stepwise):
        raise unshared(family.name)


def unshared(family: str) -> InvalidSpec:
    """What is wrong with a family that one process fits, where several are to share a fit."""
    return InvalidSpec(
        f"{family!r} is fitted by one process, and train says how several share a fit: leave train "
        "out, or use keras, or a class of your own with the methods network and fitted"
    )


def key_of(index: int, family: str) -> str:
    """The key that names the family of `search.over[index]`."""
    built = family.startswith(catalog.BUILT)
    return f"search.over[{index}].{'model' if built else 'family'}"


@contextmanager
def about(key: str) -> Iterator[None]:
    """Puts the key before what is said about its value."""
    try:
        yield
    except InvalidSpec as error:
        raise InvalidSpec(f"{key}: {error}") from None


def _unexportable(families: Mapping[int, Family], asked: FamiliesToCheck) -> Iterator[str]:
    for index, family in families.items():
        reasons = [
            why
            for one in _variants(asked.params[index], asked.texts[index])
            if (why := _reason(family, one, asked.task))
        ]
        for why in dict.fromkeys(reasons):
            yield f"{key_of(index, family.name)}: it cannot become champion: {why}; {_NEVER}"


def _whole(families: Mapping[int, Family], asked: FamiliesToCheck) -> Iterator[str]:
    """Ranges that draw whole numbers for a parameter that takes those between, too."""
    for index, family in families.items():
        ranges = asked.whole[index]
        defaults = _defaults(family, asked.params[index], asked.task) if ranges else {}
        searched = family.space(asked.task) if ranges else {}
        for name, (low, high) in ranges.items():
            own = searched.get(name)
            if (
                (isinstance(own, Range) and not own.whole)
                or isinstance(defaults.get(name), float)
                or (defaults.get(name) is None and (low, high) == (0, 1))
            ):
                yield (
                    f"search.over[{index}].params.{name}: {{low: {low}, high: {high}}} draws whole "
                    f"numbers alone; {{low: {low}.0, high: {high}.0}} draws those between, too"
                )


def _defaults(family: Family, params: Params, task: Task) -> Mapping[str, Any]:
    """The library's defaults; of a pipeline, those of its last step."""
    needed = {name: params[name] for name in family.needed() & params.keys()}
    found = family.build(needed, task, seed=0, threads=1).get_params()
    return {name.rpartition("__")[2]: value for name, value in found.items()}


def _variants(params: Params, texts: Mapping[str, Sequence[str]]) -> Iterator[Params]:
    """The first values, then each other text in its place: an objective is one of these."""
    yield params
    for name, values in texts.items():
        for value in values:
            if value != params[name]:
                yield {**params, name: value}


def _reason(family: Family, params: Params, task: Task) -> str | None:
    with suppress(InvalidSpec):  # refused in this combination: the trial that has it will fail
        return family.unexportable(params, task)
    return None
