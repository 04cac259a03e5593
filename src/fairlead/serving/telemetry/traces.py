"""OpenTelemetry spans of requests.

They are made where the environment names an exporter, by OpenTelemetry's own variables, and the
extra `traces` is installed. Otherwise nothing of OpenTelemetry is imported.

The variables are the standard's: its SDK reads most of them itself (resource, sampler, limits,
batches, an exporter's endpoint, headers, timeout and compression). What a program's start-up code
is to read stands here: whether there are spans at all, and which exporters and propagators.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

from fairlead.serving.request import RequestContext

_NAME = "fairlead"  # of the service, where the environment has no other
_NAMELESS = "unknown_service"  # how the SDK's own begins
_FAULT = 500
_LAST = 1.0  # seconds to send the last spans in
_EXPORTERS = "opentelemetry_traces_exporter"  # entry points
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_PACKAGES = {"otlp_proto_grpc": "opentelemetry-exporter-otlp-proto-grpc"}
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOL = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class Traces:
    """Makes a span of each request, as part of the client's trace if it has one.

    Args:
        provider: OpenTelemetry's tracer provider.
        propagator: Finds the client's trace.
        log: Gets that spans could not be sent.
    """

    def __init__(self, provider: Any, propagator: Any, log: logging.Logger) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode

        self._provider = provider
        self._tracer = provider.get_tracer("fairlead.serving")
        self._propagator, self._headers = propagator, _headers()
        self._kind = SpanKind.SERVER
        self._fault = Status(StatusCode.ERROR)
        self._log = log

    def begin(self, request: RequestContext) -> Any:
        """The request's span."""
        kind = request.target.kind if request.target else "unknown"
        return self._tracer.start_span(
            f"{request.method} {kind}",
            context=self._propagator.extract(request.headers, getter=self._headers),
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
        """Send what is not sent yet, within a second: nobody may be there to take it.

        The SDK itself waits for up to 30 s.
        """
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(_LAST)
        if sending.is_alive():
            self._log.warning("the last spans were not taken within %g s", _LAST)


def traces(environ: Mapping[str, str], log: logging.Logger) -> Traces | None:
    """What makes spans; None if none are wanted, or none can be made, which is logged.

    Args:
        environ: Usually os.environ.
        log: Gets why none can be made.
    """
    wanted = _wanted(environ)
    if not wanted:
        return None
    try:
        exporters = [*_exporters(wanted, environ, log)]
        return Traces(_provider(exporters), _propagator(), log) if exporters else None
    except ImportError as error:
        log.warning(
            "no traces: %s; install fairlead[traces], or unset OTEL_TRACES_EXPORTER and "
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            error,
        )
    except ValueError as error:
        log.warning("no traces: a variable OTEL_... is not as it should be: %s", error)
    return None


def _wanted(environ: Mapping[str, str]) -> Sequence[str]:
    """The exporters that are asked for; a variable that is empty counts as one that is not set."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    listed = environ.get("OTEL_TRACES_EXPORTER", "").split(",")
    if names := [name.strip() for name in listed if name.strip()]:
        return () if "none" in names else names
    return ("otlp",) if any(environ.get(name) for name in _ENDPOINTS) else ()


def _exporters(
    names: Sequence[str], environ: Mapping[str, str], log: logging.Logger
) -> Iterator[Any]:
    """Those that are installed; a warning for each of the others."""
    import opentelemetry.sdk  # noqa: F401 - it is not there without the extra

    for name in names:
        protocol = next(filter(None, map(environ.get, _PROTOCOL)), "http/protobuf")
        entry = _PROTOCOLS.get(protocol, protocol) if name == "otlp" else name
        found = [*entry_points(group=_EXPORTERS, name=entry)]
        if entry == "console":
            yield _console()
        elif found:
            yield found[0].load()()
        else:
            log.warning("no traces to %s", _lacking(name, protocol, _PACKAGES.get(entry)))


def _lacking(name: str, protocol: str, package: str | None) -> str:
    if name != "otlp":
        return f"{name!r} of OTEL_TRACES_EXPORTER: no such exporter is installed; set otlp"
    install = f"install {package}, or " if package else ""
    return (
        f"'otlp': OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; {install}set http/protobuf or unset "
        "it"
    )


def _console() -> Any:
    """A span a line: the SDK's own form is JSON over many lines."""
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    return ConsoleSpanExporter(formatter=lambda span: f"{span.to_json(indent=None)}\n")


def _propagator() -> Any:
    """Those of OTEL_PROPAGATORS, which the API reads when it is imported."""
    from opentelemetry.propagate import get_global_textmap

    return get_global_textmap()


def _headers() -> Any:
    """Reads headers as a propagator asks for them."""
    from opentelemetry.propagators.textmap import Getter

    class Headers(Getter[Mapping[bytes, bytes]]):
        def get(self, carrier: Mapping[bytes, bytes], key: str) -> list[str] | None:
            value = carrier.get(key.lower().encode())
            return None if value is None else [value.decode("latin-1")]

        def keys(self, carrier: Mapping[bytes, bytes]) -> list[str]:
            return [name.decode("latin-1") for name in carrier]

    return Headers()


def _provider(exporters: Sequence[Any]) -> Any:
    """Spans go out in batches, from threads of their own."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _resource() -> Any:
    """As OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    found = Resource.create()
    if str(found.attributes[SERVICE_NAME]).startswith(_NAMELESS):
        return found.merge(Resource({SERVICE_NAME: _NAME}))
    return found
