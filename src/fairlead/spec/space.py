"""The values that a parameter may take: ranges, lists and fixed values as the user writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from fairlead.records import Scalar

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
BUILDER = "keras"
"""The family whose models a function of the user's may build."""
_WORD = 1 << 63  # whole numbers beyond 64 bits fit neither a database nor a library


class Inside(ValueError):
    """A rule of a whole section is broken by one part of it, which stands at `path` inside."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("must be a number")  # noqa: TRY004 - Pydantic collects ValueErrors only
    return _bounded(value)


def _scalar(value: Any) -> Any:
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise ValueError("must be a number, a text, true, false or null")
    return _bounded(value)


def _bounded(value: Any) -> Any:
    if isinstance(value, int) and not -_WORD <= value < _WORD:
        raise ValueError("must fit into 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be finite")
    return value


def _distinct(values: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    # 1, 1.0 and true are equal to Python, and different things to an estimator.
    seen: set[tuple[type, Scalar]] = set()
    for index, value in enumerate(values):
        if (type(value), value) in seen:
            raise Inside(
                (index,), f"must not be listed twice ({value!r}): each value is tried once"
            )
        seen.add((type(value), value))
    return values


Number: TypeAlias = Annotated[int | float, BeforeValidator(_number)]


class Range(BaseModel):
    """Numbers from `low` to `high`, both included; whole numbers stay whole."""

    model_config = _STRICT

    low: Number = Field(description="the lowest value")
    high: Number = Field(description="the highest value")
    step: Number | None = Field(default=None, description="distance of neighbouring values")
    log: bool = Field(default=False, strict=True, description="draw low values more often")

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if self.low >= self.high:
            raise Inside(("high",), f"must be above low ({self.low})")
        if self.log and self.low <= 0:
            raise Inside(("low",), "must be above 0 where log is true")
        if self.step is not None and self.step <= 0:
            raise Inside(("step",), "must be above 0")
        if self.log and self.step is not None:
            raise Inside(("step",), "must not be combined with log: leave one of them out")
        if self.whole and isinstance(self.step, float):
            raise Inside(("step",), "must be whole where low and high are")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def count(self) -> int:
        """Number of values of a range with a step."""
        low, high, step = self._decimals()
        return int((high - low) / step) + 1

    def at(self, index: int) -> int | float:
        """The value this many steps above `low`; computed in decimals, so exact."""
        low, _, step = self._decimals()
        point = low + index * step
        return int(point) if self.whole else float(point)

    def values(self) -> tuple[Scalar, ...]:
        """The values of a range with a step, from low upwards."""
        return tuple(self.at(index) for index in range(self.count))

    def _decimals(self) -> tuple[Decimal, Decimal, Decimal]:
        return Decimal(str(self.low)), Decimal(str(self.high)), Decimal(str(self.step))


def written(value: Scalar) -> str:
    """A value as YAML writes it, texts without quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return value if isinstance(value, str) else repr(value)


def _kind(value: Any) -> str:
    if isinstance(value, (Mapping, Range)):
        return "range"
    return "choices" if isinstance(value, (list, tuple)) else "fixed"


Value: TypeAlias = Annotated[Scalar, BeforeValidator(_scalar)]
Choices: TypeAlias = Annotated[tuple[Value, ...], Field(min_length=1), AfterValidator(_distinct)]
Values: TypeAlias = Annotated[
    Annotated[Range, Tag("range")]
    | Annotated[Choices, Tag("choices")]
    | Annotated[Value, Tag("fixed")],
    Discriminator(_kind),
]
Space: TypeAlias = Mapping[str, Values]
"""Parameter name to what it may be: a Range, a tuple of choices, or a fixed scalar."""
