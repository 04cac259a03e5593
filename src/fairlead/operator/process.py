"""The program of an operator: what it is made of, and its start."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from fairlead.errors import Invalid
from fairlead.kube.client import Cluster
from fairlead.kube.install.installation import SERVING_PORT
from fairlead.kube.place import KubernetesPlace, PodPlace, PodSettings
from fairlead.kube.pods import ARTIFACTS
from fairlead.ledger.store import open_ledger
from fairlead.operator.activity import ActivityWatch
from fairlead.operator.endpoint_reconciler import EndpointReconciler
from fairlead.operator.gateway_watch import GatewayWatch
from fairlead.operator.handlers import Operator, run
from fairlead.operator.reconciler import StudyReconciler
from fairlead.operator.release import release_where_all_goes
from fairlead.operator.replicas import GATEWAY
from fairlead.operator.scaling import StudyScalers
from fairlead.runners.kubernetes import KubernetesRunner
from fairlead.runners.runner import WorkerGroup
from fairlead.settings import Settings
from fairlead.stores import Stores, open_artifacts

_PATIENCE = 5.0
"""Seconds that a step waits for the ledger; it is tried again."""


@dataclass(frozen=True, kw_only=True)
class OperatorRequest:
    """What an operator is to keep, and with what.

    Args:
        namespace: That it works in; None for that of the kubeconfig or the pod.
        image: Of the pods that it makes.
        settings: Name of the ConfigMap and of the Secret of the settings there.
        claim: Name of the volume claim of the artefacts, where they are on one.
        service_account: Of the pods that it makes; they have no token of it.
        trainer_account: Of workers whose fits start pods, with its token; None where none may.
        workers: Whether it starts those of Studies.
        health: Port that tells whether it is alive; None for none.
        token: By which replicas of Endpoints show their metrics.
    """

    namespace: str | None
    image: str
    settings: str
    claim: str
    service_account: str | None
    health: int | None
    workers: bool = True
    token: str = ""
    trainer_account: str | None = None


def operate(request: OperatorRequest, settings: Settings) -> None:
    """Keep Studies until asked to stop; their workers go on without it.

    Raises:
        Invalid: It cannot work with these settings.
        Unreachable: The ledger does not answer.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s  %(name)s: %(message)s"
    )
    for chatty in ("aiohttp.access", "httpx2", "kopf.objects"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("kopf.objects").addFilter(_is_news)
    if settings.is_behind_api or settings.ledger_url.startswith("sqlite:"):
        raise Invalid(
            f"the operator needs a ledger on PostgreSQL, not {settings.ledger_setting}",
            code="ledger_not_shared",
        )
    pods = _pods(request, settings)
    with (
        Cluster(namespace=request.namespace) as cluster,
        open_ledger(
            settings.ledger_url, patience=_PATIENCE, setting=settings.ledger_setting
        ) as ledger,
    ):
        stores = Stores(ledger=ledger, artifacts=open_artifacts(settings))
        place = KubernetesPlace(
            pods=pods, namespace=cluster.namespace, trainer=request.trainer_account
        )
        scalers = StudyScalers(
            ledger=ledger,
            runner=lambda: KubernetesRunner(place),
            lease=settings.lease,
            scales=request.workers,
        )
        studies = StudyReconciler(
            cluster=cluster,
            ledger=ledger,
            scalers=scalers,
            runner=lambda: KubernetesRunner(place),
            place=pods,
            settings=request.settings,
            group=_group(settings),
        )
        gateway = f"http://{GATEWAY}.{cluster.namespace}.svc:{SERVING_PORT}"
        endpoints = EndpointReconciler(
            cluster=cluster,
            stores=stores,
            place=pods,
            settings=PodSettings(
                name=request.settings, fingerprint=fingerprint(settings, key=request.token)
            ),
            watch=ActivityWatch(gateway=gateway, token=request.token),
        )
        operator = Operator(
            studies=studies,
            endpoints=endpoints,
            gateway=GatewayWatch(gateway=gateway),
            namespace=cluster.namespace,
        )
        try:
            run(operator, health=request.health)
        finally:
            release_where_all_goes(cluster)
            scalers.let_go()


def fingerprint(settings: Settings, *, key: str) -> str:
    """Of the settings that replicas of Endpoints have as well: where it changes, they start again.

    Args:
        settings: The operator's own.
        key: A secret, so that nobody finds out a password by it; replicas get it, too.
    """
    text = json.dumps([settings.ledger_url, settings.artifacts_url, settings.queue, settings.lease])
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:16]


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of kopf's says what the operator does not: each try that fails is one."""
    return "failed temporarily" not in record.getMessage()


def _pods(request: OperatorRequest, settings: Settings) -> PodPlace:
    folder = settings.artifacts_url.removeprefix("file://")
    on_claim = PurePath(folder).is_relative_to(ARTIFACTS)
    return PodPlace(
        image=request.image,
        service_account=request.service_account,
        claim=request.claim if on_claim else None,
    )


def _group(settings: Settings) -> WorkerGroup:
    """Workers as all Studies have them: where the stores are."""
    return WorkerGroup(
        key="none",
        study=None,
        ledger=settings.ledger_url,
        artifacts=settings.artifacts_url,
        environ=_environ(settings),
    )


def _environ(settings: Settings) -> Mapping[str, str]:
    queue = {"FAIRLEAD_QUEUE": settings.queue} if settings.queue else {}
    return {"FAIRLEAD_LEASE": f"{settings.lease:g}", **queue}
