"""The ASGI application without a server: whatever speaks ASGI drives it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from fairlead.serving.engine.engine import Engine
from fairlead.serving.http.app import App, Send
from fairlead.serving.http.body import Bodies, Receive
from fairlead.serving.http.guard import Guard
from fairlead.serving.http.pages import Pages, Readiness
from fairlead.serving.http.predicting import Predicting
from fairlead.serving.plan import Plan, Split
from fairlead.serving.settings import Limits
from fairlead.serving.telemetry.counters import Metrics
from fairlead.serving.telemetry.request_observer import RequestObserver
from tests.integration.serving.rig import Trained, confirmed_of

PREDICT = "/models/houses:predict"
EXCLUDED = [positive_data_acceptance, negative_data_rejection]  # as in test_http_schema.py


class Driven:
    """The application, which loads its models on whatever event loop it is first asked on."""

    def __init__(self, trained: Trained, limits: Limits) -> None:
        self.statuses: list[int] = []
        self._trained, self._limits = trained, limits
        self._app: App | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(scope["type"])
        self._app = self._app or await self._made()

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            await send(message)

        await self._app(scope, receive, noted)

    async def _made(self) -> App:
        held = [self._trained.held(model) for model in self._trained.candidates]
        splits = [Split(model=one.model, route=1, traffic={one.revision: 100}) for one in held]
        engine = Engine(self._trained.artifacts)
        confirmed = confirmed_of(held, splits)
        plan = Plan(serial=1, held=tuple(held), splits=tuple(splits), confirmed=confirmed)
        await engine.apply(plan)
        metrics = Metrics()
        bodies = Bodies(self._limits)

        async def figures() -> bytes:
            return b""

        log = logging.getLogger(__name__)
        return App(
            guard=Guard((), "testserver"),
            pages=Pages(engine, Readiness(lacking=""), figures),
            predicting=Predicting(engine, bodies, metrics, self._limits),
            observer=RequestObserver(metrics, None, log, everything=False),
            limits=self._limits,
        )


@pytest.fixture
def app(trained: Trained) -> Driven:
    return Driven(trained, Limits(body=1 << 20))


def test_httpx_asks_it_without_a_server(app: Driven, trained: Trained) -> None:
    import httpx2

    rows, predictions = trained.golden("houses")
    too_large = b"a" * ((1 << 20) + 1)

    async def asked() -> list[httpx2.Response]:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return [
                await client.post(PREDICT, json={"rows": rows[:3]}),
                await client.get("/v2", headers={"X-Request-Id": "mine"}),
                await client.head("/v2"),
                await client.post(PREDICT, content=too_large),
                await client.get("/nothing"),
            ]

    predicted, metadata, head, refused, missing = asyncio.run(asked())
    assert predicted.json()["predictions"] == pytest.approx(predictions[:3])
    assert predicted.headers["fairlead-revision"] == "v1"
    assert int(predicted.headers["content-length"]) == len(predicted.content)
    assert (metadata.json()["name"], metadata.headers["x-request-id"]) == ("fairlead", "mine")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == metadata.headers["content-length"]
    assert (refused.status_code, refused.headers["connection"]) == (413, "close")
    assert (missing.status_code, set(missing.json())) == (404, {"error"})


def test_the_test_client_of_starlette_asks_it(app: Driven, trained: Trained) -> None:
    from starlette.testclient import TestClient

    rows, _ = trained.golden("kinds")
    with pytest.raises(ValueError, match="lifespan"), TestClient(app):
        pass
    client = TestClient(app)
    predicted = client.post("/models/kinds:predict", json={"rows": rows[:1]})
    assert predicted.json()["predictions"][0] in {"far", "heavy", "light"}
    assert predicted.headers["fairlead-revision"] == "v1"
    assert client.get("/v2/health/ready").status_code == 200
    assert client.post("/v2", json={}).status_code == 405


def test_every_operation_answers_in_process_as_its_document_says(app: Driven) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    for found in schema.get_all_operations():
        operation = found.ok()
        _check_every_answer(operation)


def _check_every_answer(operation: Any) -> None:
    @settings(max_examples=5, deadline=None, derandomize=True, database=None)
    @given(case=operation.as_strategy())
    def check(case: Any) -> None:
        case.call_and_validate(excluded_checks=EXCLUDED)

    check()
