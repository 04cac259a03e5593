"""Which error is which status."""

from __future__ import annotations

import pytest

from fairlead import errors
from fairlead.serving.http.response import (
    CLOSE,
    JSON,
    Answer,
    Refused,
    headers_of,
    of_error,
    written,
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Invalid("x"), 400),
        (errors.NotFound("x"), 404),
        (errors.TooLarge("x"), 413),
        (errors.Overloaded("x"), 429),
        (errors.Failed("x"), 500),
        (errors.Corrupt("x"), 500),
        (errors.NotLoaded("x"), 503),
        (errors.OutOfService("x"), 503),
        (errors.Unreachable("x"), 503),
        (Refused(415, "x"), 415),
        (ValueError("a secret"), 500),
    ],
)
def test_each_error_has_its_status(error: Exception, status: int) -> None:
    assert of_error(error).status == status


def test_what_may_pass_says_when_to_come_again() -> None:
    assert (b"retry-after", b"1") in of_error(errors.NotLoaded("x")).headers
    assert (b"retry-after", b"1") in of_error(errors.Overloaded("x")).headers
    assert of_error(errors.OutOfService("x")).headers == (JSON,)


def test_an_error_that_nobody_expected_says_nothing_of_itself() -> None:
    assert b"secret" not in of_error(ValueError("a secret")).body


def test_an_answer_is_written_whole() -> None:
    answer = of_error(errors.NotFound("not here"))
    head = (
        b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\nconnection: close\r\n"
        b"content-length: 20\r\n\r\n"
    )
    headers = headers_of(answer, CLOSE)
    assert written(answer.status, headers, answer.body) == head + b'{"error":"not here"}'
    assert written(answer.status, headers, b"") == head


def test_an_answer_without_content_has_no_length() -> None:
    assert headers_of(Answer(status=204, headers=()), CLOSE) == (CLOSE,)
