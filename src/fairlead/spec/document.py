"""What a spec may say.

Belongs here: the user's document as Pydantic models, their defaults and the rules that need
nothing but the document. Does not: YAML (load.py), and rules that need the data or a library.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from fairlead.spec.space import Range, Space

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)?", re.ASCII)
_UNITS = {"B": 1} | {
    f"{letter}{infix}B": base**power
    for power, letter in enumerate("KMGT", start=1)
    for infix, base in (("", 1000), ("i", 1024))
}


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.replace(" ", ""))
    if not match or not any(match.groups()):
        raise ValueError(f"must be seconds, or a time such as 90s, 10m or 1h30m, not {value!r}")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if not match:
        raise ValueError(f"must be bytes, or a size such as 512MiB or 2GB, not {value!r}")
    return int(float(match[1]) * _UNITS[match[2] or "B"])


Seconds: TypeAlias = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=float | str),
    Field(gt=0),
]
Bytes: TypeAlias = Annotated[
    int,
    BeforeValidator(_bytes, json_schema_input_type=int | str),
    Field(ge=1 << 20),
]
Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class _Section(BaseModel):
    model_config = _STRICT


class Holdout(_Section):
    """The rows kept from the search to judge the candidate on."""

    share: float = Field(default=0.2, gt=0, lt=1)
    by: Literal["hash", "random"] = "hash"


class Data(_Section):
    """Where the rows come from and how they are read."""

    source: str = Field(
        min_length=1, description="a catalog name, a path (relative to the spec), or an https URL"
    )
    target: str | None = Field(default=None, description="the column to predict")
    task: Literal["auto", "regression", "classification"] = "auto"
    format: Literal["auto", "csv", "tsv", "parquet", "statlib", "uci", "idx"] = "auto"
    columns: tuple[str, ...] | None = Field(
        default=None, description="names of the columns, for a file without a header"
    )
    drop: tuple[str, ...] = Field(default=(), description="columns to leave out")
    impute: Literal["mean", "median", "most_frequent"] | float | None = Field(
        default=None, description="what stands for a missing number; without it they are refused"
    )
    encode: Mapping[str, Literal["onehot"]] = Field(
        default_factory=dict, description="text columns and how they are encoded"
    )
    digest: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="SHA-256 of the file; another is refused",
    )
    holdout: Holdout = Field(default_factory=Holdout)
    seed: int = Field(default=0, ge=0, lt=1 << 32)


class FamilySpace(_Section):
    """A family and the values of its parameters."""

    family: str = Field(
        min_length=1, description="a family, package.module:Name, or ./file.py:Name"
    )
    params: Space | None = Field(
        default=None, description="without it, the family's own ranges are searched"
    )


class Search(_Section):
    """Which trials, and how they are scored."""

    method: Literal["grid", "random", "tpe"] = "tpe"
    over: tuple[FamilySpace, ...] = Field(min_length=1)
    folds: int = Field(default=5, ge=2, le=100)
    metric: str | None = Field(default=None, description="mse or accuracy if not given")
    trials: int | None = Field(
        default=None, ge=1, le=1_000_000, description="50, or the whole grid, if not given"
    )
    time: Seconds | None = Field(default=None, description="start no trial after this time")
    until: float | None = Field(default=None, description="stop at the first trial this good")
    lag: int = Field(default=8, ge=0, le=1000)
    seed: int | None = Field(default=None, ge=0, lt=1 << 32, description="data.seed if not given")
    threads: int = Field(default=1, ge=1, le=256, description="threads of one fit")
    prune: Literal["median"] | None = None
    task_time: Seconds | None = Field(default=None, description="limit of one task")
    task_memory: Bytes | None = Field(default=None, description="limit of one task")

    @model_validator(mode="after")
    def _grid_is_finite(self) -> Search:
        if self.method != "grid":
            return self
        for index, space in enumerate(self.over):
            for name, values in (space.params or {}).items():
                if isinstance(values, Range) and values.step is None:
                    raise ValueError(
                        f"over.{index}.params.{name}: a grid needs a list, or a range with a step"
                    )
        return self


class Promote(_Section):
    """When the candidate becomes champion."""

    when: Literal["better", "confident", "always", "never"] = "better"
    margin: float = Field(default=0.0, ge=0, description="in the metric's unit")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)


class Spec(_Section):
    """One YAML file from data to a registered model."""

    name: Name
    data: Data
    search: Search
    promote: Promote = Field(default_factory=Promote)

    @property
    def seed(self) -> int:
        """Seed of the search and random_state of the estimators."""
        return self.data.seed if self.search.seed is None else self.search.seed


def canonical(spec: Spec) -> str:
    """The spec as JSON with every default written out and its keys sorted."""
    return json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def parse_canonical(text: str) -> Spec:
    """The spec that `canonical` wrote."""
    return Spec.model_validate_json(text)


def identity(spec: Spec, **ingredients: object) -> str:
    """Digest of what makes a study this one and no other (the ledger's rule 7).

    Args:
        spec: Its `data` and `search` count, save `search.trials`.
        **ingredients: What else counts: the table's fingerprint, code digests, versions.
    """
    body = spec.model_dump(mode="json", include={"data": True, "search": True})
    del body["search"]["trials"]
    text = json.dumps([body, ingredients], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
