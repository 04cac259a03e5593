"""A study's report as one HTML document.

The structure is page.html.j2, the style page.css, the drawing page.js and Plotly's own library.
This module says what goes into the template: sentences of words.py, tables, and the pictures.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from fairlead.formatting import count, params, size
from fairlead.records import Candidate, Result, Verdict
from fairlead.report import curves, fits, holdout, importance, interval, parallel, scores, words
from fairlead.report.material import Material, Scored
from fairlead.report.picture import Figure, Picture
from fairlead.version import VERSION

TOP = 20


def render(material: Material, *, library: str, trials_command: str = "") -> str:
    """The report as one HTML document.

    Args:
        material: What it says.
        library: The source of plotly.js.
        trials_command: What a person types to see every trial, and why it failed.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("fairlead.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["script_json"] = _script_json
    template = environment.get_template("page.html.j2")
    return template.render(
        study=material.study,
        times=_times(material),
        story=list(words.story(material)),
        verdict=_verdict(material.judgement.verdict) if material.judgement else None,
        facts=list(_facts(material)),
        pictures=list(_pictures(material)),
        metric=material.metric.name,
        scored=count(len(material.scored), "trial"),
        trials_command=trials_command,
        failed=bool(material.ended("failed")),
        trials=[_row(scored) for scored in material.ranked[:TOP]],
        details=list(_details(material)),
        spec=json.dumps(json.loads(material.study.spec), indent=1),
        version=VERSION,
        style=_asset("page.css"),
        script=_asset("page.js"),
        library=library,
    )


def _script_json(figure: Figure) -> str:
    """JSON inside a script element: no text of the user's may end the element."""
    from markupsafe import Markup

    text = json.dumps(figure, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 - "<" is escaped, and no entity is read there


def _times(material: Material) -> str:
    study = material.study
    begun = f"Study {study.id}, begun {words.moment(study.created)}"
    return f"{begun}, finished {words.moment(study.finished)}" if study.finished else begun


def _verdict(verdict: Verdict) -> dict[str, str]:
    decision, why = words.verdict(verdict.text)
    return {"kind": verdict.decision.split()[0], "decision": decision, "why": why}


def _pictures(material: Material) -> Iterator[Picture]:
    yield scores.draw(material)
    yield from curves.draw(material)
    yield from fits.draw(material)
    yield from parallel.draw(material)
    yield importance.draw(material)
    yield holdout.draw(material)
    yield interval.draw(material)
    yield scores.draw_seconds(material)


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


def _row(scored: Scored) -> tuple[tuple[str, ...], str]:
    """Numbers of a trial, and its parameters."""
    result, trial = scored.row.result, scored.row.trial
    assert result is not None
    numbers = (
        str(trial.number),
        words.number(scored.score),
        _spread(result),
        f"{result.seconds:.3g}",
    )
    return numbers, f"{trial.family}: {params(trial.params) or 'no parameters'}"


def _spread(result: Result) -> str:
    finite = all(map(math.isfinite, result.scores)) and result.scores
    return words.number(statistics.pstdev(result.scores), digits=3) if finite else ""


def _details(material: Material) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Titles and tables."""
    yield "Study", _study(material)
    yield "Files", _files(material.candidate) if material.candidate else {}
    yield "Environment", _machine(material.environment)
    yield "Packages", dict(material.environment.get("packages", {}))


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


def _files(candidate: Candidate) -> dict[str, str]:
    files = sorted(candidate.files.items())
    return {name: f"{size(file.size)}, {file.digest}" for name, file in files}


def _asset(name: str) -> str:
    return resources.files("fairlead.report").joinpath(name).read_text(encoding="utf-8")
