"""A smoke test: golden rows sent to the real endpoint, as any client does it.

Each revision of the route is sent all of its golden rows at once, and the first one alone, pinned
by a header. Then the route itself is tested, by a request that pins no revision. Each number of the
answers must be what the version predicted when it was made, to the last bit.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from typing import Any
from urllib.parse import quote, urlsplit

from fairlead.artifacts import Artifacts
from fairlead.errors import Invalid, NextStep, Unreachable
from fairlead.records import Candidate
from fairlead.serving.proof import Golden, golden

_SECONDS = 30.0  # that one answer may take; a model that was unloaded loads for it
_REVISION = "Fairlead-Revision"
_TEMPORARY = {
    HTTPStatus.NOT_FOUND,  # a process that has only just started holds nothing yet
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The address of a server.

    Args:
        url: Such as http://127.0.0.1:8080, with the path prefix of a proxy, if there is one.
        token: Bearer token for the server, where it requires one.
    """

    url: str
    token: str | None = None


@dataclass(frozen=True, kw_only=True)
class SmokeTestResult:
    """The result of a smoke test.

    Args:
        difference: The first thing that was wrong; empty where nothing was.
        revision: That answered last.
        seconds: That the test took.
    """

    difference: str
    revision: str
    seconds: float


def golden_rows(candidate: Candidate, artifacts: Artifacts) -> Golden:
    """The golden rows of a version, with what it predicted when it was made.

    Raises:
        Corrupt: Their file is missing or damaged.
        Unreachable: The artefact store did not answer.
    """
    return golden(artifacts.get(candidate.files["golden.json"].digest))


def smoke_test(
    endpoint: Endpoint, model: str, goldens: Mapping[str, Golden], *, revision: str | None = None
) -> SmokeTestResult:
    """Send golden rows, and compare each number of the answers with what it has to be.

    Args:
        endpoint: Of the server.
        model: Name of the model.
        goldens: By revision: the one that is pinned, or those of the route.
        revision: The one to pin; None to pin each of them, and then test the route.

    Raises:
        Unreachable: It did not answer, or not now: that says nothing about the model.
        Invalid: The URL is not valid, or the token is not accepted.
    """
    began = time.monotonic()
    with _Client.at(endpoint, model) as client:
        names = [revision] if revision is not None else [*goldens]
        found = (client.test_pinned(name, goldens[name]) for name in names)
        difference = next(filter(None, found), "")
        if not difference and revision is None:
            difference = client.test_route(goldens)
        return SmokeTestResult(
            difference=difference,
            revision=client.answered_by,
            seconds=time.monotonic() - began,
        )


@dataclass(kw_only=True)
class _Client:
    """One connection to a server, for requests to one model."""

    connection: http.client.HTTPConnection
    path: str
    headers: Mapping[str, str]
    answered_by: str = ""

    @classmethod
    @contextlib.contextmanager
    def at(cls, endpoint: Endpoint, model: str) -> Iterator[_Client]:
        with contextlib.closing(_connection(endpoint.url)) as connection:
            prefix = quote(urlsplit(endpoint.url).path.rstrip("/"), safe="/%")
            path = f"{prefix}/models/{quote(model, safe='')}:predict"
            yield cls(connection=connection, path=path, headers=_headers(endpoint.token))

    def test_pinned(self, name: str, golden: Golden) -> str:
        """What is wrong with this revision's answers; empty if nothing is."""
        for rows, predictions in _questions(golden):
            difference = self._difference(rows, predictions, {_REVISION: name})
            if difference:
                return f"revision {name!r}: {difference}"
            if self.answered_by != name:
                return f"revision {name!r} was requested, but {self.answered_by!r} answered"
        return ""

    def test_route(self, goldens: Mapping[str, Golden]) -> str:
        """What is wrong with the answer of the route; empty if nothing is.

        Rows of one revision say nothing about another one's predictions for them: then only which
        revision answered is checked, since that one was tested with its own rows before.
        """
        name = next((name for name, golden in goldens.items() if golden.rows), None)
        if name is None:
            return ""
        rows, predictions = _questions(goldens[name])[-1]
        status, answer = self._post(rows, {})
        if self.answered_by not in goldens:
            return _unknown_revision(status, answer, self.answered_by, goldens)
        return _wrong(status, answer, predictions) if self.answered_by == name else ""

    def _difference(
        self, rows: _Rows, predictions: _Predictions, headers: Mapping[str, str]
    ) -> str:
        status, answer = self._post(rows, headers)
        return _wrong(status, answer, predictions)

    def _post(self, rows: _Rows, headers: Mapping[str, str]) -> tuple[int, Any]:
        body = json.dumps({"rows": rows}).encode()
        try:
            self.connection.request("POST", self.path, body, {**self.headers, **headers})
            response = self.connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"asking {self._where}: {error or type(error).__name__}") from error
        except ValueError as error:
            raise Invalid(f"asking {self._where}: {error}") from error
        self.answered_by = response.getheader(_REVISION, "")
        answer = _document(content)
        self._raise_for_status(response.status, answer)
        return response.status, answer

    def _raise_for_status(self, status: int, answer: Any) -> None:
        message = f"asking {self._where}: {status} {_error(answer)}"
        if status in _TEMPORARY:
            raise Unreachable(message)
        if status == HTTPStatus.UNAUTHORIZED:
            add = NextStep("token.add", {"name": None}, "makes one")
            raise Invalid(
                f"{message}; set $FAIRLEAD_TOKEN to a token", code="unauthorized", next_steps=(add,)
            )
        if status == HTTPStatus.FORBIDDEN:
            raise Invalid(message)

    @property
    def _where(self) -> str:
        return f"http://{self.connection.host}:{self.connection.port}{self.path}"


