"""Score by epoch: which trials went on, and which were pruned on the way.

Each trial that was scored at the ends of its epochs is a line; a mark at its end says that it was
pruned there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fairlead.formatting import count
from fairlead.records import TrialRow
from fairlead.report import words
from fairlead.report.material import Material
from fairlead.report.picture import (
    GREY,
    ORANGE,
    Figure,
    Picture,
    colour_of,
    label,
    layout,
    thinned,
    whole_axis,
)

MOST_LINES = 200


def draw(material: Material) -> Iterator[Picture]:
    """The picture; none where no trial was scored by epoch."""
    rows = [row for row in material.rows if _curve(row)]
    if rows:
        yield Picture(
            key="curves",
            title="Score by epoch",
            caption=_caption(material, rows),
            figure=_figure(material, rows),
            wide=True,
        )


def _caption(material: Material, rows: Sequence[TrialRow]) -> str:
    direction = "Higher" if material.metric.greater_is_better else "Lower"
    pruned = sum(_is_pruned(row) for row in rows)
    said = [
        f"{material.metric.name} on the test rows of the first fold after each epoch.",
        f"{direction} is better.",
        f"A mark is where a trial was pruned: {count(pruned, 'trial')} within that fold.",
    ]
    if len(rows) > MOST_LINES:
        said.append(f"{MOST_LINES:,} of {len(rows):,} trials are drawn.")
    return " ".join(said)


def _figure(material: Material, rows: Sequence[TrialRow]) -> Figure:
    best = material.ranked[0].number if material.ranked else None
    drawn = [row for row in thinned(rows, MOST_LINES) if row.trial.number != best]
    lines = [_line(row, colour_of(row.trial.family, material.families)) for row in drawn]
    lines += [_best(row) for row in rows if row.trial.number == best]
    x = whole_axis("epoch", max(len(_curve(row)) for row in rows) - 1)
    y = {"title": {"text": label(material.metric.name)}}
    return {"data": lines, "layout": layout(x=x, y=y, showlegend=False)}


def _line(row: TrialRow, colour: str) -> dict[str, Any]:
    curve, pruned = _curve(row), _is_pruned(row)
    ends = [0] * (len(curve) - 1) + [8 if pruned else 0]
    state = ", pruned" if pruned else ""
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": f"trial {row.trial.number}",
        "x": list(range(1, len(curve) + 1)),
        "y": list(curve),
        "text": [
            f"trial {row.trial.number}, epoch {epoch}: {words.number(score)}{state}"
            for epoch, score in enumerate(curve, start=1)
        ],
        "hoverinfo": "text",
        "opacity": 0.6,
        "line": {"color": GREY if pruned else colour, "width": 1},
        "marker": {"color": GREY, "size": ends, "symbol": "triangle-down"},
    }


def _best(row: TrialRow) -> dict[str, Any]:
    line = _line(row, ORANGE)
    return {**line, "opacity": 1.0, "line": {"color": ORANGE, "width": 3}}


def _curve(row: TrialRow) -> Sequence[float]:
    return row.result.curve if row.result else ()


def _is_pruned(row: TrialRow) -> bool:
    """Whether that was within the first fold: none is whole."""
    return row.state == "pruned" and row.result is not None and not row.result.scores
