"""OpenTelemetry spans of requests.

They are made where the environment names an exporter, by OpenTelemetry's own variables, and the
extra `traces` is installed. Otherwise nothing of OpenTelemetry is imported.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fairlead.serving.request import RequestContext

_OFF = {"", "none"}
_FAULT = 500


class Traces:
    """Makes a span of each request, as part of the client's trace if it has one.

    Args:
        provider: OpenTelemetry's tracer provider.
    """

    def __init__(self, provider: Any) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("fairlead.serving")
        self._propagator = TraceContextTextMapPropagator()
        self._kind = SpanKind.SERVER
        self._fault = Status(StatusCode.ERROR)

    def begin(self, request: RequestContext) -> Any:
        """The request's span."""
        carrier = {
            name: request.headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in request.headers
        }
        kind = request.target.kind if request.target else "unknown"
        return self._tracer.start_span(
            f"{request.method} {kind}",
            context=self._propagator.extract(carrier) if carrier else None,
            kind=self._kind,
            attributes={
                "http.request.method": request.method,
                "url.path": request.path.decode("latin-1"),
                "fairlead.request": request.id.decode(),
            },
        )

    def end(self, request: RequestContext, status: int | None) -> None:
        """It is answered, with this status; None if the client did not wait."""
        span = request.span
        span.set_attributes(
            {
                "fairlead.model": request.model,
                "fairlead.revision": request.revision,
                "fairlead.rows": request.rows,
            }
        )
        if status is not None:
            span.set_attribute("http.response.status_code", status)
            if status >= _FAULT:
                span.set_status(self._fault)
        span.end()

    def close(self) -> None:
        """Send what is not sent yet."""
        self._provider.shutdown()


def traces(environ: Mapping[str, str], log: logging.Logger) -> Traces | None:
    """What makes spans; None if none are wanted, or none can be made, which is logged.

    Args:
        environ: Usually os.environ.
        log: Gets why none can be made.
    """
    if not _wanted(environ):
        return None
    try:
        return Traces(_provider())
    except ImportError as error:
        log.warning(
            "no traces: %s; install fairlead[traces], or unset OTEL_TRACES_EXPORTER and "
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            error,
        )
    return None


def _wanted(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER")
    if exporter is not None:
        return exporter not in _OFF
    named = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(environ.get(name) for name in named)


def _provider() -> Any:
    """Spans go out in batches, from a thread of their own, as OTLP over HTTP."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": "fairlead"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
