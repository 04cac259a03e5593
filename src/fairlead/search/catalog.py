"""How the name of a search method becomes a search; spec/methods.py has the names."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import BaseModel, ValidationError

from fairlead.errors import InvalidSpec
from fairlead.families.family import Family, Task
from fairlead.records import Trial
from fairlead.search.median import Pruned
from fairlead.search.search import DEFAULT_TRIALS, Method, Search, SearchRequest
from fairlead.search.values import combinations
from fairlead.spec.document import Search as SearchSpec
from fairlead.spec.document import Spec
from fairlead.spec.methods import METHODS
from fairlead.spec.wording import shown


def method(name: str) -> Method:
    """The method of this name, one of spec.methods.NAMES; its module is imported now."""
    module, _, attribute = METHODS[name].partition(":")
    return cast("Method", getattr(importlib.import_module(f"{__package__}.{module}"), attribute))


def search_for(
    spec: Spec,
    families: Mapping[str, Family],
    *,
    task: Task,
    greater_is_better: bool,
    known: Sequence[Trial] = (),
) -> Search:
    """The search that the spec asks for.

    Args:
        spec: The user's document.
        families: The families of `search.over`, by the names that it gives them.
        task: What the data is for; it decides a family's own ranges.
        greater_is_better: The metric's sign.
        known: Trials of this study that are in the ledger already.

    Raises:
        InvalidSpec: The method cannot use the spec's ranges or options.
    """
    asked = spec.search
    search = method(asked.method).search(
        SearchRequest(
            spaces=[
                (one.family, families[one.family].space(task) if one.params is None else one.params)
                for one in asked.over
            ],
            seed=spec.seed,
            trials=asked.trials,
            lag=asked.lag,
            greater_is_better=greater_is_better,
            options=options(spec),
            known=known,
        )
    )
    if asked.prune is None:
        return search
    return Pruned(
        method=search,
        lag=asked.lag,
        folds=asked.folds,
        greater_is_better=greater_is_better,
        known=known,
    )


def different_trials(search: SearchSpec) -> int | None:
    """How many trials a search can have that differ; None where they are endless.

    Args:
        search: With the parameters of every family written out.
    """
    points = [combinations(space.params or {}) for space in search.over]
    return None if None in points else sum(one for one in points if one is not None)


def most_trials(search: SearchSpec) -> int:
    """How many trials a search may spend: those asked for, of a grid no more than it has.

    Args:
        search: With the parameters of every family written out.
    """
    different = different_trials(search)
    if different is None or not method(search.method).exhaustive:
        return search.trials or DEFAULT_TRIALS
    return min(different, search.trials or different)


def options(spec: Spec) -> BaseModel:
    """The spec's `search.options`, as its method takes them.

    Raises:
        InvalidSpec: The method has no such option, or does not take its value.
    """
    takes = method(spec.search.method).options
    try:
        return takes.model_validate(dict(spec.search.options))
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
    key = ".".join(["search.options", *map(str, detail["loc"])])
    if detail["type"] == "extra_forbidden":
        known = ", ".join(takes.model_fields) or "none"
        raise InvalidSpec(f"{key} is not known; options of {spec.search.method}: {known}")
    raise InvalidSpec(f"{key}: {detail['msg']}, not {shown(detail['input'])}")
