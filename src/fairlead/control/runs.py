"""A run: from a spec to a judged version, and from there to a tested endpoint."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from fairlead.control.deployments import DeployRequest, current_details, deploy, servers
from fairlead.control.endpoints import smoke_test_all
from fairlead.control.events import Notice, NotTested, OnEvent
from fairlead.errors import NextStep
from fairlead.records import Deployment, Study, Version
from fairlead.registry.mlflow import start_mirror
from fairlead.rollout.start import is_live, serve_settings
from fairlead.rollout.wait import wait_until_taken
from fairlead.settings import Settings
from fairlead.spec.document import Serve
from fairlead.spec.load import Loaded
from fairlead.stores import Stores, open_stores
from fairlead.study.outcome import RunOutcome
from fairlead.study.progress import ProgressListener
from fairlead.study.run import RunRequest
from fairlead.study.run import run as run_study
from fairlead.study.stop import StopRequest

_KEPT = "the version is registered; its deployment goes on once a server runs"
_CLAIMED = 3.0
"""Seconds in which a server of this model takes a deployment up: it looks five times a second."""


def run(  # noqa: PLR0913 - what, how, and who follows it
    loaded: Loaded,
    settings: Settings,
    *,
    workers: int | None,
    fresh: bool,
    watch: ProgressListener,
    stop: StopRequest | None = None,
    forkserver: str | None = None,
    deploy: Callable[[RunOutcome], None] | None = None,
) -> RunOutcome:
    """Take a spec from its data to a judged and registered version.

    MLflow's registry follows in the background.

    Args:
        loaded: The spec.
        settings: The installation's.
        workers: Number of local workers; None for as many as the plan is worth.
        fresh: Search again even where this study is finished.
        watch: Called with what happens.
        stop: Looked at while waiting.
        forkserver: The socket of a fork server for the workers, if there is one.
        deploy: Brings what came of it into service, as the run's last stage; None for none.

    Raises:
        Invalid: The spec or the data cannot be used; nothing was written.
        Failed: No trial succeeded, the refit failed, or parity failed.
        Stopped: It was asked to stop; the ledger keeps what is done.
    """

    def mirror_and_deploy(outcome: RunOutcome) -> None:
        assert deploy is not None
        start_mirror(settings)
        deploy(outcome)

    request = RunRequest(
        spec=loaded.spec,
        base=loaded.base,
        workers=workers,
        fresh=fresh,
        forkserver=forkserver,
        deploy=mirror_and_deploy if deploy else None,
    )
    refuse_who_may_not_carry(settings)
    with loaded.located():
        outcome = run_study(request, settings, watch, stop)
    if deploy is None:
        start_mirror(settings)
    return outcome


def refuse_who_may_not_carry(settings: Settings) -> None:
    """Raise Invalid, before anything is written, where a server lets this program carry no run."""
    if settings.is_behind_api:
        with open_stores(settings) as stores:
            stores.ledger.runs.release("", "")  # what carries a run calls; there is none of this id


def named(study: Study, settings: Settings, *, called: str) -> str:
    """What commands know the study by: its name, or its id where that would name another.

    Args:
        study: Which.
        settings: The installation's.
        called: Its name in the spec of the run: a study may be searched under several.
    """
    if called != study.name:
        return study.id
    with open_stores(settings) as stores:
        newest = stores.ledger.studies.get(study.name)
    return study.name if newest.id == study.id else study.id


def serving_options(settings: Settings, version: Version, serve: Serve) -> Sequence[Notice]:
    """How a version is brought into service; nothing where it is, or is not the champion.

    Args:
        settings: The installation's.
        version: That came of a run.
        serve: The serving settings of its spec.
    """
    with open_stores(settings) as stores:
        if not _is_champion(stores, version):
            return []
        stored = serve_settings(stores.ledger, version)
        if serve != stored:
            return [_other_settings(version)]
        route = stores.ledger.routes.current(version.model)
        if route is None:
            return [_offer("", "serve", {"models": version.model}, "serves it")]
        if not route.traffic:
            return [_deploying("the model is out of service", version)]
        live = is_live(stores.ledger, version, stored)
        return [] if live else [_deploying("something else is live", version)]


def deploy_and_test(  # noqa: PLR0913 - what, how, and who follows it
    settings: Settings,
    version: Version,
    serve: Serve,
    *,
    token: str | None,
    stop: StopRequest,
    wait: Callable[[Stores, Deployment], object],
    on_event: OnEvent,
) -> Mapping[str, Any] | None:
    """Deploy the version, if it is the champion, and smoke-test its endpoint.

    A server that runs carries it out; where none does, one is started on a free port for as long
    as it takes.

    Args:
        settings: The installation's.
        version: That came of a run.
        serve: The serving settings of its spec.
        token: Bearer token for the servers that run.
        stop: Heeded at once while waiting.
        wait: Waits until a deployment is done (deployments.py), and shows how it goes.
        on_event: Called with what happens; with warnings before anything is written.

    Returns:
        deploy_details.json of what is live; None where the version is not the champion.

    Raises:
        Failed: It did not stay, or the endpoint does not return the stored predictions.
        Stopped: It was asked to stop.
    """
    request = DeployRequest(model=version.model, version=version.number, serve=serve, joins=True)
    with open_stores(settings) as stores:
        if not _is_champion(stores, version):
            on_event(_not_champion(version))
            return None
        with (
            _served(stores, request, token, on_event) as (deployment, urls, its_token),
            stop.at_once(_KEPT),
        ):
            if deployment is not None:
                wait(stores, deployment)
            for error in smoke_test_all(
                stores, version.model, urls=urls, token=its_token, on_event=on_event
            ):  # the server that carried it out has tested itself
                on_event(NotTested(error=error))
        return current_details(stores, version.model)


def _is_champion(stores: Stores, version: Version) -> bool:
    champion = stores.ledger.versions.champion(version.model)
    return champion is not None and champion.number == version.number


@contextmanager
def _served(
    stores: Stores, request: DeployRequest, token: str | None, on_event: OnEvent
) -> Iterator[tuple[Deployment | None, Sequence[str], str | None]]:
    """The deployment, the addresses at which it is carried out, and a token for them."""
    deployment = deploy(stores, request, on_event=on_event)
    urls = _carried_out_at(stores, request.model, deployment)
    if urls:
        yield deployment, urls, token
        return
    if deployment is not None and len(deployment.steps) > 1:
        # Without a server that runs, there is no traffic to judge it by.
        deployment = deploy(stores, replace(request, steps=(100,)), on_event=_ignore)
    with _own_server(stores, request.model, on_event) as (url, own):
        yield deployment, [url], own


def _carried_out_at(stores: Stores, model: str, deployment: Deployment | None) -> Sequence[str]:
    """Of the servers that run, those that are there for this model."""
    if deployment is None:
        return [server.url for server in servers(stores, model)]
    alive = stores.ledger.servers.alive()
    if not (alive and wait_until_taken(stores.ledger, deployment, timeout=_CLAIMED)):
        return []
    by = stores.ledger.deployments.get(model, deployment.number).server
    return [server.url for server in alive if server.id == by or model in server.routes]


@contextmanager
def _own_server(stores: Stores, model: str, on_event: OnEvent) -> Iterator[tuple[str, str]]:
    """A server for the test, which accepts no other token than its own."""
    from fairlead.server.ephemeral_server import ephemeral_server
    from fairlead.server.supervisor import ServeOptions
    from fairlead.serving.http.guard import hashed
    from fairlead.serving.settings import Logging

    token = secrets.token_urlsafe()
    options = ServeOptions(
        models=(model,),
        port=0,
        processes=1,
        tokens=(hashed(token),),
        logging=Logging(level="warning"),
    )
    on_event(Notice(text="no server runs for this model: starting one for the test"))
    with ephemeral_server(stores, options) as url:
        yield url, token
    on_event(_offer("the server of the test has stopped", "serve", {"models": model}, "serves it"))


def _ignore(_: object) -> None:
    """The same deployment was reported before."""


def _other_settings(version: Version) -> Notice:
    said = f"the section `serve` differs from the one that v{version.number} was found with"
    return _offer(said, "run", {"spec": None, "deploy": True}, "deploys it with the new one")


def _deploying(case: str, version: Version) -> Notice:
    return _offer(case, "deploy", {"model": version.model}, "deploys this version")


def _not_champion(version: Version) -> Notice:
    promote = NextStep(
        action="promote",
        arguments={"model": version.model, "version": version.number, "why": None},
        effect="makes it the champion",
    )
    deploy_it = NextStep(
        action="deploy",
        arguments={"model": version.model, "version": version.number},
        effect="deploys it all the same",
    )
    text = f"not deployed: v{version.number} is not the champion"
    return Notice(text=text, next_steps=(promote, deploy_it))


def _offer(text: str, action: str, arguments: Mapping[str, Any], effect: str) -> Notice:
    return Notice(
        text=text, next_steps=(NextStep(action=action, arguments=arguments, effect=effect),)
    )
