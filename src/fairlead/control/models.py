"""The models of an installation: their versions, champions, history and predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from fairlead.data.dialect import Dialect
from fairlead.inference import Exported
from fairlead.records import Judgement, Promotion, Route, Signature, Version
from fairlead.registry.mlflow import catch_up, start_mirror
from fairlead.registry.registry import Known, Registry
from fairlead.settings import Settings
from fairlead.stores import Stores


@dataclass(frozen=True, kw_only=True)
class ModelSummary:
    """A model in a list.

    Metric, score and time are those of the champion, or of the newest version where there is none.

    Args:
        model: Its name.
        champion: Number of the version; None where there is none.
        versions: How many there are.
        metric: That the version was judged by.
        holdout_score: Of the version.
        created: When, in seconds since the epoch.
        live: The route in force; None before the first.
        waiting: Changes that MLflow's registry does not know yet.
    """

    model: str
    champion: int | None
    versions: int
    metric: str
    holdout_score: float | None
    created: float
    live: Route | None
    waiting: int


@dataclass(frozen=True, kw_only=True)
class ModelHistory:
    """Who became champion, and the verdicts of the gate, the oldest first."""

    model: str
    promotions: Sequence[Promotion]
    judgements: Sequence[Judgement]


def models(stores: Stores, settings: Settings) -> tuple[Sequence[ModelSummary], str | None]:
    """The models, and why MLflow's registry could not be brought up to date."""
    state = catch_up(settings, stores.ledger)
    return summaries(stores), state.note


def summaries(
    stores: Stores, *, after: str = "", limit: int | None = None
) -> Sequence[ModelSummary]:
    """The models whose names come after this one, by name; so many, or all."""
    waiting = Counter(str(payload["model"]) for _, _, payload in stores.ledger.outbox.pending())
    every = groupby(stores.ledger.versions.all(), key=lambda version: version.model)
    registry = Registry(stores.ledger, stores.artifacts)
    listed = ((model, list(each)) for model, each in every)
    asked = islice((each for each in listed if each[0] > after), limit)
    return [_summary(registry, each, waiting[model]) for model, each in asked]


def summary_json(model: ModelSummary) -> dict[str, Any]:
    """A model as JSON; `live` is the percent of each revision, None before the first route."""
    return {
        "model": model.model,
        "champion": model.champion,
        "versions": model.versions,
        "metric": model.metric,
        "holdout_score": model.holdout_score,
        "created": model.created,
        "live": dict(model.live.traffic) if model.live else None,
        "mlflow": f"{model.waiting} waiting" if model.waiting else "told",
    }


@dataclass(frozen=True, kw_only=True)
class ModelDetails:
    """A model: its versions, the oldest first, and which of them is the champion."""

    model: str
    champion: int | None
    versions: Sequence[Version]


def details(stores: Stores, model: str) -> ModelDetails:
    """The versions of a model.

    Raises:
        NotFound: There is no such model.
    """
    versions = stores.ledger.versions.all(model)
    if not versions:
        stores.ledger.versions.history(model)  # says that there is none, and which was meant
    champion = stores.ledger.versions.champion(model)
    number = champion.number if champion else None
    return ModelDetails(model=model, champion=number, versions=versions)


def history(stores: Stores, model: str) -> ModelHistory:
    """Who became champion of the model, and who did not.

    Raises:
        NotFound: There is no such model.
    """
    return ModelHistory(
        model=model,
        promotions=stores.ledger.versions.history(model),
        judgements=stores.ledger.versions.judgements(model),
    )


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A version that is ready to predict.

    Args:
        exported: The model.
        signature: What it takes and gives.
        dialect: How the text file was written that it was trained on.
    """

    exported: Exported
    signature: Signature
    dialect: Dialect


def predictor(stores: Stores, model: str, version: int | None) -> Predictor:
    """A version, or the champion, ready to predict.

    Raises:
        NotFound: There is no such model or version, or it has no champion.
        Unexportable: It has no ONNX form.
        Corrupt: Its file is not what was written.
    """
    registry = Registry(stores.ledger, stores.artifacts)
    found = registry.version(model, version)
    from fairlead.spec.document import parse_canonical

    spec = parse_canonical(stores.ledger.studies.get(found.study).spec)
    return Predictor(
        exported=registry.exported(found),
        signature=registry.candidate(found).signature,
        dialect=Dialect.of(spec.data),
    )


def _summary(registry: Registry, versions: Sequence[Version], waiting: int) -> ModelSummary:
    newest = versions[-1]
    champion = registry.ledger.versions.champion(newest.model)
    shown = champion or newest
    candidate = registry.candidate(shown)
    return ModelSummary(
        model=newest.model,
        champion=champion.number if champion else None,
        versions=len(versions),
        metric=candidate.metric,
        holdout_score=candidate.holdout_score,
        created=shown.created,
        live=registry.ledger.routes.current(newest.model),
        waiting=waiting,
    )


# ---- the champion, as a person decides it -----------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Promoted:
    """What came of a request to change the champion.

    Args:
        promotion: The entry of the history; None where the version is the champion already.
        live: The route in force, where not all of its traffic is the champion's.
    """

    promotion: Promotion | None
    live: Route | None = None


def promote(  # noqa: PLR0913 - what, where, and why
    stores: Stores,
    settings: Settings,
    model: str,
    version: int,
    *,
    why: str,
    known: Known | None = None,
) -> Promoted:
    """Make a version the champion, whatever the gate said.

    Args:
        stores: Where it is.
        settings: The installation's.
        model: Its name.
        version: Its number.
        why: Goes into the history.
        known: The champion that whoever asks has in mind; any if None.

    Raises:
        NotFound: There is no such version.
        Invalid: No reason is given.
        Conflict: The champion is another one.
        Unexportable: It has no ONNX form.
        Failed: Its exported form does not predict what was trained.
        Corrupt: Its file is not what was written.
    """
    return _recorded(
        stores, settings, _registry(stores).promote(model, version, why=why, known=known)
    )


def roll_back(
    stores: Stores, settings: Settings, model: str, *, why: str, known: Known | None = None
) -> Promoted:
    """Make the previous champion the champion again; another one goes further back.

    Args:
        stores: Where it is.
        settings: The installation's.
        model: Its name.
        why: Goes into the history.
        known: The champion that whoever asks has in mind; any if None.

    Raises:
        NotFound: There is no such model.
        Invalid: There is no previous champion, or no reason is given.
        Conflict: The champion changed meanwhile.
        Corrupt: The previous champion's file is not what was written.
    """
    return _recorded(stores, settings, _registry(stores).rollback(model, why=why, known=known))


def _registry(stores: Stores) -> Registry:
    return Registry(stores.ledger, stores.artifacts)


def _recorded(stores: Stores, settings: Settings, promotion: Promotion | None) -> Promoted:
    """With what is live beside it; MLflow's registry follows in the background."""
    if promotion is None:
        return Promoted(promotion=None)
    start_mirror(settings)
    route = stores.ledger.routes.current(promotion.model)
    versions = {each.name: each.version for each in stores.ledger.routes.revisions(promotion.model)}
    served = {versions[name] for name in route.traffic} if route else {promotion.version}
    return Promoted(promotion=promotion, live=route if served != {promotion.version} else None)
