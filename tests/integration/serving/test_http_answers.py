"""What is answered over HTTP, route by route."""

from __future__ import annotations

import json
import re
import struct
from typing import Any

import numpy as np
import pytest

from fairlead.serving.plan import Missing, Plan, Split
from tests.integration.serving.rig import Process, Trained, rows_of, started


def exactly(values: list[float]) -> list[float]:
    """As the model gives them: a float32 is written so that it reads as the same float32."""
    return np.array(values, dtype=np.float32).tolist()  # type: ignore[no-any-return]


def test_rows_are_predicted_as_the_exported_model_predicts_them(
    process: Process, trained: Trained
) -> None:
    rows, expected = trained.golden("houses")
    reply = process.ask("POST", "/models/houses:predict", rows_of(rows))
    assert reply.status == 200
    assert exactly(reply.json["predictions"]) == expected
    assert reply.json["model"] == "houses"
    assert reply.headers["fairlead-revision"] == "v1"


def test_classes_come_with_their_probabilities(process: Process, trained: Trained) -> None:
    rows, expected = trained.golden("kinds")
    classes = trained.candidates["kinds"].signature.classes
    reply = process.ask("POST", "/models/kinds:predict", rows_of(rows)).json
    found = [[one[str(name)] for name in classes or ()] for one in reply["probabilities"]]
    assert [exactly(one) for one in found] == expected


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/houses/infer",
        "/v2/models/houses/versions/1/infer",
        "/v2/models/houses/versions/v1/infer",
        "/v2/models/h%6fuses/infer",
        "/v2/models/houses/infer/",
    ],
)
def test_a_tensor_is_predicted_over_each_path(
    process: Process, trained: Trained, path: str
) -> None:
    expected = trained.golden("houses")[1]
    numbers = trained.numbers("houses")[:3]
    asked = {"name": "numbers", "shape": [3, 13], "datatype": "FP32", "data": numbers}
    reply = process.ask("POST", path, {"id": "seven", "inputs": [asked]})
    assert reply.status == 200, reply.body
    assert reply.json["id"] == "seven"
    assert exactly(reply.json["outputs"][0]["data"]) == expected[:3]


@pytest.mark.parametrize("path", ["/models/houses:predict", "/v2/models/houses/infer"])
def test_a_query_string_is_refused_and_told_what_pins_a_version(
    process: Process, trained: Trained, path: str
) -> None:
    rows, _ = trained.golden("houses")
    reply = process.ask("POST", f"{path}?version=2", rows_of(rows))
    assert reply.status == 400
    assert "'version=2'" in reply.error
    assert "Fairlead-Revision" in reply.error


def test_binary_tensors_go_both_ways(process: Process, trained: Trained) -> None:
    expected = trained.golden("houses")[1]
    content = struct.pack("<13f", *trained.numbers("houses")[0])
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "numbers",
                    "shape": [1, 13],
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": len(content)},
                }
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    reply = process.ask(
        "POST",
        "/v2/models/houses/infer",
        head + content,
        {"Inference-Header-Content-Length": str(len(head))},
    )
    behind = reply.body[int(reply.headers["inference-header-content-length"]) :]
    assert list(struct.unpack("<f", behind)) == expected[:1]
    assert reply.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("length", ["-1", "x", "99999999999999999999999", "1000000"])
def test_a_wrong_length_of_the_json_part_is_refused(process: Process, length: str) -> None:
    reply = process.ask(
        "POST", "/v2/models/houses/infer", b"{}", {"Inference-Header-Content-Length": length}
    )
    assert reply.status == 400
    assert reply.error


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v2", {"name": "fairlead"}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/livez", {"live": True}),
        ("/readyz", {"ready": True}),
        ("/v2/models/houses", {"name": "houses", "versions": ["1"]}),
        ("/v2/models/houses/versions/1", {"name": "houses"}),
        ("/v2/models/houses/ready", {"name": "houses", "ready": True}),
        ("/v2/models/houses/versions/1/ready", {"ready": True}),
        ("/", {"name": "fairlead", "docs": "/docs"}),
        ("/openapi.json", {}),
    ],
)
def test_a_page_tells_what_it_should(process: Process, path: str, found: dict[str, Any]) -> None:
    reply = process.ask("GET", path)
    assert reply.status == 200
    assert reply.json.items() >= found.items()


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/v2/models",
        "/v2/models/nobody",
        "/v2/models/houses/versions/9",
        "/v2/models/houses/versions/9/ready",
        "/v2/models/houses/versions",
        "/models/houses",
        "/models/houses:undo",
        "/v2/models/..%2f..%2fetc%2fpasswd",
        "/../../etc/passwd",
        "/v2/models/%00",
        "/v2/models/%ff%fe",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//v2",
        "/v2/models/" + "a" * 5_000,
    ],
)
def test_what_is_not_there_is_not_found(process: Process, path: str) -> None:
    reply = process.ask("GET", path)
    assert reply.status == 404
    assert len(reply.error) < 400


@pytest.mark.parametrize("path", ["/v2/models/nobody/infer", "/models/nobody:predict"])
def test_a_model_that_is_not_served_is_not_found_and_what_is_served_is_told(
    process: Process, path: str
) -> None:
    reply = process.ask("POST", path, b"{}")
    assert reply.status == 404
    assert "houses, kinds" in reply.error