_Rows = Sequence[Mapping[str, Any]]
_Predictions = Sequence[float | Sequence[float]]


def _questions(golden: Golden) -> list[tuple[_Rows, _Predictions]]:
    """All rows in one request, and the first one alone; a version without holdout has none."""
    if not golden.rows:
        return []
    return [(golden.rows, golden.predictions), (golden.rows[:1], golden.predictions[:1])]


def _wrong(status: int, answer: Any, predictions: _Predictions) -> str:
    if status != HTTPStatus.OK:
        return f"it answered {status} {_error(answer)}"
    answered = _numbers(answer)
    if answered is None or len(answered) != len(predictions):
        return f"the answer is not {len(predictions)} predictions"
    for at, (got, expected) in enumerate(zip(answered, predictions, strict=True)):
        if not _equal(got, expected):
            return f"golden row {at + 1}: it predicts {got!r}, and predicted {expected!r} when made"
    return ""


def _numbers(answer: Any) -> Sequence[Any] | None:
    """Predictions, or the probabilities of the classes in their order; None for anything else."""
    if not isinstance(answer, dict) or not isinstance(answer.get("predictions"), list):
        return None
    shares = answer.get("probabilities")
    return answer["predictions"] if shares is None else [[*row.values()] for row in shares]


def _equal(got: Any, expected: Any) -> bool:
    """Whether both are the same float32, or the same ones: an answer has its shortest digits."""
    import numpy as np

    one, other = _flat(got), _flat(expected)
    if len(one) != len(other) or not all(isinstance(each, int | float) for each in one):
        return False
    with np.errstate(over="ignore"):
        return np.array(one, np.float32).tobytes() == np.array(other, np.float32).tobytes()


def _flat(value: Any) -> list[Any]:
    return [*chain.from_iterable([value])] if isinstance(value, list | tuple) else [value]


def _unknown_revision(status: int, answer: Any, name: str, goldens: Mapping[str, Golden]) -> str:
    known = ", ".join(goldens)
    if not name:
        return f"it answered {status} {_error(answer)}, and names no revision"
    return f"revision {name!r} answered, which is not in the route: {known}"


def _headers(token: str | None) -> dict[str, str]:
    known = {"Content-Type": "application/json"}
    return known | ({"Authorization": f"Bearer {token}"} if token else {})


_KINDS: Mapping[str, type[http.client.HTTPConnection]] = {
    "http": http.client.HTTPConnection,
    "https": http.client.HTTPSConnection,
}


def _connection(url: str) -> http.client.HTTPConnection:
    with contextlib.suppress(ValueError):  # the host or the port is none
        parts = urlsplit(url)
        kind = _KINDS.get(parts.scheme)
        if kind is not None and parts.hostname:
            return kind(parts.hostname, parts.port, timeout=_SECONDS)
    raise Invalid(f"asking {url!r}: not a valid URL; give one such as http://host:8080")


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _error(answer: Any) -> str:
    return str(answer.get("error", "")) if isinstance(answer, dict) else "with no JSON"
