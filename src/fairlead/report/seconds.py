"""Seconds a trial: where the time went.

Each trial is a mark at its number, coloured by family.
"""

from __future__ import annotations

from typing import Any

from fairlead.records import Result, TrialRow
from fairlead.report import words
from fairlead.report.material import Material
from fairlead.report.picture import (
    MOST_MARKS,
    Picture,
    axis,
    colour_of,
    label,
    layout,
    thinned,
    trial_axis,
)

_TITLE = "Seconds a trial"
_KEY = "seconds"
_SPREAD = 30  # the longest, in medians, from which the axis is logarithmic


def draw(material: Material) -> Picture:
    """How long each trial took, by family."""
    timed = [row for row in material.rows if row.result and row.result.seconds > 0]
    if not timed:
        return Picture(key=_KEY, title=_TITLE, caption="No trial was timed.")
    lasted = sorted(_seconds(row) for row in timed)
    median = lasted[len(lasted) // 2]
    caption = (
        f"{words.seconds(sum(lasted))} of fitting and scoring in all; half of the trials took "
        f"{words.seconds(median)} or less, the longest {words.seconds(lasted[-1])}. "
        "Trials that share a fit share its time."
    )
    spread = {"type": "log"} if lasted[-1] > _SPREAD * median else {"rangemode": "tozero"}
    traces = [_points(material, family, timed) for family in material.families]
    y = axis(title={"text": "seconds"}, **spread)
    x = trial_axis(material.rows[-1].trial.number)
    figure = {"data": traces, "layout": layout(x=x, y=y, showlegend=len(traces) > 1)}
    return Picture(key=_KEY, title=_TITLE, caption=caption, figure=figure)


def _points(material: Material, family: str, timed: list[TrialRow]) -> dict[str, Any]:
    drawn = [row for row in thinned(timed, MOST_MARKS) if row.trial.family == family]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label(family),
        "x": [row.trial.number for row in drawn],
        "y": [_seconds(row) for row in drawn],
        "hovertemplate": "trial %{x}: %{y:.3g} s<extra></extra>",
        "marker": {"color": colour_of(family, material.families), "size": 5, "opacity": 0.7},
    }


def _seconds(row: TrialRow) -> float:
    result: Result | None = row.result
    return result.seconds if result else 0.0
