"""The gate's interval: the difference of candidate and champion, with its uncertainty.

The picture shows the verdict as the gate has recorded it (registry/gate.py).
"""

from __future__ import annotations

import math
from typing import Any

from fairlead.formatting import count
from fairlead.records import Verdict
from fairlead.report import words
from fairlead.report.material import Material
from fairlead.report.picture import BLUE, GREY, ORANGE, Figure, Picture, label, layout

_TITLE = "The verdict"
_KEY = "interval"


def draw(material: Material) -> Picture:
    """The difference on shared rows with its interval, or why there is none."""
    if material.judgement is None:
        caption = "The candidate was not judged yet."
        return Picture(key=_KEY, title=_TITLE, caption=caption)
    verdict = material.judgement.verdict
    figure = _figure(verdict, material.spec.promote.margin)
    return Picture(
        key=_KEY,
        title=_TITLE,
        caption=_caption(verdict, shown=figure is not None),
        figure=figure,
        height=200,
    )


def _caption(verdict: Verdict, *, shown: bool) -> str:
    if not shown:
        return ": ".join(filter(None, words.verdict(verdict.text)))
    rows = count(verdict.rows, "row")
    sure = "" if verdict.confidence is None else f" ({100 * verdict.confidence:.4g} % sure)"
    return (
        f"How much better the candidate predicts the same {rows} than {verdict.against}: what was "
        f"seen, and the interval that holds the truth{sure}. Right of the line it is better."
    )


def _figure(verdict: Verdict, margin: float) -> Figure | None:
    ends = (verdict.low, verdict.difference, verdict.high)
    if not all(end is not None and math.isfinite(end) for end in ends):
        return None
    assert verdict.difference is not None
    assert verdict.low is not None
    assert verdict.high is not None
    text = f"better by {verdict.difference:.4g}<br>from {verdict.low:.4g} to {verdict.high:.4g}"
    point: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": [verdict.difference],
        "y": [0],
        "text": [text],
        "hoverinfo": "text",
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [verdict.high - verdict.difference],
            "arrayminus": [verdict.difference - verdict.low],
            "color": BLUE,
            "thickness": 3,
            "width": 8,
        },
        "marker": {"color": BLUE, "size": 14},
    }
    return {"data": [point], "layout": _layout(verdict, margin)}


def _layout(verdict: Verdict, margin: float) -> dict[str, Any]:
    lines = [_line(0.0, f"as good as {verdict.against}", GREY)]
    if margin:
        lines.append(_line(margin, "margin asked for", ORANGE))
    title = f"how much better, in {verdict.metric}"
    return layout(
        x={"title": {"text": label(title)}},
        y={"visible": False, "range": [-1, 1], "fixedrange": True},
        shapes=[shape for shape, _ in lines],
        annotations=[note for _, note in lines],
        margin={"l": 16, "r": 16, "t": 28, "b": 44},
    )


def _line(at: float, text: str, colour: str) -> tuple[dict[str, Any], dict[str, Any]]:
    shape = {
        "type": "line",
        "x0": at,
        "x1": at,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": colour, "width": 2, "dash": "dash"},
    }
    note = {
        "x": at,
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "text": label(text),
        "showarrow": False,
    }
    return shape, note
