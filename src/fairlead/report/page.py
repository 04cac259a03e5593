"""The page: words and pictures as one HTML document.

Belongs here: its structure. Does not: its style (page.css), drawing (page.js and Plotly's own
library), and what it says (words.py and the pictures).

A content security policy in the page lets the browser fetch nothing at all: what is not in the
file cannot be shown, on a machine with a network as on one without.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from importlib import resources
from typing import Any

from fairlead.records import Result, Verdict
from fairlead.report import (
    holdout,
    importance,
    interval,
    parallel,
    scores,
    seconds,
    words,
)
from fairlead.report.material import Material, Scored
from fairlead.report.picture import Picture
from fairlead.study.words import count, params, size
from fairlead.version import VERSION

TOP = 20
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)


def render(material: Material, *, library: str) -> str:
    """The report as one HTML document.

    Args:
        material: What it says.
        library: The source of plotly.js.
    """
    pictures = list(_pictures(material))
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en">',
            *_head(material),
            "<body>",
            "<main>",
            *_opening(material),
            f'<div class="pictures">{"".join(map(_section, pictures))}</div>',
            _table(material),
            _details(material),
            f"<footer>Fairlead {escape(VERSION)}, study {escape(material.study.id)}</footer>",
            "</main>",
            f"<script>{library}</script>",
            *(_data(picture) for picture in pictures if picture.figure),
            f"<script>{_asset('page.js')}</script>",
            "</body>",
            "</html>",
            "",
        )
    )


def _pictures(material: Material) -> Iterator[Picture]:
    yield scores.draw(material)
    yield from parallel.draw(material)
    yield importance.draw(material)
    yield holdout.draw(material)
    yield interval.draw(material)
    yield seconds.draw(material)


def _head(material: Material) -> Iterator[str]:
    yield '<head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(material.study.name)}: report</title>"
    yield f"<style>{_asset('page.css')}</style></head>"


def _opening(material: Material) -> Iterator[str]:
    study = material.study
    under = f"Study {study.id}, begun {words.moment(study.created)}"
    if study.finished:
        under += f", finished {words.moment(study.finished)}"
    yield f"<h1>{escape(study.name)}</h1>"
    yield f'<p class="under">{escape(under)}</p>'
    yield '<div class="story">'
    for sentence in words.story(material):
        yield f"<p>{escape(sentence)}</p>"
    if material.judgement:
        yield _verdict(material.judgement.verdict)
    yield "</div>"
    yield f'<dl class="facts">{"".join(_fact(*fact) for fact in _facts(material))}</dl>'


def _verdict(verdict: Verdict) -> str:
    decided, why = words.verdict(verdict.text)
    said = f"<b>{escape(decided)}</b>{': ' if why else ''}{escape(why)}"
    return f'<p class="verdict {verdict.decision.split()[0]}">{said}</p>'


def _facts(material: Material) -> Iterator[tuple[str, str]]:
    best = material.ranked[0].score if material.ranked else None
    yield f"Best {material.metric.name}", words.number(best)
    candidate = material.candidate
    if candidate and candidate.holdout_score is not None:
        yield f"Holdout {candidate.metric}", words.number(candidate.holdout_score)
    yield "Trials", f"{sum(row.result is not None for row in material.rows):,}"
    yield "Failed", f"{len(material.ended('failed')):,}"
    if material.spec.search.prune:
        yield "Pruned", f"{len(material.ended('pruned')):,}"
    if material.study.finished:
        yield "Took", words.seconds(material.study.finished - material.study.created)
    if candidate and "model.onnx" in candidate.files:
        yield "Model (ONNX)", size(candidate.files["model.onnx"].size)


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _section(picture: Picture) -> str:
    # Beside a chart, a sentence alone would stand in a tall empty card.
    wide = ' class="wide"' if picture.wide or not picture.figure else ""
    title = f'<h2 id="{picture.key}-title">{escape(picture.title)}</h2>'
    caption = f'<p class="caption">{escape(picture.caption)}</p>'
    chart = (
        f'<div class="chart" id="{picture.key}" role="img" aria-labelledby="{picture.key}-title" '
        f'style="height:{picture.height}px"></div>'
    )
    return f"<section{wide}>{title}{caption}{chart if picture.figure else ''}</section>"


def _data(picture: Picture) -> str:
    text = json.dumps(picture.figure, separators=(",", ":"), allow_nan=False)
    # No text of the user's, such as the name of a class, may end the script element.
    return (
        f'<script type="application/json" data-chart="{picture.key}">'
        f"{text.replace('<', chr(92) + 'u003c')}</script>"
    )


def _table(material: Material) -> str:
    if not material.ranked:
        return ""
    shown = material.ranked[:TOP]
    of = (
        f"{len(shown)} of {count(len(material.scored), 'trial')} with a score; the spread is "
        "the standard deviation over the folds."
    )
    columns = ("trial", material.metric.name, "spread", "seconds")
    heads = "".join(f'<th class="number">{escape(column)}</th>' for column in columns)
    rows = "".join(map(_row, shown))
    return (
        f'<section class="table"><h2>The best trials</h2><p class="caption">{of}</p>'
        f'<div class="scroll"><table><thead><tr>{heads}<th>parameters</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _row(scored: Scored) -> str:
    result, trial = scored.row.result, scored.row.trial
    assert result is not None
    numbers = (
        str(trial.number),
        words.number(scored.score),
        _spread(result),
        f"{result.seconds:.3g}",
    )
    cells = "".join(f'<td class="number">{escape(text)}</td>' for text in numbers)
    what = f"{trial.family}: {params(trial.params) or 'no parameters'}"
    return f'<tr>{cells}<td class="params">{escape(what)}</td></tr>'


def _spread(result: Result) -> str:
    finite = all(map(math.isfinite, result.scores)) and result.scores
    return words.number(statistics.pstdev(result.scores), digits=3) if finite else ""


def _details(material: Material) -> str:
    parts = [
        _listing("Study", _study(material)),
        _files(material),
        _listing("Environment", _machine(material.environment)),
        _listing("Packages", dict(material.environment.get("packages", {}))),
        "<h3>Spec</h3>",
        f"<pre>{escape(json.dumps(json.loads(material.study.spec), indent=1))}</pre>",
    ]
    return (
        f"<details><summary>Environment, digests and the spec</summary>{''.join(parts)}</details>"
    )


def _study(material: Material) -> dict[str, str]:
    candidate = material.candidate
    said = {"study": material.study.id, "table": material.study.table}
    if material.version:
        said |= {"version": f"{material.version.model} {material.version.number}"}
        said |= {"manifest": material.version.manifest}
    if candidate and candidate.parity:
        parity = candidate.parity
        said |= {
            "parity of the exported model": f"{parity.beyond} of {parity.rows} rows further apart "
            f"than {parity.tolerance:g}, at worst {parity.worst:.2g}"
        }
    if candidate and candidate.unexportable:
        said |= {"no ONNX form": candidate.unexportable}
    return said


def _machine(environment: Mapping[str, Any]) -> dict[str, str]:
    plain = {name: said for name, said in environment.items() if isinstance(said, str)}
    return {**plain, **dict(environment.get("digests", {}))}


def _files(material: Material) -> str:
    if material.candidate is None:
        return ""
    files = material.candidate.files
    said = {name: f"{size(file.size)}, {file.digest}" for name, file in sorted(files.items())}
    return _listing("Files", said)


def _listing(title: str, said: Mapping[str, str]) -> str:
    return f"<h3>{title}</h3><table>{''.join(_lines(said.items()))}</table>" if said else ""


def _lines(said: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in said:
        yield f"<tr><td>{escape(name)}</td><td><code>{escape(text)}</code></td></tr>"


def _asset(name: str) -> str:
    return resources.files("fairlead.report").joinpath(name).read_text(encoding="utf-8")
