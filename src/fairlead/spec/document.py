"""The spec as Pydantic models: its keys, their defaults, and the rules that need only the document.

Rules that need the data or a library of models are checked where these are known.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import operator
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    model_validator,
)

from fairlead.formatting import did_you_mean
from fairlead.records import NAME, CellType
from fairlead.spec.methods import NAMES as METHOD_NAMES
from fairlead.spec.space import BUILDER, Inside, Range, Space

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
_LEAST_MEMORY = 1 << 20
_LARGEST = (2.0 - 2.0**-23) * 2.0**127  # of float32, as for the numbers of the data
_STICKY = r"(?:header|cookie):[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_WHOLE = 100  # percent
_DIGEST = r"^sha256:[0-9a-f]{64}$"
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B|[KMGT]i|B)?", re.ASCII)
_UNITS = {"B": 1} | {
    f"{letter}{infix}B": base**power
    for power, letter in enumerate("KMGT", start=1)
    for infix, base in (("", 1000), ("i", 1024))
}


def _seconds(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    match = _DURATION.fullmatch(value.replace(" ", "")) if isinstance(value, str) else None
    if not match or not any(match.groups()):
        raise ValueError("must be seconds, or a time such as 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be above 0")
    return value


def _at_least_a_mebibyte(value: int) -> int:
    if value < _LEAST_MEMORY:
        raise ValueError("must be at least 1MiB")
    return value


def _bytes(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError("must be bytes, or a size such as 512MiB or 2GB")
    unit = match[2] or "B"
    return int(float(match[1]) * _UNITS[unit if unit.endswith("B") else f"{unit}B"])  # 2Gi, too


def _name(value: str) -> str:
    if not re.fullmatch(NAME, value):
        raise ValueError("must be 1 to 63 lower-case letters, digits and hyphens, no hyphen first")
    return value


def _file_digest(value: str) -> str:
    if not re.fullmatch(_DIGEST, value):
        raise ValueError("must be 'sha256:' and 64 hexadecimal digits in lower case")
    return value


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be printable text on one line")
    return value


def _imputation(value: Any) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not number and value not in _IMPUTATIONS:
        raise ValueError(f"must be {', '.join(_IMPUTATIONS)} or a number")
    if number and not abs(value) <= _LARGEST:  # NaN is not, either
        raise ValueError("must be a finite number within 3.4e38, the largest number of a model")
    return value


def _of_columns(to: str) -> BeforeValidator:
    """Refuses what is no mapping from columns."""

    def check(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a mapping from columns to {to}")  # noqa: TRY004 - Pydantic collects ValueErrors only
        return value

    return BeforeValidator(check)


def _separator(value: str) -> str:
    if value != "auto" and (len(value) != 1 or value in '"\r\n' or value.isalnum()):
        raise ValueError("must be auto or one character, such as ';' or \"\\t\"")
    return value


def _mark(value: str) -> str:
    if len(value) != 1 or value.isalnum() or value in '"+-\r\n':
        raise ValueError("must be one character, such as '.' or ','")
    return value


def _encoding(value: str) -> str:
    try:
        codec = codecs.lookup(value)
    except LookupError:
        raise ValueError(
            f"must be an encoding such as utf-8, utf-16 or latin-1{_like(value)}"
        ) from None
    if not codec._is_text_encoding:  # noqa: SLF001 - what bytes.decode itself asks
        raise ValueError("must be an encoding of text, such as utf-8, utf-16 or latin-1")
    return value


def _like(value: str) -> str:
    return did_you_mean(value.lower(), ("utf-8", "utf-16", "latin-1", "cp1252"))


def _trimmed(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for index, value in enumerate(values or ()):
        if value != value.strip():
            raise Inside((index,), "must have no blanks around it; cells are compared without them")
    return values


def _rising(values: tuple[int, ...]) -> tuple[int, ...]:
    for index, (before, after) in enumerate(pairwise(values), start=1):
        if after <= before:
            raise Inside((index,), f"must be above the step before it ({before}), not {after}")
    if values[-1] != _WHOLE:
        raise ValueError(f"must end with 100, not {values[-1]}")
    return values


def _sticky(value: str) -> str:
    if not re.fullmatch(_STICKY, value):
        raise ValueError("must be header:NAME or cookie:NAME, such as header:X-User")
    return value


def _is(default: object) -> Callable[[object], bool]:
    """Whether a value is the default: a spec without the key has the identity it always had."""
    return lambda value: value == default


def _distinct(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for index, value in enumerate(values or ()):
        if value in values[:index]:  # type: ignore[index] # there are values
            raise Inside((index,), f"must not be listed twice ({value!r})")
    return values


Seconds: TypeAlias = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=float | str),
    AfterValidator(_positive),
    Field(examples=["10m", "1h30m", 90]),
]
Bytes: TypeAlias = Annotated[
    int,
    BeforeValidator(_bytes, json_schema_input_type=int | str),
    AfterValidator(_at_least_a_mebibyte),
    Field(examples=["2GB", "512MiB"]),
]
Name: TypeAlias = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": NAME})]
FileDigest: TypeAlias = Annotated[
    str, AfterValidator(_file_digest), Field(json_schema_extra={"pattern": _DIGEST})
]
Percent: TypeAlias = Annotated[int, Field(ge=1, le=_WHOLE, strict=True)]
Line: TypeAlias = Annotated[str, AfterValidator(_one_line), Field(min_length=1)]
Columns: TypeAlias = Annotated[tuple[Line, ...], AfterValidator(_distinct)]
Imputation: TypeAlias = Annotated[
    Literal["mean", "median", "most_frequent"] | float, BeforeValidator(_imputation)
]
Encodings: TypeAlias = Annotated[
    Mapping[str, Literal["onehot", "date"]],
    _of_columns("how each is encoded, such as {city: onehot}"),
]
Types: TypeAlias = Annotated[
    Mapping[str, CellType], _of_columns("what each holds, such as {zip: text}")
]
Mark: TypeAlias = Annotated[str, AfterValidator(_mark)]
Separator: TypeAlias = Annotated[str, AfterValidator(_separator)]
Encoding: TypeAlias = Annotated[str, AfterValidator(_encoding)]
Texts: TypeAlias = Annotated[tuple[str, ...], AfterValidator(_distinct), AfterValidator(_trimmed)]
_REGRESSION = ("mse", "rmse", "mae", "r2")
_CLASSIFICATION = ("accuracy", "balanced_accuracy", "f1", "log_loss", "roc_auc")
_IMPUTATIONS = ("mean", "median", "most_frequent")


if TYPE_CHECKING:
    _Method: TypeAlias = str
else:
    _Method = Literal[METHOD_NAMES]


class _Section(BaseModel):
    model_config = _STRICT


class Holdout(_Section):
    """The rows kept from the search to judge the candidate on."""

    share: float = Field(
        default=0.2, gt=0, lt=1, strict=True, description="share of the rows that is kept"
    )
    by: Literal["hash", "random"] = Field(
        default="hash",
        description="hash: a row keeps its side as the data grows; "
        "random: scikit-learn's train_test_split",
    )
    stratify: bool = Field(
        default=False,
        strict=True,
        exclude_if=operator.not_,  # so that a spec without it has the identity it always had
        description="with by: random: every class has the same share of its rows kept",
    )

    @model_validator(mode="after")
    def _only_a_draw_is_stratified(self) -> Holdout:
        if self.stratify and self.by != "random":
            raise Inside(
                ("stratify",),
                f"needs by: random; by {self.by}, a row's side follows from the row, not its class",
            )
        return self


class Data(_Section):
    """Where the rows come from and how they are read."""

    source: Line = Field(
        description="a catalog name, a path (relative to the spec) of a file, of a folder of "
        "Parquet files or of PNG images by class, or an https:// URL",
        examples=["boston", "california", "diabetes", "digits", "mnist", "rows.csv"],
    )
    target: Line | None = Field(
        default=None,
        description="the column to predict; a catalog name and images have their own",
    )
    task: Literal["auto", "regression", "classification"] = Field(
        default="auto",
        description="auto: classification where the target is text",
    )
    format: Literal["auto", "csv", "tsv", "parquet", "jsonl", "statlib", "uci", "idx", "png"] = (
        Field(
            default="auto",
            description="layout of the file; png: of a folder of images; "
            "auto: by its name and its beginning",
        )
    )
    separator: Separator = Field(
        default="auto",
        exclude_if=_is("auto"),
        description="character between the cells of a CSV file; auto: by its first lines",
        examples=["auto", ",", ";", "\t", "|"],
    )
    decimal: Mark = Field(
        default=".",
        exclude_if=_is("."),
        description="character before the fraction of a number in a text file",
        examples=[".", ","],
    )
    thousands: Mark | None = Field(
        default=None,
        exclude_if=_is(None),
        description="character between the thousands of a number in a text file; none if not given",
        examples=[",", ".", " ", "'"],
    )
    header: Literal["auto"] | StrictBool = Field(
        default="auto",
        exclude_if=_is("auto"),
        description="whether the first record of a CSV file has the names of the columns; "
        "auto: yes, unless it looks like data",
    )
    columns: Columns | None = Field(
        default=None, description="names of the columns, for a file without a header"
    )
    encoding: Encoding = Field(
        default="utf-8",
        exclude_if=_is("utf-8"),
        description="encoding of a text file",
        examples=["utf-8", "utf-16", "latin-1", "cp1252"],
    )
    missing: Texts | None = Field(
        default=None,
        exclude_if=_is(None),
        description="texts that stand for a missing value in a text file; [] for none; "
        "those that pandas takes if not given",
        examples=[["", "NA", "?"]],
    )
    types: Types = Field(
        default_factory=dict,
        exclude_if=operator.not_,
        description="columns and what their cells are, where that is not what they look like: "
        "number, text or boolean",
        examples=[{"zip": "text"}],
    )
    drop: Columns = Field(default=(), description="columns to leave out")
    impute: Imputation | None = Field(
        default=None, description="what stands for a missing number; without it they are refused"
    )
    encode: Encodings = Field(
        default_factory=dict,
        description="columns and how they are encoded; "
        "onehot: a column of ones and zeros for each text; "
        "date: year, month, day of the week, hour, and days since 1970",
    )
    encoded: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        strict=True,
        exclude_if=_is(1000),
        description="most texts that a column encoded by onehot may hold",
    )
    digest: FileDigest | None = Field(
        default=None, description="SHA-256 of the file; another is refused"
    )
    holdout: Holdout = Field(
        default_factory=Holdout, description="the rows kept to judge the candidate on"
    )
    seed: int = Field(
        default=0, ge=0, lt=1 << 32, strict=True, description="seed of the holdout and the folds"
    )

    @model_validator(mode="after")
    def _target_is_kept(self) -> Data:
        if self.target in self.drop:
            raise Inside(("drop",), f"must not name the target {self.target!r}")
        return self

    @model_validator(mode="after")
    def _what_is_used_is_kept(self) -> Data:
        for key, names in (("encode", self.encode), ("types", self.types)):
            for name in names:
                if name in self.drop:
                    raise Inside(("drop",), f"must not name {name!r}, which data.{key} names too")
        return self

    @model_validator(mode="after")
    def _marks_differ(self) -> Data:
        if self.decimal == self.thousands:
            raise Inside(("thousands",), f"must not be data.decimal too ({self.decimal!r})")
        for key, mark in (("decimal", self.decimal), ("thousands", self.thousands)):
            if mark == self.separator:
                raise Inside((key,), f"must not be data.separator too ({mark!r})")
        return self

    @model_validator(mode="after")
    def _dates_have_no_type(self) -> Data:
        for name, how in self.encode.items():
            if how == "date" and name in self.types:
                raise Inside(("types", name), "must not be given: data.encode makes it a date")
        return self


class FamilySpace(_Section):
    """A family and the values of its parameters."""

    family: Line = Field(
        description="a family, package.module:Name, or ./file.py:Name (relative to the spec)",
        examples=[
            "random_forest",
            "extra_trees",
            "linear",
            "xgboost",
            "lightgbm",
            "catboost",
            "keras",
        ],
    )
    model: Line | None = Field(
        default=None,
        exclude_if=_is(None),
        description="with family: keras, the function that builds its networks: ./file.py:build "
        "(relative to the spec) or package.module:build; it is written into the family's name",
        examples=["./digits.py:build"],
    )
    params: Space | None = Field(
        default=None,
        description="parameter to a value, a list, or a range; "
        "without it, the family's own ranges are searched",
        examples=[{"max_depth": {"low": 3, "high": 12}, "n_estimators": [100, 200]}],
    )

    @model_validator(mode="before")
    @classmethod
    def _model_is_part_of_the_name(cls, value: Any) -> Any:
        """`{family: keras, model: X}` is the family `keras:X`, by one name wherever it goes."""
        model = value.get("model") if isinstance(value, Mapping) else None
        if not isinstance(model, str):
            return value
        if value.get("family") != BUILDER:
            raise Inside(("model",), f"is for family: {BUILDER}, not {value.get('family')}")
        rest = {key: one for key, one in value.items() if key != "model"}
        return {**rest, "family": f"{BUILDER}:{model}"}


class Search(_Section):
    """Which trials, and how they are scored."""

    method: _Method = Field(
        default="tpe",
        description="grid: every combination; random: independent draws; "
        "tpe: draws that learn from the results so far",
    )
    options: Mapping[str, bool | int | float | str | None] = Field(
        default_factory=dict,
        exclude_if=operator.not_,  # so that a spec without them has the identity it always had
        description="options of the method, by name",
    )
    over: tuple[FamilySpace, ...] = Field(
        min_length=1, description="the families and the parameters that are searched"
    )
    folds: int = Field(
        default=5, ge=2, le=100, strict=True, description="folds of the cross-validation"
    )
    metric: Line | None = Field(
        default=None,
        description="what trials are compared by; mse or accuracy if not given",
        examples=[*_REGRESSION, *_CLASSIFICATION],
    )
    trials: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        strict=True,
        description="number of trials; 50, or the whole grid, if not given",
    )
    time: Seconds | None = Field(default=None, description="start no trial after this time")
    until: float | None = Field(
        default=None, strict=True, description="stop at the first trial with this score or better"
    )
    lag: int = Field(
        default=8,
        ge=0,
        le=1000,
        strict=True,
        description="how many trials before it a trial of tpe does not see, whoever runs them",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        lt=1 << 32,
        strict=True,
        description="seed of the draws and of the models; data.seed if not given",
    )
    threads: int = Field(default=1, ge=1, le=256, strict=True, description="threads of one fit")
    prune: Literal["median"] | None = Field(
        default=None,
        description="median: stop a trial that is worse than half of those before it",
    )
    task_time: Seconds | None = Field(default=None, description="time limit of one task")
    task_memory: Bytes | None = Field(default=None, description="memory limit of one task")

    @model_validator(mode="after")
    def _grid_is_finite(self) -> Search:
        if self.method != "grid":
            return self
        for index, space in enumerate(self.over):
            for name, values in (space.params or {}).items():
                if isinstance(values, Range) and values.step is None:
                    raise Inside(
                        ("over", index, "params", name),
                        "must be a list, or have a step, where the method is grid",
                    )
        return self


class Promote(_Section):
    """When the candidate becomes champion."""

    when: Literal["better", "confident", "always", "never"] = Field(
        default="better",
        description="better: by more than the margin; confident: and the interval agrees; "
        "always: whatever the comparison says; never: only register",
    )
    margin: float = Field(
        default=0.0,
        ge=0,
        strict=True,
        description="how much better it must be, in the metric's unit",
    )
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, strict=True, description="of the interval of the difference"
    )


class Judge(_Section):
    """What the canary judge waits for and lets pass, step by step."""

    hold: Seconds = Field(default=30.0, description="least time of a step")
    requests: int = Field(
        default=100, ge=1, strict=True, description="least requests to the new revision in a step"
    )
    errors: float = Field(
        default=0.01,
        ge=0,
        lt=1,
        strict=True,
        description="by how much more of its requests may fail, as a share",
    )
    slower: float = Field(
        default=2.0,
        ge=1,
        strict=True,
        description="how many times the 95th percentile of the latency may be the old one's",
    )
    drift: float = Field(
        default=0.25,
        gt=0,
        strict=True,
        description="how far its predictions may drift from the old one's "
        "(population stability index)",
    )


class Serve(_Section):
    """How a version is served once it is deployed."""

    canary: Annotated[tuple[Percent, ...], AfterValidator(_rising)] = Field(
        default=(100,),
        min_length=1,
        description="percent of the traffic, step by step; the last is 100",
        examples=[[10, 50, 100]],
    )
    judge: Judge = Field(
        default_factory=Judge, description="when a step goes on, and when it goes back"
    )
    sticky: Annotated[str, AfterValidator(_sticky)] | None = Field(
        default=None,
        description="what a client is known by, to stay with one revision: "
        "header:NAME or cookie:NAME",
        examples=["header:X-User", "cookie:fairlead"],
    )
    idle_after: Seconds | None = Field(
        default=None, description="unload after this time without a request; never if not given"
    )
    max_concurrency: int = Field(
        default=256,
        ge=1,
        le=100_000,
        strict=True,
        description="requests that one process holds at once; 429 past it",
    )
    queue: int = Field(
        default=256,
        ge=1,
        le=100_000,
        strict=True,
        description="requests that wait in one process while the model loads; 503 past it",
    )
    deadline: Seconds = Field(
        default=10.0, description="how long a request waits for the model to load; 503 past it"
    )


class Resources(_Section):
    """What each process of a shared fit may use."""

    cpu: float = Field(default=1.0, gt=0, le=1024, description="cores that it asks of an engine")
    memory: Bytes = Field(default=2 << 30, description="memory that it has at most")


class Train(_Section):
    """How several processes share one fit."""

    workers: int = Field(
        default=1, ge=1, le=1024, strict=True, description="processes that compute one fit"
    )
    most: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        strict=True,
        exclude_if=_is(None),
        description="processes at most: with engine: kubernetes and spark, more join a fit while "
        "those that there are are busy; workers if not given",
    )
    engine: Literal["local", "spark", "kubernetes", "tfjob", "trainjob"] = Field(
        default="local",
        description="what runs them: local: this machine; spark: tasks of Spark; kubernetes: an "
        "Indexed Job; tfjob, trainjob: the Kubeflow training operator, or its Trainer",
    )
    master: Line | None = Field(
        default=None,
        description="with engine: spark, the URL of its cluster; local-cluster[2,1,1500] and the "
        "like start one here",
        examples=["local-cluster[2,1,1500]", "spark://host:7077", "k8s://https://host:6443"],
    )
    mode: Literal["exact", "allreduce", "averaging"] = Field(
        default="exact",
        description="exact: the same bits whatever the number of workers; allreduce: TensorFlow's "
        "collective operations; averaging: local steps, and now and then a mean of the weights",
    )
    microbatches: int = Field(
        default=8,
        ge=1,
        le=1024,
        strict=True,
        description="exact: in how many parts the batch of a step is cut, whoever computes them",
    )
    pull_every: int = Field(
        default=40,
        ge=1,
        le=1_000_000,
        strict=True,
        description="averaging: local steps between two means of the weights",
    )
    checkpoint: Seconds = Field(
        default=30.0, description="time between two checkpoints, from which a lost fit goes on"
    )
    resources: Resources = Field(
        default_factory=Resources, description="what each of its processes may use"
    )

    @model_validator(mode="after")
    def _each_worker_has_a_part(self) -> Train:
        if self.mode == "exact" and self.microbatches < self.workers:
            raise Inside(
                ("microbatches",),
                f"must be at least train.workers ({self.workers}), so that each has a part of a "
                f"step, not {self.microbatches}",
            )
        if self.master is not None and self.engine != "spark":
            raise Inside(("master",), f"is for engine: spark, not {self.engine}")
        return self

    @model_validator(mode="after")
    def _more_may_join(self) -> Train:
        if self.most is None:
            return self
        if self.engine not in {"kubernetes", "spark"} or self.mode != "exact":
            asked = f"engine: {self.engine} and mode: {self.mode}"
            raise Inside(
                ("most",), f"is for engine: kubernetes or spark, and mode: exact, not {asked}"
            )
        if not self.workers <= self.most <= self.microbatches:
            raise Inside(
                ("most",),
                f"must be from train.workers ({self.workers}) to train.microbatches "
                f"({self.microbatches}), so that each has a part of a step, not {self.most}",
            )
        return self

    @property
    def is_shared(self) -> bool:
        """Whether other processes than the one that drives a fit compute it."""
        return self.workers > 1 or self.engine != "local"

    def in_words(self) -> str:
        """Who computes a fit, and how."""
        processes = "1 process" if self.workers == 1 else f"{self.workers} processes"
        details = {
            "exact": f"exact, {self.microbatches} parts a step",
            "allreduce": "allreduce",
            "averaging": f"averaging, a mean of the weights every {self.pull_every} steps",
        }
        return f"{processes}, engine {self.engine}; {details[self.mode]}"

    @property
    def decides(self) -> Mapping[str, object]:
        """What of it decides which model comes out; the rest only decides who computes it."""
        if self.mode == "exact":
            return {"mode": self.mode, "microbatches": self.microbatches}
        if self.mode == "averaging":
            return {"mode": self.mode, "workers": self.workers, "pull_every": self.pull_every}
        return {"mode": self.mode, "workers": self.workers}


class Spec(_Section):
    """One YAML file from data to a served model."""

    name: Name = Field(description="name of the study and of the model", examples=["boston-prices"])
    data: Data = Field(description="where the rows come from and how they are read")
    search: Search = Field(description="which trials, and how they are scored")
    train: Train | None = Field(
        default=None,
        exclude_if=_is(None),  # so that a spec without it has the identity it always had
        description="how several processes share one fit; one computes it if not given",
    )
    promote: Promote = Field(
        default_factory=Promote, description="when the candidate becomes champion"
    )
    serve: Serve = Field(
        default_factory=Serve, description="how a version is served once it is deployed"
    )

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
        spec: Its `data` and `search` count, save `search.trials`, and what of `train` decides.
        **ingredients: What else counts: the table's fingerprint, code digests, versions.
    """
    body = spec.model_dump(mode="json", include={"data": True, "search": True})
    del body["search"]["trials"]
    if spec.train is not None:
        body["train"] = spec.train.decides
    text = json.dumps([body, ingredients], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the document, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Spec.model_json_schema(mode="validation"),
    }
