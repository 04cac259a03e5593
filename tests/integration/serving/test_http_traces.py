"""Spans, taken in by a receiver that speaks OTLP over HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
        for resource in sent.resource_spans:
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
    return {
        one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes
    }


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
