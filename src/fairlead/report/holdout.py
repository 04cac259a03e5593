"""Charts of the holdout: predicted against true, and the gate's interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fairlead.data.split import lacking
from fairlead.formatting import classes, count, value
from fairlead.records import Candidate
from fairlead.report.material import HoldoutPredictions, Material
from fairlead.report.picture import (
    BLUE,
    GREY,
    MOST_MARKS,
    Figure,
    Picture,
    label,
    layout,
    thinned,
)
from fairlead.report.words import without_candidate

_TITLE = "Predicted against true"
_KEY = "holdout"
_WRITTEN = 12  # classes whose counts are written into the cells


def draw(material: Material) -> Picture:
    """The candidate's predictions for the holdout, or why there are none."""
    candidate, holdout = material.candidate, material.holdout
    if candidate is None or holdout is None:
        caption = f"Nothing was predicted. {without_candidate(material)}"
        return Picture(key=_KEY, title=_TITLE, caption=caption)
    if candidate.signature.classes is None:
        return _numbers(candidate, holdout)
    return _classes(candidate, holdout)


def _numbers(candidate: Candidate, holdout: HoldoutPredictions) -> Picture:
    pairs = sorted(
        (true, predicted)
        for true, predicted in zip(holdout.true, holdout.predicted, strict=True)
        if math.isfinite(predicted)
    )
    drawn = thinned(pairs, MOST_MARKS)
    rows = count(len(holdout.true), "holdout row")
    caption = f"{candidate.signature.target} of {rows}; on the line a prediction is right."
    if len(drawn) < len(pairs):
        caption += f" {len(drawn):,} are drawn."
    if len(pairs) < len(holdout.true):
        caption += f" {len(holdout.true) - len(pairs):,} predictions are not finite."
    figure = _scatter(drawn) if drawn else None
    return Picture(key=_KEY, title=_TITLE, caption=caption, figure=figure)


def _scatter(pairs: Sequence[tuple[float, float]]) -> Figure:
    ends = [min(map(min, pairs)), max(map(max, pairs))]
    line: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines",
        "x": ends,
        "y": ends,
        "hoverinfo": "skip",
        "line": {"color": GREY, "width": 1.5, "dash": "dash"},
    }
    points: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": [true for true, _ in pairs],
        "y": [predicted for _, predicted in pairs],
        "hovertemplate": "true %{x:.5g}<br>predicted %{y:.5g}<extra></extra>",
        "marker": {"color": BLUE, "size": 6, "opacity": 0.55},
    }
    x, y = {"title": {"text": "true"}}, {"title": {"text": "predicted"}}
    return {"data": [line, points], "layout": layout(x=x, y=y, showlegend=False)}


def _classes(candidate: Candidate, holdout: HoldoutPredictions) -> Picture:
    names = [value(name) for name in candidate.signature.classes or ()]
    counts = [[0] * len(names) for _ in names]
    for true, probabilities in zip(holdout.true, holdout.predicted, strict=True):
        counts[int(true)][_likeliest(probabilities)] += 1
    right = sum(counts[index][index] for index in range(len(names)))
    rows = len(holdout.true)
    caption = (
        f"{candidate.signature.target} of {count(rows, 'holdout row')}: {right:,} are right. "
        "A row of the chart is a true class, and its colours are shares of that class."
    )
    if missing := lacking(holdout.true, candidate.signature.classes):
        caption += f" No row is of {classes(missing)}."
    return Picture(key=_KEY, title=_TITLE, caption=caption, figure=_heat(counts, names))


def _likeliest(probabilities: Sequence[float]) -> int:
    return max(range(len(probabilities)), key=probabilities.__getitem__)


def _heat(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Figure:
    labels = [label(name) for name in names]
    cells: dict[str, Any] = {
        "type": "heatmap",
        "x": labels,
        "y": labels,
        "z": [[count / max(1, sum(row)) for count in row] for row in counts],
        "customdata": counts,
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "rgba(47,120,208,0.06)"], [1, BLUE]],
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "hovertemplate": "true %{y}, predicted %{x}: %{customdata}<extra></extra>",
    }
    if len(names) <= _WRITTEN:
        cells |= {"text": [[str(count or "") for count in row] for row in counts]}
        cells |= {"texttemplate": "%{text}", "textfont": {"size": 12}}
    named = {"type": "category", "showgrid": False, "fixedrange": True}
    x = {"title": {"text": "predicted"}, **named}
    y = {"title": {"text": "true"}, "autorange": "reversed", **named}
    return {"data": [cells], "layout": layout(x=x, y=y)}
