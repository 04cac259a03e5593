"""The routes that predict, in both protocols: from a model's name to its response.

The steps of one request: route it to a revision, read its body, parse it, predict, count, render.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fairlead.errors import Invalid
from fairlead.serving.engine.drift import bins
from fairlead.serving.engine.engine import Engine
from fairlead.serving.engine.loaded_revision import LoadedRevision
from fairlead.serving.http.body import Bodies, Receive
from fairlead.serving.http.response import BINARY, JSON, Answer
from fairlead.serving.plan import Held
from fairlead.serving.protocol.infer import parse_infer, render_infer
from fairlead.serving.protocol.rows import parse_rows, render_rows
from fairlead.serving.request import RequestContext, Target
from fairlead.serving.routing import chosen, known, pin
from fairlead.serving.settings import Limits
from fairlead.serving.telemetry.counters import Counters, Metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

_JSON_LENGTH = b"inference-header-content-length"


class Predicting:
    """Answers requests for predictions.

    Args:
        engine: What predicts.
        bodies: What reads them.
        metrics: What counts the predictions.
        limits: Of this process.
    """

    def __init__(self, engine: Engine, bodies: Bodies, metrics: Metrics, limits: Limits) -> None:
        self._engine = engine
        self._bodies = bodies
        self._metrics = metrics
        self._limits = limits

    async def answer(self, request: RequestContext, target: Target, receive: Receive) -> Answer:
        """Predict what the request asks for.

        Raises:
            FairleadError: There is no such model or revision, the request is wrong or too large,
                or the model cannot answer now, or at all.
            Gone: The client left.
        """
        live = known(self._engine.table, target.model)
        request.model = target.model
        wanted = pin(target.version, request.headers)
        request.pinned = bool(wanted)
        request.revision = chosen(live, wanted, request.headers)
        served = live.served(request.revision)
        counted = self._metrics.of(request.model, request.revision)
        counted.in_flight += 1
        try:
            return await self._read(request, target, served, receive)
        finally:
            counted.in_flight -= 1

    async def _read(
        self, request: RequestContext, target: Target, served: LoadedRevision, receive: Receive
    ) -> Answer:
        body = await self._bodies.read(receive, request.headers)
        request.read = True
        try:
            if target.kind == "infer":
                return await self._infer(request, served, body)
            return await self._predict(request, served, body)
        finally:
            self._bodies.release(body)

    async def _infer(self, request: RequestContext, served: LoadedRevision, body: bytes) -> Answer:
        """The Open Inference Protocol, with or without its binary extension."""
        held = served.held
        infer = parse_infer(
            body,
            _json_length(request.headers.get(_JSON_LENGTH)),
            held.signature,
            missing=held.facts.missing,
            most_rows=self._limits.rows,
        )
        predicted = await self._predicted(request, served, infer.inputs, infer.rows)
        content, json_length = render_infer(
            infer,
            predicted,
            model=held.model,
            version=str(held.version),
            revision=held.revision,
            signature=held.signature,
        )
        return Answer(headers=_headers(json_length), body=content)

    async def _predict(
        self, request: RequestContext, served: LoadedRevision, body: bytes
    ) -> Answer:
        """Rows as people write them."""
        held = served.held
        rows = parse_rows(
            body, held.signature, missing=held.facts.missing, most_rows=self._limits.rows
        )
        predicted = await self._predicted(request, served, rows.inputs, rows.rows)
        content = render_rows(
            rows,
            predicted,
            model=held.model,
            version=held.version,
            revision=held.revision,
            signature=held.signature,
        )
        return Answer(body=content)

    async def _predicted(
        self,
        request: RequestContext,
        served: LoadedRevision,
        inputs: dict[str, NDArray[Any]],
        rows: int,
    ) -> NDArray[Any]:
        request.rows = rows
        predicted = await served.predict(inputs, rows)
        counted = self._metrics.of(request.model, request.revision)
        _count(counted, served.held, predicted)
        if request.pinned:
            _count(counted.pinned, served.held, predicted)
        return predicted


def _count(tally: Counters, held: Held, predicted: NDArray[Any]) -> None:
    """A sum that is no number is left out: it would stay one for good."""
    if not len(predicted):
        return
    total = None
    if held.signature.classes is None:
        added = float(predicted[0]) if len(predicted) == 1 else float(predicted.sum())
        total = added if math.isfinite(added) else None
    tally.predicted(bins(predicted, held.edges), total, len(predicted))


def _json_length(header: bytes | None) -> int | None:
    """Bytes of the JSON before the binary tensors; None if all of the body is JSON.

    Raises:
        Invalid: The header is no number.
    """
    if header is None:
        return None
    if not header.isdigit() or len(header) > len("18446744073709551615"):
        shown = header[:40].decode("latin-1")
        raise Invalid(f"Inference-Header-Content-Length must be a number of bytes, not {shown!r}")
    return int(header)


def _headers(json_length: int | None) -> tuple[tuple[bytes, bytes], ...]:
    if json_length is None:
        return (JSON,)
    return (BINARY, (_JSON_LENGTH, b"%d" % json_length))
