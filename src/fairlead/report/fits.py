"""Fits that were made in steps: how loss and accuracy went, and who computed.

The best trials have a curve for each fold and for the refit; one trial is shown at a time, and a
list above the chart chooses which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairlead.formatting import count
from fairlead.records import FitReport
from fairlead.report import words
from fairlead.report.material import Material
from fairlead.report.picture import (
    BLUE,
    FAMILIES,
    MOST_MARKS,
    ORANGE,
    Figure,
    Picture,
    axis,
    label,
    layout,
    thinned,
    whole_axis,
)

_LOWER, _UPPER = [0.0, 0.42], [0.52, 1.0]
"""Where the lower and the upper chart stand of a picture that has two."""
_HEIGHT = 460

Traces = list[dict[str, Any]]


def draw(material: Material) -> Iterator[Picture]:
    """Both pictures; none where no fit told how it went."""
    if not material.fits:
        return
    yield _curves(material.fits)
    yield _workers(material.fits)


# ---- loss and accuracy ------------------------------------------------------------------------


def _curves(fits: Mapping[int, Sequence[FitReport]]) -> Picture:
    has_accuracy = any(
        report.progress.accuracy is not None for reports in fits.values() for report in reports
    )
    traces = {trial: _curves_of(reports, has_accuracy) for trial, reports in fits.items()}
    upper = {"domain": _UPPER} if has_accuracy else {}
    more = {"yaxis2": axis(title={"text": "accuracy"}, domain=_LOWER)} if has_accuracy else {}
    what = "Loss and accuracy" if has_accuracy else "Loss"
    y = {"title": {"text": "loss"}, **upper}
    steps = [report.progress.step for reports in fits.values() for report in reports]
    anchor = {"anchor": "y2" if has_accuracy else "y"}
    x = whole_axis("step", max(steps) - min(steps)) | anchor
    return Picture(
        key="fits",
        title=f"{what} by step",
        caption=(
            f"{what} on the training rows of each step, as the fits told every few seconds."
            f"{_diamond(fits)}{_choice(fits)}"
        ),
        figure=_figure(traces, x=x, y=y, **more),
        height=_HEIGHT,
        wide=True,
    )


def _curves_of(reports: Sequence[FitReport], has_accuracy: bool) -> Traces:  # noqa: FBT001 - of one caller
    folds = list(dict.fromkeys(report.progress.fold for report in reports))
    traces: Traces = []
    for number, fold in enumerate(folds):
        told = [report for report in reports if report.progress.fold == fold]
        colour = ORANGE if fold is None else FAMILIES[number % len(FAMILIES)]
        traces.append(_line(told, "loss", name=_name(fold), colour=colour))
        if has_accuracy:
            accuracy = _line(told, "accuracy", name=_name(fold), colour=colour)
            traces.append(accuracy | {"yaxis": "y2", "showlegend": False})
    return [*traces, _checkpoints(reports)]


def _name(fold: int | None) -> str:
    return "refit" if fold is None else f"fold {fold}"


def _line(reports: Sequence[FitReport], what: str, *, name: str, colour: str) -> dict[str, Any]:
    drawn = thinned(reports, MOST_MARKS // 10)
    return {
        "type": "scatter",
        "mode": "lines" if len(drawn) > 1 else "markers",
        "name": label(name),
        "x": [report.progress.step + 1 for report in drawn],
        "y": [getattr(report.progress, what) for report in drawn],
        "hovertemplate": f"{label(name)}, step %{{x}}: {what} %{{y:.4g}}<extra></extra>",
        "line": {"color": colour, "width": 2},
    }


def _checkpoints(reports: Sequence[FitReport]) -> dict[str, Any]:
    kept = [report for report in reports if report.progress.checkpoint is not None]
    drawn = thinned(kept, MOST_MARKS // 10)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "checkpoint",
        "x": [report.progress.step + 1 for report in drawn],
        "y": [report.progress.loss for report in drawn],
        "text": [f"checkpoint after step {report.progress.step + 1:,}" for report in drawn],
        "hoverinfo": "text",
        "showlegend": bool(drawn),
        "marker": {"color": ORANGE, "size": 7, "symbol": "diamond-open"},
    }


# ---- workers and rows a second ----------------------------------------------------------------


def _workers(fits: Mapping[int, Sequence[FitReport]]) -> Picture:
    first = next(iter(fits))
    reports = fits[first]
    counts = [report.progress.workers for report in reports]
    attempts = len({(report.task, report.attempt) for report in reports})
    tasks = len({report.task for report in reports})
    caption = (
        "Processes that computed the steps of a fit, and the rows that they did in a second. Trial "
        f"{first}: {_number(counts)} in {words.seconds(_lasted(reports))}"
    )
    if attempts > tasks:
        caption += f", {count(attempts - tasks, 'attempt')} lost and taken up again"
    most = max(report.progress.workers for reports in fits.values() for report in reports)
    y = {**whole_axis("ranks", most), "domain": _UPPER, "rangemode": "tozero"}
    lower = axis(title={"text": "rows/s"}, domain=_LOWER, rangemode="tozero")
    x = {"title": {"text": "seconds since its first step was told"}, "anchor": "y2"}
    traces = {trial: _workers_of(reports) for trial, reports in fits.items()}
    return Picture(
        key="fit_workers",
        title="Ranks over time",
        caption=f"{caption}.{_diamond(fits)}{_choice(fits)}",
        figure=_figure(traces, x=x, y=y, yaxis2=lower),
        height=_HEIGHT,
        wide=True,
    )


def _lasted(reports: Sequence[FitReport]) -> float:
    return reports[-1].at - reports[0].at


def _workers_of(reports: Sequence[FitReport]) -> Traces:
    began, drawn = reports[0].at, thinned(reports, MOST_MARKS // 10)
    at = [report.at - began for report in drawn]
    kept = [report for report in drawn if report.progress.checkpoint is not None]
    workers = {
        "type": "scatter",
        "mode": "lines",
        "name": "ranks",
        "x": at,
        "y": [report.progress.workers for report in drawn],
        "hovertemplate": "after %{x:.0f} s: %{y} ranks<extra></extra>",
        "line": {"color": BLUE, "width": 2, "shape": "hv"},
    }
    marks = {
        "type": "scatter",
        "mode": "markers",
        "name": "checkpoint",
        "x": [report.at - began for report in kept],
        "y": [report.progress.workers for report in kept],
        "text": [f"checkpoint after step {report.progress.step + 1:,}" for report in kept],
        "hoverinfo": "text",
        "showlegend": bool(kept),
        "marker": {"color": ORANGE, "size": 7, "symbol": "diamond-open"},
    }
    rows = {
        "type": "scatter",
        "mode": "lines",
        "name": "rows/s",
        "x": at,
        "y": [report.progress.rows_per_second for report in drawn],
        "yaxis": "y2",
        "hovertemplate": "after %{x:.0f} s: %{y:,.0f} rows/s<extra></extra>",
        "line": {"color": FAMILIES[1], "width": 2},
    }
    return [workers, marks, rows]


# ---- one trial at a time ----------------------------------------------------------------------


def _number(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return count(most, "rank") if least == most else f"{least} to {most} ranks"


def _diamond(fits: Mapping[int, Sequence[FitReport]]) -> str:
    kept = any(one.progress.checkpoint for reports in fits.values() for one in reports)
    return " A diamond is a checkpoint." if kept else ""


def _choice(fits: Mapping[int, Sequence[FitReport]]) -> str:
    if len(fits) == 1:
        return f" The fits are those of trial {next(iter(fits))}."
    return f" The list chooses one of {len(fits)} trials, the best first."


def _figure(traces: Mapping[int, Traces], **of_layout: Any) -> Figure:
    trials = list(traces)
    data = [{**trace, "visible": trial == trials[0]} for trial in trials for trace in traces[trial]]
    menus = [_menu(traces)] if len(trials) > 1 else []
    return {"data": data, "layout": layout(**of_layout, updatemenus=menus)}


def _menu(traces: Mapping[int, Traces]) -> dict[str, Any]:
    buttons = [
        {
            "label": f"trial {chosen}",
            "method": "restyle",
            "args": [{"visible": [trial == chosen for trial in traces for _ in traces[trial]]}],
        }
        for chosen in traces
    ]
    return {"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
