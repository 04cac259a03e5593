"""What a serving program does first: it starts the deployments of champions without a route.

A route that exists stays: starting a server never changes what is live. Nor does what is live wait
for it: where the ledger is locked, or a store does not answer, the first deployments of other
models are started in the background.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait

from fairlead.errors import FairleadError, Invalid, NextStep, described
from fairlead.records import Route
from fairlead.rollout.background import run_in_background
from fairlead.rollout.routes import running_deployment
from fairlead.rollout.start import start_deployment
from fairlead.rollout.traffic_split import out_of_service_reason
from fairlead.server.events import ServerEvent, ServerNotice, ServerWarning
from fairlead.stores import Stores

_PATIENCE = 2.0
"""Seconds after which what is live is served, whatever is still being started."""


def deploy_champions(
    stores: Stores,
    models: tuple[str, ...] | None,
    on_event: Callable[[ServerEvent], None],
) -> None:
    """Deploy the champions of models that have no route; what takes long continues by itself.

    Args:
        stores: Of the models and their files.
        models: Those to serve; None for all.
        on_event: Called for models that do not serve their champion, and for what failed later.

    Raises:
        NotFound: A model that was named does not exist, or has no champion.
        Failed: A model that was named cannot be served.
        Invalid: There is nothing to serve.
    """
    startup = _Startup(stores, on_event)
    future = run_in_background(lambda: startup.deploy(models))
    wait((future,), timeout=_PATIENCE)
    if future.done():
        future.result()
    else:
        future.add_done_callback(startup.warn_late)


class _Startup:
    def __init__(self, stores: Stores, on_event: Callable[[ServerEvent], None]) -> None:
        self._stores, self._ledger, self._on_event = stores, stores.ledger, on_event

    def warn_late(self, future: Future[None]) -> None:
        """Report how it failed after nobody waited for it any more."""
        error = future.exception()
        if isinstance(error, Exception):
            self._warn(error)

    def deploy(self, models: tuple[str, ...] | None) -> None:
        """Deploy these models; an error of one that was named is raised."""
        if models is not None:
            for model in models:
                self._deploy(model)
            return
        known = sorted({version.model for version in self._ledger.versions.all()})
        served = [self._is_served(model) for model in known]
        if not any(served):
            raise _nothing_to_serve()

    def _is_served(self, model: str) -> bool:
        """Whether the model is, or will be, served; one that cannot be blocks no other."""
        ledger = self._ledger
        if ledger.routes.current(model) is None and ledger.versions.champion(model) is None:
            return running_deployment(ledger, model) is not None
        try:
            self._deploy(model)
        except FairleadError as error:
            self._warn(error)
            return False
        return True

    def _deploy(self, model: str) -> None:
        self._ledger.versions.history(model)  # raises for an unknown model
        route = self._ledger.routes.current(model)
        if running_deployment(self._ledger, model) is not None:
            return
        if route is None:
            start_deployment(self._stores, model)
        elif text := _out_of_service(route) or self._newer_champion(route):
            deploy = NextStep("deploy", {"model": model}, "deploys its champion")
            self._on_event(ServerNotice(text=text, next_steps=(deploy,)))

    def _newer_champion(self, route: Route) -> str:
        """What to say where the champion has no traffic; empty where it has."""
        champion = self._ledger.versions.champion(route.model)
        versions = {one.name: one.version for one in self._ledger.routes.revisions(route.model)}
        live = sorted({versions[name] for name in route.traffic})
        if champion is None or champion.number in live:
            return ""
        shown = ", ".join(f"v{number}" for number in live)
        return f"{route.model}: {shown} is live, and the champion is v{champion.number}"

    def _warn(self, error: Exception) -> None:
        steps = error.next_steps if isinstance(error, FairleadError) else ()
        self._on_event(ServerWarning(text=described(error), next_steps=steps))


def _out_of_service(route: Route) -> str:
    """What to say of a model that no revision answers for; empty where one does."""
    reason = out_of_service_reason(route)
    return f"{route.model} is {reason}" if reason else ""


def _nothing_to_serve() -> Invalid:
    promote = {"model": None, "version": None, "why": None}
    return Invalid(
        "there is no model to serve: no version is a champion, and none was deployed",
        code="nothing_to_serve",
        next_steps=(
            NextStep("run", {"spec": None}, "finds and registers one"),
            NextStep("promote", promote, "makes a version the champion"),
        ),
    )
