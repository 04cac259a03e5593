"""What an endpoint may answer to golden rows, and what is made of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fairlead.errors import Invalid, Unreachable
from fairlead.rollout.smoke_test import Endpoint, SmokeTestResult, smoke_test
from fairlead.serving.proof import Golden

GOLDEN = Golden(rows=[{"x": 1.0}, {"x": 2.0}], predictions=[0.10000000149011612, 2.0])
CLASSES = Golden(rows=[{"x": 1.0}], predictions=[[0.25, 0.75]])


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the endpoint answers."""

    document: Any
    status: int = 200
    revision: str = "v1"


def right(rows: int) -> Reply:
    return Reply(document={"predictions": [0.1, 2.0][:rows]})


@contextmanager
def endpoint(reply: Callable[[int], Reply]) -> Iterator[str]:
    """An endpoint, none of ours, that answers so many rows so."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = reply(len(json.loads(body)["rows"]))
            content = json.dumps(answer.document).encode()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Fairlead-Revision", answer.revision)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def asked(reply: Callable[[int], Reply], golden: Golden = GOLDEN, **pin: str) -> SmokeTestResult:
    with endpoint(reply) as url:
        return smoke_test(Endpoint(url=url), "m", {"v1": golden}, **pin)


def test_the_same_numbers_in_their_shortest_digits_are_no_difference() -> None:
    assert asked(right).difference == ""
    assert asked(right, revision="v1").difference == ""


def test_probabilities_are_compared_class_by_class() -> None:
    document = {"predictions": ["b"], "probabilities": [{"a": 0.25, "b": 0.75}]}
    assert asked(lambda _: Reply(document=document), CLASSES).difference == ""
    document = {"predictions": ["b"], "probabilities": [{"a": 0.75, "b": 0.25}]}
    found = asked(lambda _: Reply(document=document), CLASSES).difference
    assert found == (
        "revision 'v1': golden row 1: it predicts [0.75, 0.25], and predicted [0.25, 0.75] "
        "when made"
    )


@pytest.mark.parametrize(
    ("reply", "difference"),
    [
        (Reply(document={"predictions": [0.1, 2.0000002]}), "golden row 2"),
        (Reply(document={"predictions": [0.1, -2.0]}), "golden row 2"),
        (Reply(document={"predictions": [0.1, "2.0"]}), "golden row 2"),
        (Reply(document={"predictions": [0.1, None]}), "golden row 2"),
        (Reply(document={"predictions": [0.1]}), "the answer is not 2 predictions"),
        (Reply(document={"predictions": {}}), "the answer is not 2 predictions"),
        (Reply(document=[]), "the answer is not 2 predictions"),
        (Reply(document={"error": "it crashed"}, status=500), "it answered 500 it crashed"),
        (Reply(document={"error": "no column"}, status=400), "it answered 400 no column"),
        (
            Reply(document={"predictions": [0.1, 2.0]}, revision="v2"),
            "revision 'v1' was requested, but 'v2' answered",
        ),
    ],
)
def test_the_first_difference_is_told(reply: Reply, difference: str) -> None:
    assert difference in asked(lambda _: reply, revision="v1").difference


def test_a_difference_of_one_row_alone_is_told_too() -> None:
    alone = Reply(document={"predictions": [0.3]})
    found = asked(lambda rows: alone if rows == 1 else right(rows)).difference
    assert found.startswith("revision 'v1': golden row 1: it predicts 0.3")


@pytest.mark.parametrize("status", [404, 429, 503])
def test_that_it_does_not_answer_now_says_nothing_about_the_model(status: int) -> None:
    with pytest.raises(Unreachable, match=f"{status} busy"):
        asked(lambda _: Reply(document={"error": "busy"}, status=status))


def test_nobody_there_says_nothing_about_the_model() -> None:
    with endpoint(right) as url:
        pass
    with pytest.raises(Unreachable, match=r"asking http://127\.0\.0\.1:"):
        smoke_test(Endpoint(url=url), "m", {"v1": GOLDEN})


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "ftp://host", "http://", "http://host:port", "http://[::1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="asking"):
        smoke_test(Endpoint(url=url), "m", {"v1": GOLDEN})


def test_a_token_that_no_header_can_carry_is_refused() -> None:
    with endpoint(right) as url, pytest.raises(Invalid, match="asking"):
        smoke_test(Endpoint(url=url, token="one\ntwo"), "m", {"v1": GOLDEN})
