"""The values that a parameter may take.

Belongs here: ranges, lists and fixed values as the user writes them, and the values of a grid.
Does not: drawing from them, which is the samplers' work.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from fairlead.records import Scalar

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Range(BaseModel):
    """Numbers from `low` to `high`, both included; whole numbers stay whole."""

    model_config = _STRICT

    low: int | float
    high: int | float
    step: int | float | None = Field(default=None, gt=0)
    log: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"low ({self.low}) must be above 0 where log is true")
        if self.log and self.step is not None:
            raise ValueError("log and step cannot be combined")
        if self.whole and isinstance(self.step, float):
            raise ValueError(f"step ({self.step}) must be whole where low and high are")
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


def _kind(value: Any) -> str:
    if isinstance(value, (Mapping, Range)):
        return "range"
    return "choices" if isinstance(value, (list, tuple)) else "fixed"


Choices: TypeAlias = Annotated[tuple[Scalar, ...], Field(min_length=1)]
Values: TypeAlias = Annotated[
    Annotated[Range, Tag("range")]
    | Annotated[Choices, Tag("choices")]
    | Annotated[Scalar, Tag("fixed")],
    Discriminator(_kind),
]
Space: TypeAlias = Mapping[str, Values]
"""Parameter name to what it may be: a Range, a tuple of choices, or a fixed scalar."""
