"""Spans, taken in by a receiver that speaks OTLP over HTTP."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.integration.serving.rig import Trained, rows_of, started

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
PREDICT = "/models/houses:predict"


class Receiver(ThreadingHTTPServer):
    """Keeps the spans that it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.spans: list[Span] = []
        self.resources: list[Mapping[str, object]] = []
        self.paths: list[str] = []
        self.headers: list[Mapping[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        sent = ExportTraceServiceRequest.FromString(body)
        self.server.paths.append(self.path)
        self.server.headers.append(dict(self.headers))
        for resource in sent.resource_spans:
            self.server.resources.append(values(resource.resource.attributes))
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


def attributes(span: Span) -> dict[str, object]:
    return values(span.attributes)


def values(pairs: Any) -> dict[str, object]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in pairs}


def asked_once(trained: Trained, headers: Mapping[str, str] | None = None, **environ: str) -> str:
    """What a process logs that answers one request with these variables set."""
    with started(trained, **environ) as process:
        process.plan(trained.held("houses"))
        process.followed()
        assert process.ask("GET", "/v2", headers=headers).status == 200
        assert process.drain() == 0
        return process.errors()


def test_a_request_is_a_span_of_the_clients_trace(trained: Trained, receiver: Receiver) -> None:
    body = rows_of(trained.golden("houses")[0][:3])
    with started(trained, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url) as process:
        process.plan(trained.held("houses"))
        process.followed()
        given = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert process.ask("POST", PREDICT, body, given).status == 200
        assert process.ask("GET", "/nothing").status == 404
        assert process.drain() == 0
    predicted, missed = receiver.spans
    assert (predicted.trace_id.hex(), predicted.parent_span_id.hex()) == (TRACE, PARENT)
    assert predicted.kind == Span.SPAN_KIND_SERVER
    found = attributes(predicted)
    assert (found["fairlead.model"], found["fairlead.revision"]) == ("houses", "v1")
    assert (found["fairlead.rows"], found["http.response.status_code"]) == (3, 200)
    assert attributes(missed)["http.response.status_code"] == 404
    assert missed.trace_id.hex() != TRACE


@pytest.mark.parametrize("odd", ["", "00-1-2-3", "\xff", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_trace_that_makes_no_sense_costs_no_request(
    trained: Trained, receiver: Receiver, odd: str
) -> None:
    with started(trained, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url) as process:
        process.plan(trained.held("houses"))
        process.followed()
        assert process.ask("GET", "/v2", headers={"traceparent": odd}).status == 200
        assert process.drain() == 0
    assert len(receiver.spans) == 1


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {"service.name": "fairlead"}),
        ({"OTEL_SERVICE_NAME": "prices"}, {"service.name": "prices"}),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=houses,deployment.environment=test%20one"},
            {"service.name": "houses", "deployment.environment": "test one"},
        ),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=houses", "OTEL_SERVICE_NAME": "prices"},
            {"service.name": "prices"},
        ),
    ],
)
def test_the_service_is_named_as_the_environment_names_it(
    trained: Trained, receiver: Receiver, environ: Mapping[str, str], expected: Mapping[str, str]
) -> None:
    asked_once(trained, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **environ)
    (resource,) = receiver.resources
    assert {name: resource[name] for name in expected} == expected


def test_the_exporter_is_the_environments(trained: Trained, receiver: Receiver) -> None:
    asked_once(
        trained,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{receiver.url}/here",
        OTEL_EXPORTER_OTLP_HEADERS="x-key=one%20key",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf",
        OTEL_TRACES_EXPORTER="",  # as if it was not set
    )
    assert (receiver.paths, len(receiver.spans)) == (["/here"], 1)
    (headers,) = receiver.headers
    assert headers["x-key"] == "one key"
    assert headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_SDK_DISABLED": "TRUE"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_SAMPLER": "always_off"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
    ],
)
def test_what_turns_spans_off_does(
    trained: Trained, receiver: Receiver, environ: Mapping[str, str]
) -> None:
    said = asked_once(trained, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **environ)
    assert (receiver.spans, said) == ([], "")


@pytest.mark.parametrize(
    ("environ", "within"),
    [({}, True), ({"OTEL_PROPAGATORS": "baggage"}, False), ({"OTEL_PROPAGATORS": "none"}, False)],
)
def test_the_clients_trace_is_found_as_the_environment_says(
    trained: Trained, receiver: Receiver, environ: Mapping[str, str], *, within: bool
) -> None:
    given = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    asked_once(trained, given, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **environ)
    (span,) = receiver.spans
    assert (span.trace_id.hex() == TRACE) is within


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "'zipkin' of OTEL_TRACES_EXPORTER"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "install opentelemetry-exporter-otlp-proto-grpc, or set http/protobuf",
        ),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"}, "'smoke'"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many"},
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        ),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_PROPAGATORS": "pigeon"}, "pigeon"),
    ],
)
def test_a_variable_that_cannot_be_followed_is_one_warning(
    trained: Trained, environ: Mapping[str, str], said: str
) -> None:
    (line,) = asked_once(trained, **environ).splitlines()
    document = json.loads(line)
    assert document["level"] == "warning"
    assert said in document["message"]


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """The address of who takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    yield "http://127.0.0.1:9"


@pytest.mark.parametrize("collector", [silent, nobody])
def test_a_process_ends_in_time_whether_its_spans_are_taken_or_not(
    trained: Trained, collector: Any
) -> None:
    with collector() as url, started(trained, OTEL_EXPORTER_OTLP_ENDPOINT=url) as process:
        process.plan(trained.held("houses"))
        process.followed()
        assert process.ask("GET", "/v2").status == 200
        began = time.monotonic()
        assert process.drain() == 0
        assert time.monotonic() - began < 2.5
        assert process.lines()[-1]["message"].startswith("the last spans were not taken within")


def test_a_receiver_that_is_away_costs_no_request(trained: Trained) -> None:
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with started(trained, **away) as process:
        process.plan(trained.held("houses"))
        process.followed()
        assert process.ask("GET", "/v2").status == 200
        assert process.drain() == 0


def test_without_the_package_there_is_one_line_and_no_trace(
    trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A package of its name that cannot be imported stands before the real one."""
    hiding = tmp_path_factory.mktemp("hiding")
    (hiding / "opentelemetry").mkdir()
    (hiding / "opentelemetry" / "__init__.py").write_text("raise ImportError('it is not there')")
    with started(trained, OTEL_TRACES_EXPORTER="otlp", PYTHONPATH=str(hiding)) as process:
        process.plan(trained.held("houses"))
        process.followed()
        assert process.ask("GET", "/v2").status == 200
        assert process.drain() == 0
        (line,) = process.lines()
    assert line["level"] == "warning"
    assert "fairlead[traces]" in line["message"]
