"""Score over trials: how the search went.

Each trial is a mark at its number; a line shows the best score so far.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from fairlead.formatting import count, value
from fairlead.records import Result, TrialRow
from fairlead.report import words
from fairlead.report.material import Material, Scored
from fairlead.report.picture import (
    BLUE,
    GREY,
    MOST_MARKS,
    ORANGE,
    RED,
    Figure,
    Picture,
    axis,
    colour_of,
    fence,
    label,
    layout,
    thinned,
    whole_axis,
)

_TITLE = "Score over trials"


def draw(material: Material) -> Picture:
    """Every trial's score, the best so far, and what failed or was pruned."""
    if not material.scored:
        return Picture(key="scores", title=_TITLE, caption="No trial has a score yet.")
    limit = fence(
        [scored.score for scored in material.scored],
        greater_is_better=material.metric.greater_is_better,
    )
    return Picture(
        key="scores",
        title=_TITLE,
        caption=_caption(material, limit),
        figure=_figure(material, limit),
        wide=True,
    )


def _caption(material: Material, limit: float | None) -> str:
    direction = "higher" if material.metric.greater_is_better else "lower"
    said = [f"Mean {material.metric.name} over the folds of each trial; {direction} is better."]
    if limit is not None:
        beyond = sum(material.metric.better(limit, scored.score) for scored in material.scored)
        said.append(
            f"{count(beyond, 'trial')} beyond the axis, which are much worse: double-click "
            "to see all."
        )
    if len(material.scored) > MOST_MARKS:
        said.append(f"{MOST_MARKS:,} of {len(material.scored):,} trials are drawn.")
    return " ".join(said)


def _figure(material: Material, limit: float | None) -> Figure:
    traces = [
        *_marks(material),
        *_pruned(material),
        *_failed(material),
        _best_so_far(material),
        _best(material),
    ]
    score: dict[str, Any] = {"title": {"text": label(material.metric.name)}}
    if limit is not None:
        score |= {"range": _range(material, limit)}
    hidden = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    numbers = whole_axis("trial", material.rows[-1].trial.number)
    return {"data": traces, "layout": layout(x=numbers, y=score, yaxis2=hidden)}


def _range(material: Material, limit: float) -> list[float]:
    best = material.ranked[0].score
    pad = 0.06 * (best - limit)
    return sorted((best + pad, limit))


def _marks(material: Material) -> list[dict[str, Any]]:
    several = len(material.families) > 1
    drawn = thinned(material.scored, MOST_MARKS)
    return [
        _points(
            [scored for scored in drawn if scored.row.trial.family == family],
            family if several else "trials",
            colour_of(family, material.families) if several else GREY,
        )
        for family in material.families
    ]


def _points(scored: Sequence[Scored], name: str, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label(name),
        "x": [one.number for one in scored],
        "y": [one.score for one in scored],
        "text": [_hover(one.row, words.number(one.score)) for one in scored],
        "hoverinfo": "text",
        "marker": {"color": colour, "size": 6, "opacity": 0.75},
    }


def _pruned(material: Material) -> list[dict[str, Any]]:
    pruned = [
        (row, statistics.fmean(known))
        for row in thinned(material.ended("pruned"), MOST_MARKS)
        if (known := _until_pruned(row)) and all(map(math.isfinite, known))
    ]
    marks = {
        "type": "scatter",
        "mode": "markers",
        "name": "pruned (its score by then)",
        "x": [row.trial.number for row, _ in pruned],
        "y": [mean for _, mean in pruned],
        "text": [_hover(row, f"{words.number(mean)}, pruned") for row, mean in pruned],
        "hoverinfo": "text",
        "marker": {"color": GREY, "size": 7, "symbol": "triangle-down-open"},
    }
    return [marks] if pruned else []


def _until_pruned(row: TrialRow) -> Sequence[float]:
    """The scores of its folds; of one that was pruned within the first, that of its last epoch."""
    return (row.result.scores or row.result.curve[-1:]) if row.result else ()


def _failed(material: Material) -> list[dict[str, Any]]:
    failed = thinned(material.ended("failed"), MOST_MARKS)
    marks = {
        "type": "scatter",
        "mode": "markers",
        "name": "failed",
        "x": [row.trial.number for row in failed],
        "y": [0.02] * len(failed),  # they have no score: at the foot of the chart
        "yaxis": "y2",
        "text": [_hover(row, row.result.reason or "" if row.result else "") for row in failed],
        "hoverinfo": "text",
        "marker": {"color": RED, "size": 8, "symbol": "x-thin", "line": {"color": RED, "width": 2}},
    }
    return [marks] if failed else []


def _best_so_far(material: Material) -> dict[str, Any]:
    steps: list[Scored] = []
    for scored in material.scored:
        if not steps or material.metric.better(scored.score, steps[-1].score):
            steps.append(scored)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": [*(step.number for step in steps), material.rows[-1].trial.number],
        "y": [*(step.score for step in steps), steps[-1].score],
        "hoverinfo": "skip",
        "line": {"color": BLUE if len(material.families) == 1 else GREY, "width": 2, "shape": "hv"},
    }


def _best(material: Material) -> dict[str, Any]:
    best = _points(material.ranked[:1], "best", ORANGE)
    return best | {"marker": {"color": ORANGE, "size": 12, "symbol": "diamond"}}


def _hover(row: TrialRow, what: str) -> str:
    lines = [f"trial {row.trial.number}: {what}", row.trial.family]
    lines += [f"{name} {value(one)}" for name, one in row.trial.params.items()]
    return "<br>".join(label(line[:80]) for line in lines)


# ---- seconds a trial --------------------------------------------------------------------------
#
# Seconds a trial: where the time went.
#
# Each trial is a mark at its number, coloured by family.


_SECONDS_TITLE = "Seconds a trial"
_SECONDS_KEY = "seconds"
_SPREAD = 30  # the longest, in medians, from which the axis is logarithmic


def draw_seconds(material: Material) -> Picture:
    """How long each trial took, by family."""
    timed = [row for row in material.rows if row.result and row.result.seconds > 0]
    if not timed:
        return Picture(key=_SECONDS_KEY, title=_SECONDS_TITLE, caption="No trial was timed.")
    lasted = sorted(_seconds(row) for row in timed)
    median = lasted[len(lasted) // 2]
    caption = (
        f"{words.seconds(sum(lasted))} of fitting and scoring in all; half of the trials took "
        f"{words.seconds(median)} or less, the longest {words.seconds(lasted[-1])}. "
        "Trials that share a fit share its time."
    )
    spread = {"type": "log"} if lasted[-1] > _SPREAD * median else {"rangemode": "tozero"}
    traces = [_seconds_points(material, family, timed) for family in material.families]
    y = axis(title={"text": "seconds"}, **spread)
    x = whole_axis("trial", material.rows[-1].trial.number)
    figure = {"data": traces, "layout": layout(x=x, y=y, showlegend=len(traces) > 1)}
    return Picture(key=_SECONDS_KEY, title=_SECONDS_TITLE, caption=caption, figure=figure)


def _seconds_points(material: Material, family: str, timed: list[TrialRow]) -> dict[str, Any]:
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
