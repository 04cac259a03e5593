"""A snapshot of what the ledger says of each model that this server serves.

`SnapshotReader` reads it, several times a second, at a cost that does not grow with the history;
reading also takes deployments that no server carries out, and extends the lease of those that this
one does. Deployments that other servers carry out are read, too: whatever they may route or go back
to is held here by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fairlead.errors import Transient
from fairlead.ledger.interface import Ledger
from fairlead.records import Deployment, Revision, Route


@dataclass(frozen=True, kw_only=True)
class ModelSnapshot:
    """What the ledger says of one model.

    Args:
        model: Its name.
        route: In force; None before the first.
        deployment: That runs, whichever server carries it out.
        is_held: Whether this one does.
        base: The route that the deployment began from.
        revisions: By name; none that is retired.
        paused: Whether the deployment waits until the ledger can be written to.
    """

    model: str
    route: Route | None = None
    deployment: Deployment | None = None
    is_held: bool = False
    base: Route | None = None
    revisions: Mapping[str, Revision] = field(default_factory=dict)
    paused: bool = False

    @property
    def routed(self) -> frozenset[str]:
        """Revisions that have traffic."""
        return frozenset(self.route.traffic if self.route else ())

    @property
    def before(self) -> Mapping[str, int]:
        """The traffic before the deployment."""
        return self.base.traffic if self.base else {}

    @property
    def candidate(self) -> Revision | None:
        """The revision that the deployment brings in."""
        return self.revisions.get(self.deployment.revision) if self.deployment else None

    @property
    def is_at_step(self) -> bool:
        """Whether the route is that of a step of the deployment at which it is judged."""
        if self.deployment is None or self.route is None:
            return False
        of_it = self.route.kind == "deploy" and self.route.deployment == self.deployment.number
        return of_it and self.deployment.is_judged

    @property
    def wanted(self) -> frozenset[str]:
        """Revisions that have traffic or may soon have it: by a deployment, or by its rollback."""
        if self.deployment is None:
            return self.routed
        return self.routed | {*self.before, self.deployment.revision}


class SnapshotReader:
    """Reads snapshots of the ledger.

    Args:
        ledger: To read.
        server: Id of this server, which takes deployments that no server carries out.
        models: Those to read; None for all.
        lease: Seconds for which deployments are taken.
    """

    def __init__(
        self, ledger: Ledger, *, server: str, models: tuple[str, ...] | None, lease: float
    ) -> None:
        self._ledger = ledger
        self._server, self._models, self._lease = server, models, lease
        self._bases: dict[tuple[str, int], Route] = {}  # routes never change
        self._paused = False

    def read(self) -> Sequence[ModelSnapshot]:
        """The snapshots of this moment, by model.

        Deployments are read first and revisions last: what a route or a deployment names existed
        before it did. A ledger that cannot be written to is read all the same: no deployment is
        taken then, and those that were are paused.
        """
        deployments = {one.model: one for one in self._running()}
        routes = {
            one.model: one for one in self._ledger.routes.in_force() if self._serves(one.model)
        }
        revisions = self._ledger.routes.revisions(retired=False)
        return [
            self._snapshot(model, routes.get(model), deployments.get(model), revisions)
            for model in sorted({*routes, *deployments})
        ]

    def _running(self) -> Sequence[Deployment]:
        """The deployments that run; those that this server carries out as they are after taking."""
        ledger = self._ledger.deployments
        running = [one for one in ledger.running() if self._serves(one.model)]
        if not running:
            return []
        try:
            held = ledger.take(self._server, lease=self._lease, models=self._models)
            self._paused = False
        except Transient:
            self._paused = True
            return running
        return [*(one for one in running if one.server != self._server), *held]

    def _snapshot(
        self,
        model: str,
        route: Route | None,
        deployment: Deployment | None,
        revisions: Sequence[Revision],
    ) -> ModelSnapshot:
        base = deployment.base if deployment else None
        return ModelSnapshot(
            model=model,
            route=route,
            deployment=deployment,
            is_held=deployment is not None and deployment.server == self._server,
            base=self._base(model, base) if base is not None else None,
            revisions={one.name: one for one in revisions if one.model == model},
            paused=self._paused,
        )

    def _base(self, model: str, number: int) -> Route:
        if (model, number) not in self._bases:
            self._bases[model, number] = self._ledger.routes.get(model, number)
        return self._bases[model, number]

    def _serves(self, model: str) -> bool:
        return self._models is None or model in self._models
