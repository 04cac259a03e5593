"""Who is champion of a model, as a person decides it; what is live stays live."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.records import Promotion, Route
from fairlead.registry.mlflow import start_mirror
from fairlead.registry.registry import Registry
from fairlead.settings import Settings
from fairlead.stores import Stores


@dataclass(frozen=True, kw_only=True)
class Promoted:
    """What came of a request to change the champion.

    Args:
        promotion: The entry of the history; None where the version is the champion already.
        live: The route in force, where not all of its traffic is the champion's.
    """

    promotion: Promotion | None
    live: Route | None = None


def promote(stores: Stores, settings: Settings, model: str, version: int, *, why: str) -> Promoted:
    """Make a version the champion, whatever the gate said.

    Raises:
        NotFound: There is no such version.
        Invalid: No reason is given.
        Unexportable: It has no ONNX form.
        Failed: Its exported form does not predict what was trained.
        Corrupt: Its file is not what was written.
    """
    return _recorded(stores, settings, _registry(stores).promote(model, version, why=why))


def roll_back(stores: Stores, settings: Settings, model: str, *, why: str) -> Promoted:
    """Make the previous champion the champion again; another one goes further back.

    Raises:
        NotFound: There is no such model.
        Invalid: There is no previous champion, or no reason is given.
        Conflict: The champion changed meanwhile.
        Corrupt: The previous champion's file is not what was written.
    """
    return _recorded(stores, settings, _registry(stores).rollback(model, why=why))


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
