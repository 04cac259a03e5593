"""Training a version again, in a home of its own, and saying whether it is equal.

Nothing of the first training is changed.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from fairlead.artifacts import Artifacts
from fairlead.errors import Failed
from fairlead.records import Candidate, Study
from fairlead.registry.registry import Registry
from fairlead.settings import Settings
from fairlead.spec.document import Spec
from fairlead.stores import open_stores
from fairlead.study import plan as plans
from fairlead.study.outcome import Trials
from fairlead.study.plan import StudyPlan
from fairlead.study.progress import ProgressListener
from fairlead.study.run import at_work, local_runner, opened
from fairlead.study.stop import StopRequest

_SAME_BYTES = ("model.onnx", "golden.json", "training_rows.npy", "holdout.npz")
"""Files of a candidate that an equal one has bit for bit. The family's own format is not among
them: skops writes the ids of objects in memory."""


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What a second training came to."""

    model: str
    version: int
    equal: bool
    trials: int
    environment: tuple[str, ...]  # what is different here: "numpy 2.4.6, now 2.4.7"
    differences: tuple[str, ...]  # between the two trainings


def reproduce(  # noqa: PLR0913 - what, where, how
    model: str,
    number: int,
    *,
    settings: Settings,
    workers: int | None,
    watch: ProgressListener,
    stop: StopRequest,
) -> Reproduction:
    """Run a version's study and refit again from its digests, and compare.

    Args:
        model: Name of the model.
        number: Of the version.
        settings: The installation's.
        workers: As for a run.
        watch: Called with what happens.
        stop: As for a run.

    Raises:
        NotFound: There is no such version.
        Corrupt: One of its artefacts is not what its digest says.
    """
    with stop.at_once(), open_stores(settings) as stores:
        registry = Registry(ledger=stores.ledger, artifacts=stores.artifacts)
        first = _First.of(registry, model, number)
        plan = _plan(first.study, first.trials, stores.artifacts)
    with tempfile.TemporaryDirectory(prefix="fairlead-reproduce-") as folder:
        there = replace(settings, home=Path(folder), ledger="", artifacts="")
        second = _run(plan, there, workers, watch, stop)
    differences = (*_trials(first.trials, second.trials.to_json()), *_model(first, second))
    return Reproduction(
        model=model,
        version=number,
        equal=not differences,
        trials=len(second.trials),
        environment=tuple(_environment(first.environment)),
        differences=differences,
    )


@dataclass(frozen=True, kw_only=True)
class _First:
    """What the first training left."""

    candidate: Candidate
    contents: Mapping[str, str]
    study: Study
    trials: Sequence[Mapping[str, Any]]
    environment: Mapping[str, Any]

    @classmethod
    def of(cls, registry: Registry, model: str, number: int) -> _First:
        version = registry.version(model, number)
        candidate = registry.candidate(version)

        def read(name: str) -> Any:
            return json.loads(registry.artifacts.get(candidate.files[name].digest))

        return cls(
            candidate=candidate,
            contents=_contents(candidate, registry.artifacts),
            study=registry.ledger.studies.get(candidate.study),
            trials=read("study.json")["trials"],
            environment=read("environment.json"),
        )


@dataclass(frozen=True, kw_only=True)
class _Second:
    """What the second training came to."""

    trials: Trials
    best: int
    contents: Mapping[str, str]


def _plan(study: Study, trials: Sequence[Mapping[str, Any]], artifacts: Artifacts) -> StudyPlan:
    """The plan of exactly these trials: a budget of time would cut them somewhere else."""
    spec = Spec.model_validate_json(study.spec)
    search = spec.search.model_copy(update={"trials": len(trials), "time": None, "until": None})
    return plans.restored(spec.model_copy(update={"search": search}), study, artifacts)


def _run(
    plan: StudyPlan,
    settings: Settings,
    workers: int | None,
    watch: ProgressListener,
    stop: StopRequest,
) -> _Second:
    with opened(settings, stop) as stores:
        with stop.at_once():
            study = plans.keep(plan, stores.ledger, stores.artifacts, fresh=False)
        runner = local_runner(settings)
        with at_work(
            plan, study, stores, settings, runner, workers=workers, watch=watch, stop=stop
        ) as stages:
            study = stages.search(study)
            trials = Trials(stores.ledger.studies.trials(study.id))
            if study.best is None:
                raise Failed("training it again: no trial succeeded")
            candidate = stages.refit(study, trials[study.best])
            contents = _contents(candidate, stores.artifacts)
            return _Second(trials=trials, best=candidate.trial, contents=contents)


def _trials(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    if len(first) != len(second):
        yield f"{len(first)} trials, now {len(second)}"
    for one, other in zip(first, second, strict=False):
        for field in ("family", "params", "state", "scores", "curve"):
            was, now = one.get(field, []), other[field]  # older files have no curve
            if was != now:
                yield f"trial {one['number']}: {field} {was!r}, now {now!r}"


def _model(first: _First, second: _Second) -> Iterator[str]:
    if first.candidate.trial != second.best:
        yield f"best trial {first.candidate.trial}, now {second.best}"
    for name in _SAME_BYTES:
        one, other = (each.contents.get(name, "absent") for each in (first, second))
        if one != other:
            yield f"{name}: {one[:12]}, now {other[:12]}"


def _contents(candidate: Candidate, artifacts: Artifacts) -> Mapping[str, str]:
    """The digest of each file that is compared; of an archive, that of what is in it.

    Its headers differ between Pythons, where numpy wrote it.
    """
    files = {name: candidate.files[name] for name in _SAME_BYTES if name in candidate.files}
    return {
        name: _of_members(artifacts.get(file.digest)) if name.endswith(".npz") else file.digest
        for name, file in files.items()
    }


def _of_members(archive: bytes) -> str:
    digest = hashlib.sha256()
    with zipfile.ZipFile(io.BytesIO(archive)) as opened_zip:
        for name in opened_zip.namelist():
            digest.update(name.encode() + b"\0" + opened_zip.read(name))
    return digest.hexdigest()


def _environment(first: Mapping[str, Any]) -> Iterator[str]:
    if first["python"] != platform.python_version():
        yield f"Python {first['python']}, now {platform.python_version()}"
    if first["machine"] != platform.machine():
        yield f"machine {first['machine']}, now {platform.machine()}"
    now = {dist.name.lower(): dist.version for dist in metadata.distributions()}
    for name, version in first["packages"].items():
        if now.get(name) != version:
            yield f"{name} {version}, now {now.get(name, 'not installed')}"
