"""What a serving program begins with.

Belongs here: which models, and the first deployments of champions. Does not: following the ledger
afterwards (reconciler.py).

A route that is there stays: starting a server never changes what is live. Nor is what is live kept
waiting: where the ledger lets nobody write, or a store does not answer, the first deployments of
other models are begun beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait

from fairlead.artifacts import Artifacts
from fairlead.errors import FairleadError, Invalid
from fairlead.ledger.interface import Ledger
from fairlead.records import Route
from fairlead.rollout.background import run_in_background
from fairlead.rollout.routes import running_deployment
from fairlead.rollout.start import start_deployment
from fairlead.rollout.traffic_split import out_of_service_reason
from fairlead.rollout.verification import one_line
from fairlead.server.events import ServerEvent, ServerNotice, ServerWarning

_PATIENCE = 2.0
"""Seconds after which what is live is served, whatever is still being begun."""


def deploy_champions(
    ledger: Ledger,
    artifacts: Artifacts,
    models: tuple[str, ...] | None,
    told: Callable[[ServerEvent], None],
) -> None:
    """Deploy the champions of models that have no route; what takes long goes on by itself.

    Args:
        ledger: Knows the models.
        artifacts: Hold their files.
        models: Those to serve; None for all.
        told: Told of models that do not serve their champion, and of what came of the rest later.

    Raises:
        NotFound: A model that was named is not there, or has no champion.
        Failed: A model that was named cannot be served.
        Invalid: There is nothing to serve.
    """
    beginning = run_in_background(lambda: _begin_all(ledger, artifacts, models, told))
    wait((beginning,), timeout=_PATIENCE)
    if beginning.done():
        beginning.result()
    else:
        beginning.add_done_callback(lambda ended: _tell_late(ended, told))


def _tell_late(ended: Future[None], told: Callable[[ServerEvent], None]) -> None:
    error = ended.exception()
    if isinstance(error, Exception):
        told(ServerWarning(text=one_line(error)))


def _begin_all(
    ledger: Ledger,
    artifacts: Artifacts,
    models: tuple[str, ...] | None,
    told: Callable[[ServerEvent], None],
) -> None:
    if models is not None:
        for model in models:
            _begin(ledger, artifacts, model, told)
        return
    found = [_tried(ledger, artifacts, model, told) for model in _all(ledger)]
    if not any(found):
        raise Invalid(
            "there is no model to serve: run a spec first (`fairlead run SPEC`), or make a version "
            "the champion (`fairlead promote MODEL VERSION --why TEXT`)"
        )


def _all(ledger: Ledger) -> Sequence[str]:
    return sorted({version.model for version in ledger.versions.all()})


def _tried(
    ledger: Ledger, artifacts: Artifacts, model: str, told: Callable[[ServerEvent], None]
) -> bool:
    """Whether the model is, or will be, served; one that cannot be keeps no other from it."""
    if ledger.routes.current(model) is None and ledger.versions.champion(model) is None:
        return running_deployment(ledger, model) is not None
    try:
        _begin(ledger, artifacts, model, told)
    except FairleadError as error:
        told(ServerWarning(text=one_line(error)))
        return False
    return True


def _begin(
    ledger: Ledger, artifacts: Artifacts, model: str, told: Callable[[ServerEvent], None]
) -> None:
    ledger.versions.history(model)  # refuses a model that is not there
    route = ledger.routes.current(model)
    if running_deployment(ledger, model) is not None:
        return
    if route is None:
        start_deployment(ledger, artifacts, model)
    elif line := _out(route) or _newer(ledger, route):
        told(ServerNotice(text=line))


def _out(route: Route) -> str:
    """What to say of a model that nobody answers for; empty where somebody does."""
    gone = out_of_service_reason(route)
    said = f"{route.model} is {gone}; `fairlead deploy {route.model}` brings a version in"
    return said if gone else ""


def _newer(ledger: Ledger, route: Route) -> str:
    """What to say where the champion has no traffic; empty where it has."""
    champion = ledger.versions.champion(route.model)
    versions = {one.name: one.version for one in ledger.routes.revisions(route.model)}
    live = sorted({versions[name] for name in route.traffic})
    if champion is None or champion.number in live:
        return ""
    shown = ", ".join(f"v{number}" for number in live)
    return (
        f"{route.model}: {shown} is live, and the champion is v{champion.number}: "
        f"`fairlead deploy {route.model}` brings it into service"
    )
