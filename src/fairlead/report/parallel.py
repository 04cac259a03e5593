"""Parallel coordinates: which parameters the good trials have in common, a chart a family."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fairlead.records import Scalar
from fairlead.report import words
from fairlead.report.material import Material, Scored
from fairlead.report.picture import (
    BLUE,
    GREY,
    ORANGE,
    Figure,
    Picture,
    Scale,
    fence,
    label,
    layout,
    range_scale,
    scale_of,
    thinned,
)
from fairlead.spec.document import Spec
from fairlead.spec.space import Range

_ABSENT = "not given"
_GOLDEN = 0.6180339887  # multiples of it, modulo 1, spread evenly however many there are
_JITTER = 0.03
_BEST_LINES = 60
_OTHER_LINES = 240
_LONG = 10  # letters of a name that is broken at its underscores
_STYLES: tuple[Mapping[str, Any], ...] = (
    {"name": "the rest", "opacity": 0.45, "line": {"color": GREY, "width": 1}},
    {"name": "better half", "opacity": 0.7, "line": {"color": BLUE, "width": 1}},
    {"name": "best tenth", "opacity": 0.9, "line": {"color": ORANGE, "width": 1.5}},
)


def draw(material: Material) -> Iterator[Picture]:
    """A picture for each family whose parameters were searched."""
    for index, family in enumerate(material.families):
        ranked = [one for one in material.ranked if one.row.trial.family == family]
        names = _searched(ranked)
        if len(ranked) > 1 and names:
            yield _picture(material, ranked, names, f"parallel-{index}")


def _picture(
    material: Material, ranked: Sequence[Scored], names: Sequence[str], key: str
) -> Picture:
    lines = _drawn(ranked)
    caption = (
        "A line a trial, from the value of each parameter to its score, the best on top. "
        "Parameters that matter are those where the best tenth takes one way."
    )
    if len(lines) < len(ranked):
        caption += (
            f" The best {_BEST_LINES} and {len(lines) - _BEST_LINES} of the others are drawn."
        )
    return Picture(
        key=key,
        title=f"Parameters of {ranked[0].row.trial.family}",
        caption=caption,
        figure=_figure(material, ranked, lines, names),
        height=380,
        wide=True,
    )


def _searched(ranked: Iterable[Scored]) -> list[str]:
    """Names of the parameters that took more than one value."""
    taken: dict[str, set[str]] = {}
    for one in ranked:
        for name, value in one.row.trial.params.items():
            taken.setdefault(name, set()).add(repr(value))
    return sorted(name for name, values in taken.items() if len(values) > 1)


def _drawn(ranked: Sequence[Scored]) -> list[Scored]:
    if len(ranked) <= _BEST_LINES + _OTHER_LINES:
        return list(ranked)
    return [*ranked[:_BEST_LINES], *thinned(ranked[_BEST_LINES:], _OTHER_LINES)]


def _figure(
    material: Material, ranked: Sequence[Scored], lines: Sequence[Scored], names: Sequence[str]
) -> Figure:
    ranges = _ranges(material.spec, ranked[0].row.trial.family)
    scales = [
        scale_of([_value(one, name) for one in ranked], spread=name in ranges) for name in names
    ]
    scales.append(_score_scale(material, ranked))
    paths = {one.number: _path(one, names, scales) for one in lines}
    data = [
        _lines(group, paths, style, material.metric.name)
        for style, group in _groups(ranked, paths)
        if group
    ]
    return {"data": data, "layout": _layout([*names, material.metric.name], scales)}


def _ranges(spec: Spec, family: str) -> set[str]:
    """The parameters that are drawn from a range."""
    return {
        name
        for entry in spec.search.over
        if entry.family == family
        for name, values in (entry.params or {}).items()
        if isinstance(values, Range)
    }


def _groups(
    ranked: Sequence[Scored], drawn: Container[int]
) -> Iterator[tuple[Mapping[str, Any], list[Scored]]]:
    """The trials drawn by how good they are, the best last: on top of the others."""
    tenth, half = math.ceil(len(ranked) / 10), math.ceil(len(ranked) / 2)
    parts = (ranked[half:], ranked[tenth:half], ranked[:tenth])
    for style, part in zip(_STYLES, parts, strict=True):
        yield style, [one for one in part if one.number in drawn]


def _path(one: Scored, names: Sequence[str], scales: Sequence[Scale]) -> list[float]:
    values = [*(_value(one, name) for name in names), one.score]
    jitter = _JITTER * ((one.number * _GOLDEN) % 1 - 0.5)  # lines through one value lie apart
    return [
        round(scale.at(value) + (jitter if scale.discrete else 0), 4)
        for value, scale in zip(values, scales, strict=True)
    ]


def _lines(
    group: Sequence[Scored],
    paths: Mapping[int, list[float]],
    style: Mapping[str, Any],
    metric: str,
) -> dict[str, Any]:
    """One trace for all: a gap (None) ends each line."""
    width = len(paths[group[0].number])
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*range(width), None] * len(group),
        "y": [place for one in group for place in (*paths[one.number], None)],
        "text": [text for one in group for text in [_hover(one, metric)] * (width + 1)],
        "hoverinfo": "text",
        **style,
    }


def _hover(one: Scored, metric: str) -> str:
    return label(f"trial {one.number}: {metric} {words.number(one.score)}")


def _value(one: Scored, name: str) -> Scalar:
    return one.row.trial.params.get(name, _ABSENT)


def _score_scale(material: Material, ranked: Sequence[Scored]) -> Scale:
    best, worst = ranked[0].score, ranked[-1].score
    if best == worst:
        return scale_of([best], spread=False)
    limit = fence([one.score for one in ranked], greater_is_better=best > worst)
    scale = range_scale([best, worst if limit is None else limit], log=False)
    return scale if material.metric.greater_is_better else scale.turn()


def _layout(titles: Sequence[str], scales: Sequence[Scale]) -> dict[str, Any]:
    places = list(range(len(scales)))
    x = {
        "tickvals": places,
        "ticktext": [_broken(title) for title in titles],
        "side": "top",
        "tickangle": 0,
        "range": [-0.35, len(scales) - 0.85],
        "showgrid": False,
        "fixedrange": True,
    }
    y = {"range": [-0.06, 1.06], "visible": False, "fixedrange": True}
    return layout(
        x=x,
        y=y,
        margin={"l": 8, "r": 8, "t": 56, "b": 40},
        legend={"orientation": "h", "x": 0, "y": -0.02, "yanchor": "top"},
        shapes=[_rule(place) for place in places],
        annotations=[
            _mark(place, *mark) for place, scale in enumerate(scales) for mark in scale.marks
        ],
    )


def _rule(place: int) -> dict[str, Any]:
    line = {"color": "rgba(128,136,148,0.6)", "width": 1}
    return {"type": "line", "x0": place, "x1": place, "y0": 0, "y1": 1, "line": line}


def _mark(axis: int, text: str, place: float) -> dict[str, Any]:
    return {
        "x": axis,
        "y": place,
        "text": label(text),
        "showarrow": False,
        "xanchor": "right",
        "xshift": -5,
        "font": {"size": 12},
    }


def _broken(name: str) -> str:
    text = label(name)
    return text.replace("_", "_<br>") if len(name) > _LONG else text
