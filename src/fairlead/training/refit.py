"""Refitting the best trial's parameters on all training rows: the candidate and its artefacts.

A candidate's files are its model in the family's own format and as ONNX, golden rows, the hashes of
its training rows, its holdout predictions and its environment. Where there is an ONNX form, holdout
and golden rows are predicted with it, because it is what is served.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import platform
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlead.artifacts import Artifacts
from fairlead.data import dates
from fairlead.data.features import Features, Rows
from fairlead.data.precision import rounded
from fairlead.errors import Unexportable
from fairlead.families.family import Array, Family, Fitted
from fairlead.inference import Exported
from fairlead.metrics import Metric
from fairlead.records import Candidate, Column, Parity, Signature, Trial
from fairlead.repository import checked_out
from fairlead.training.export import export, parity
from fairlead.training.fit import predicted
from fairlead.training.prepare import Preparation
from fairlead.training.study_context import StudyContext
from fairlead.training.task_fits import FitChannel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GOLDEN_ROWS = 16


def refit(
    context: StudyContext,
    study: str,
    trial: Trial,
    artifacts: Artifacts,
    channel: FitChannel | None = None,
) -> Candidate:
    """Fit the trial's parameters on all training rows and store everything that results.

    Args:
        context: The study.
        study: Its id.
        trial: Whose parameters.
        artifacts: Where the files go.
        channel: How the attempt is told of, and what it goes on from.

    Returns:
        The candidate; its files are in the artefact store.
    """
    started = time.monotonic()
    family, recipe = context.family(trial.family), context.recipe
    held, true = context.holdout
    preparation, x, target = context.refit_rows()
    x_held = preparation.transform(held).copy()
    fitted = context.fits(channel).refit(trial, family, (x, target), preparation)
    forms = _forms(preparation, family, fitted, context, predicted(family, fitted, x_held))
    contents = {
        "training_rows.npy": _npy(_training_hashes(context)),
        "holdout.npz": _npz(context.rows[1], true, forms.predicted),
        "environment.json": _json(_environment(context)),
        **forms.contents,
    }
    return Candidate(
        study=study,
        trial=trial.number,
        family=trial.family,
        params=trial.params,
        seed=recipe.seed,
        metric=recipe.metric.name,
        holdout_score=_score(recipe.metric, true, forms.predicted),
        training_rows=len(target),
        holdout_rows=len(held),
        signature=context.table.signature,
        files={name: artifacts.put(content) for name, content in contents.items()},
        parity=forms.parity,
        unexportable=forms.unexportable,
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True, kw_only=True)
class _Forms:
    """The formats of a fitted model.

    `predicted` is the holdout as predicted by the exported model, or by the trained one where there
    is no exported one.
    """

    contents: dict[str, bytes]
    predicted: NDArray[Any]
    parity: Parity | None = None
    unexportable: str | None = None


def _forms(
    preparation: Preparation,
    family: Family,
    fitted: Fitted,
    context: StudyContext,
    trained: Array,
) -> _Forms:
    signature, (held, _) = context.table.signature, context.holdout
    contents = dict(_own_format(family, fitted))
    try:
        content = export(preparation, family, fitted, signature)
    except Unexportable as error:
        return _Forms(contents=contents, predicted=trained, unexportable=str(error))
    exported = Exported(content, signature).predict(held)
    contents["model.onnx"] = content
    contents["golden.json"] = _json(_golden(held, exported, signature))
    spread = _spread(context.training[1], signature)
    compared = parity(trained, exported, spread=spread)
    lost = rounded(context.table.features, signature)
    return _Forms(contents=contents, predicted=exported, parity=replace(compared, rounded=lost))


def _own_format(family: Family, fitted: Fitted) -> Iterator[tuple[str, bytes]]:
    """The family's own safe format, where it has one: a model can be exported without."""
    with contextlib.suppress(Unexportable):
        saved = family.save(fitted)
        yield saved.name, saved.content


def _score(metric: Metric, true: Array, predicted: Array) -> float | None:
    """The holdout's score; None where it has none (one class only, predictions not finite)."""
    import numpy as np

    if not len(true) or not np.isfinite(predicted).all():
        return None
    score = metric.score(true, predicted)
    return score if math.isfinite(score) else None


def _spread(target: NDArray[Any], signature: Signature) -> float | None:
    return float(target.std()) if signature.classes is None else None


def _training_hashes(context: StudyContext) -> NDArray[np.uint64]:
    import numpy as np

    return np.sort(context.table.row_hashes[context.rows[0]])


def _golden(held: Rows, predicted: NDArray[np.float64], signature: Signature) -> dict[str, object]:
    """Some holdout rows, as a request has them, with the exported model's predictions."""
    features, count = next(held.blocks()), min(GOLDEN_ROWS, len(held))
    rows = [_row(features, index, signature) for index in range(count)]
    return {"rows": rows, "predictions": predicted[:count].tolist()}


def _row(features: Features, index: int, signature: Signature) -> dict[str, object]:
    numbers = iter(features.numbers[index].tolist())
    texts = iter(zip(features.text[index].tolist(), features.categories, strict=True))
    row: dict[str, object] = {}
    for column in signature.columns:
        if column.kind == "text":
            code, categories = next(texts)
            row[column.name] = None if code < 0 else categories[code]
        else:
            row[column.name] = _number_cell(column, [next(numbers) for _ in column.numbers])
    return row


def _number_cell(column: Column, numbers: Sequence[float]) -> object:
    """What a request has of a column in place of the numbers that a model gets of it."""
    if column.kind == "date":
        return dates.written(*numbers)
    if math.isnan(numbers[0]):
        return None
    return bool(numbers[0]) if column.type == "boolean" else numbers[0]


def _environment(context: StudyContext) -> dict[str, object]:
    described = [distribution.metadata for distribution in metadata.distributions()]  # parsed once
    packages = {about["Name"].lower(): about["Version"] for about in described}
    commit = checked_out(Path.cwd())
    return {
        "git": asdict(commit) if commit else None,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "packages": dict(sorted(packages.items())),
        "digests": {"table": context.table_digest, "fingerprint": context.table.fingerprint},
    }


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode()


def _npy(array: NDArray[Any]) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _npz(rows: NDArray[Any], true: NDArray[Any], predicted: NDArray[Any]) -> bytes:
    """As `numpy.savez`, whose headers are not the same on Python 3.11.2 as on 3.11.7."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in {"rows": rows, "true": true, "predicted": predicted}.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), _npy(array))
    return buffer.getvalue()