@pytest.mark.parametrize("headers", [{"Fairlead-Revision": "v9"}, {"Fairlead-Revision": "9"}])
def test_a_revision_that_is_not_held_is_not_found_and_what_is_held_is_told(
    process: Process, headers: dict[str, str]
) -> None:
    reply = process.ask("POST", "/models/houses:predict", b"{}", headers)
    assert reply.status == 404
    assert "v1 (version 1)" in reply.error


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/models/houses:predict", "POST, OPTIONS"),
        ("PUT", "/v2/models/houses/infer", "POST, OPTIONS"),
        ("POST", "/v2", "GET, HEAD, OPTIONS"),
        ("DELETE", "/v2/models/houses", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    process: Process, method: str, path: str, allowed: str
) -> None:
    reply = process.ask(method, path)
    assert (reply.status, reply.headers["allow"]) == (405, allowed)
    assert reply.error


def test_options_tell_the_methods_and_a_head_has_no_body(process: Process) -> None:
    asked = process.ask("OPTIONS", "/v2/models/houses/infer")
    assert (asked.status, asked.headers["allow"], asked.body) == (204, "POST, OPTIONS", b"")
    assert "content-length" not in asked.headers
    whole, head = process.ask("GET", "/v2"), process.ask("HEAD", "/v2")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]


def test_a_request_keeps_its_id_and_one_without_gets_one(process: Process) -> None:
    assert (
        process.ask("GET", "/v2", headers={"X-Request-Id": "a-1"}).headers["x-request-id"] == "a-1"
    )
    made = [process.ask("GET", "/v2").headers["x-request-id"] for _ in range(2)]
    assert len(set(made)) == 2
    odd = process.ask("GET", "/v2", headers={"X-Request-Id": "x" * 200}).headers["x-request-id"]
    assert len(odd) < 100


def test_the_documents_page_needs_nothing_from_anywhere(process: Process) -> None:
    reply = process.ask("GET", "/docs")
    assert reply.status == 200
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert b"<script" not in reply.body
    assert b"src=" not in reply.body
    assert b"/models/" in reply.body
    assert b"<dt>404<dd>No such model" in reply.body
    assert re.search(rb"<dt>\d+<dd>(\s|<)", reply.body) is None
    assert b"<code>application/json</code>, houses</p>" in reply.body


@pytest.mark.parametrize("path", ["/models/houses:predict", "/v2/models/houses/infer"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 10_000,
        b'{"rows": [{"CRIM": NaN}]}',
        b'{"rows": [{"CRIM": 1e999}]}',
        b'{"rows": [{"CRIM": 1, "CRIM": 2}]}',
        b'{"inputs": []}',
        b'{"inputs": [{"name": "numbers", "shape": [1, 12], "datatype": "FP32", "data": [1]}]}',
        b'{"inputs": [{"name": "numbers", "shape": [9e9], "datatype": "FP32", "data": []}]}',
        b'{"inputs": [{"name": "wrong", "shape": [1, 13], "datatype": "FP32", "data": [1]}]}',
        b'{"inputs": [{"name": "numbers", "shape": [1, 13], "datatype": "FP99", "data": [1]}]}',
    ],
)
def test_a_body_that_makes_no_sense_is_told_why(process: Process, path: str, body: bytes) -> None:
    reply = process.ask("POST", path, body)
    assert reply.status == 400
    assert reply.error
    assert process.ask("GET", "/livez").status == 200


GONE = "revision 'v2' of model 'houses' cannot be served: gone"
MISSING = Split(
    model="houses",
    route=1,
    traffic={"v2": 100},
    missing={"v2": Missing(version=2, why=GONE)},
)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/models/houses:predict"),
        ("POST", "/models/houses/versions/2:predict"),
        ("POST", "/v2/models/houses/versions/v2/infer"),
        ("GET", "/v2/models/houses"),
        ("GET", "/v2/models/houses/versions/2"),
    ],
)
def test_a_revision_that_is_missing_is_answered_503_with_the_reason(
    trained: Trained, method: str, path: str
) -> None:
    with started(trained) as process:
        process.tell(Plan(serial=1, splits=(MISSING,), lacking=GONE))
        reply = process.ask(method, path, rows_of([{}]) if method == "POST" else None)
        assert (reply.status, reply.error) == (503, GONE)
        assert reply.headers["retry-after"] == "1"
        other = process.ask("GET", "/v2/models/houses/versions/9")
        assert other.status == 404


def test_who_is_not_ready_says_why(trained: Trained) -> None:
    with started(trained) as process:
        process.tell(Plan(serial=1, splits=(MISSING,), lacking=GONE))
        assert process.ask("GET", "/livez").status == 200
        reply = process.ask("GET", "/readyz")
        assert (reply.status, reply.json) == (503, {"ready": False, "why": GONE})
        of_model = process.ask("GET", "/v2/models/houses/ready")
        assert of_model.json == {"ready": False, "name": "houses", "why": GONE}
        assert process.ask("GET", "/openapi.json").status == 200
