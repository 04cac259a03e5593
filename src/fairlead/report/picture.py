"""A picture: one chart, its title and what it shows in words.

Charts are Plotly figures as plain data. Colours of marks have a contrast of 3 to 1 or more on
white and on the dark page alike; text and lines of the frame take theirs from page.css, which
knows whether the reader likes it dark.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeGuard, TypeVar

from fairlead import formatting
from fairlead.records import Scalar

Item = TypeVar("Item")
Figure: TypeAlias = Mapping[str, Any]

BLUE = "#2f78d0"
ORANGE = "#cc6a12"
GREY = "#858d97"
RED = "#cf4545"
FAMILIES = (BLUE, "#2a9168", "#8e63b8", "#b8476b", "#7d7f2f", "#24899c")
"""Colours of families, in the spec's order; none of them is the one of the best trial."""

_EACH = 10  # trials that each have a tick of their own

MOST_MARKS = 3000
"""Marks in one chart; a browser moves so many without delay."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One chart, or why there is none.

    Args:
        key: Its id in the page.
        title: Stands above it.
        caption: What it shows, in words; the reason where there is no figure.
        figure: Plotly's `data` and `layout`.
        height: In CSS pixels.
        wide: Whether it takes the whole width of the page.
    """

    key: str
    title: str
    caption: str
    figure: Figure | None = None
    height: int = 340
    wide: bool = False


def layout(*, x: Mapping[str, Any], y: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The layout that all charts have, with these axes."""
    return {
        "autosize": True,
        "margin": {"l": 56, "r": 16, "t": 12, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#6b7480"},
        "hoverlabel": {"align": "left"},
        "hovermode": "closest",
        "dragmode": "zoom",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "xaxis": axis(**x),
        "yaxis": axis(**y),
        **more,
    }


def axis(**more: Any) -> dict[str, Any]:
    """An axis with a faint grid."""
    return {
        "gridcolor": "rgba(128,136,148,0.22)",
        "zeroline": False,
        "title": {"font": {"size": 13}, "standoff": 8} | more.pop("title", {}),
        "automargin": True,
        "exponentformat": "power",
        "minexponent": 6,
        "separatethousands": True,
        **more,
    }


def whole_axis(title: str, span: int) -> dict[str, Any]:
    """An axis of whole numbers, none of which is written twice.

    Args:
        title: What they are.
        span: From the least to the greatest.
    """
    every = {"dtick": 1} if span < _EACH else {}
    return {"title": {"text": title}, "tickformat": ",d", **every}


def label(value: object) -> str:
    """Text of a chart; Plotly reads a part of HTML in it."""
    return html.escape(str(value), quote=False)


def colour_of(family: str, families: Sequence[str]) -> str:
    """The colour of a family."""
    return FAMILIES[families.index(family) % len(FAMILIES)]


def thinned(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of them, evenly spread, the first and the last included."""
    if len(items) <= most:
        return list(items)
    last = len(items) - 1
    return [items[index * last // (most - 1)] for index in range(most)]


def fence(scores: Sequence[float], *, greater_is_better: bool) -> float | None:
    """The score beyond which a few bad trials would squeeze all others into a line.

    Tukey's outer fence (Exploratory Data Analysis, 1977): three times the distance between the
    quartiles beyond the quartile on the worse side. None where no score lies beyond it.
    """
    ordered = sorted(scores, reverse=greater_is_better)
    if not ordered:
        return None
    good, bad = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
    limit = bad + 3 * (bad - good)
    beyond = ordered[-1] < limit if greater_is_better else ordered[-1] > limit
    return limit if beyond and good != bad else None


# ---- scales -----------------------------------------------------------------------------------
#
# A scale: the places of a parameter's values on an axis from 0 to 1.
#
# It is even, linear or logarithmic, by the values, and has the marks to write on the axis.


FEW = 8
"""Values that each get a place of their own, evenly spaced; more numbers are a range."""
_DECADES = 50.0  # from here on, high / low makes a scale logarithmic
_MARKS = 5
_SHOWN = 24  # names on an axis of texts


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Places of values.

    Args:
        places: Values that have places of their own, as text; empty where numbers are a range.
        low: The value at 0, or its logarithm.
        high: The value at 1, likewise.
        log: Whether they are logarithms.
        turned: Whether the lowest number stands at 1; `marks` have it so already.
        marks: Text and place of the marks to write.
    """

    places: Mapping[str, float]
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    turned: bool = False
    marks: Sequence[tuple[str, float]] = ()

    @property
    def discrete(self) -> bool:
        """Whether values have places of their own."""
        return bool(self.places)

    def at(self, value: Scalar) -> float:
        """Where the value stands, from 0 to 1."""
        if self.places:
            return self.places[repr(value)]
        assert isinstance(value, int | float)
        point = math.log(value) if self.log else value
        place = min(1.0, max(0.0, (point - self.low) / (self.high - self.low)))
        return 1 - place if self.turned else place

    def turn(self) -> Scale:
        """The same range of numbers, upside down."""
        marks = [(text, 1 - place) for text, place in self.marks]
        return replace(self, turned=not self.turned, marks=marks)


def scale_of(values: Iterable[Scalar], *, spread: bool) -> Scale:
    """The scale for all values that a parameter took.

    Args:
        values: At least one.
        spread: Whether the distances of numbers mean something however few they are, as in a
            sample of a range; else a few values stand evenly, as the points of a grid do.
    """
    distinct = {repr(value): value for value in values}
    numbers = [float(value) for value in distinct.values() if _is_number(value)]
    if len(numbers) == len(distinct) > (1 if spread else FEW):
        return range_scale(numbers, log=min(numbers) > 0 and max(numbers) / min(numbers) > _DECADES)
    ordered = sorted(distinct.items(), key=lambda pair: _order(pair[1]))
    gap = 1 / max(1, len(ordered) - 1)
    places = {text: index * gap for index, (text, _) in enumerate(ordered)}
    shown = ordered if len(ordered) <= _SHOWN else ordered[:: len(ordered) // _SHOWN + 1]
    return Scale(
        places=places, marks=[(formatting.value(value), places[text]) for text, value in shown]
    )


def range_scale(numbers: Sequence[float], *, log: bool) -> Scale:
    """The scale of numbers of which at least two differ."""
    low, high = min(numbers), max(numbers)
    first, last = (math.log(low), math.log(high)) if log else (low, high)
    scale = Scale(places={}, low=first, high=last, log=log)
    written = _decades(low, high) if log else _multiples(low, high)
    return replace(scale, marks=[(f"{number:.6g}", scale.at(number)) for number in written])


def _multiples(low: float, high: float) -> list[float]:
    """Three to eight round numbers from low to high."""
    rough = (high - low) / _MARKS
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next(decade * factor for factor in (1, 2, 5, 10) if decade * factor >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [index * step for index in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten from low to high; what lies between where they are few, some where many."""
    first, last = math.floor(math.log10(low)), math.floor(math.log10(high))
    factors = (1, 2, 5) if last - first < _MARKS else (1,)
    step = 1 + (last - first) // (2 * _MARKS)
    numbers = [factor * 10.0**power for power in range(first, last + 1, step) for factor in factors]
    return [number for number in numbers if low <= number <= high]


def _is_number(value: Scalar) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _order(value: Scalar) -> tuple[int, float, str]:
    """Nothing first, then numbers by size, then texts."""
    if _is_number(value):
        return 1, float(value), ""
    return (0 if value is None else 2), 0.0, str(value)
