"""A picture: one chart, its title and what it shows in words.

Charts are Plotly figures as plain data. Colours of marks have a contrast of 3 to 1 or more on
white and on the dark page alike; text and lines of the frame take theirs from page.css, which
knows whether the reader likes it dark.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

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


def trial_axis(last: int) -> dict[str, Any]:
    """The axis of trials' numbers, which are whole.

    Args:
        last: The greatest number.
    """
    every = {"dtick": 1} if last < _EACH else {}
    return {"title": {"text": "trial"}, "tickformat": ",d", **every}


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
