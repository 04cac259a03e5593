"""The golden rows, asked through a real address.

Belongs here: asking them as any client does, and comparing what comes back. Does not: when that is
done (server/decide.py), and the same proof inside a process (serving/proof.py).

Each revision of the route is asked all of its golden rows at once, and the first one alone. Then
the route itself is asked, as a client that pins nothing asks it.
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
from fairlead.errors import Invalid, Unreachable
from fairlead.records import Candidate
from fairlead.serving.proof import Golden, golden

_SECONDS = 30.0  # that one answer may take; a model that was unloaded loads for it
_REVISION = "Fairlead-Revision"
_PASSING = {
    HTTPStatus.NOT_FOUND,  # a process that has only just started holds nothing yet
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a server is asked.

    Args:
        url: Such as http://127.0.0.1:8080; what stands before the model's path, if there is a
            proxy that puts one there, included.
        token: That lets us in, where the server wants one.
    """

    url: str
    token: str | None = None


@dataclass(frozen=True, kw_only=True)
class SmokeTestResult:
    """How the golden rows came back.

    Args:
        difference: The first thing that was wrong; empty where nothing was.
        revision: That answered last.
        seconds: That all of it took.
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
    address: Endpoint, model: str, goldens: Mapping[str, Golden], *, revision: str | None = None
) -> SmokeTestResult:
    """Ask golden rows, and compare each number with what it has to be.

    Args:
        address: Of the server.
        model: Name of the model.
        goldens: By revision: the one that is pinned, or those of the route.
        revision: The one to ask; None to ask each of them, and then the route.

    Raises:
        Unreachable: It did not answer, or not now: that says nothing about the model.
        Invalid: The address is none, or the token is not taken.
    """
    began = time.monotonic()
    with _Asking.at(address, model) as asking:
        names = [revision] if revision is not None else [*goldens]
        found = (asking.pinned(name, goldens[name]) for name in names)
        difference = next(filter(None, found), "")
        if not difference and revision is None:
            difference = asking.routed(goldens)
        return SmokeTestResult(
            difference=difference,
            revision=asking.answered_by,
            seconds=time.monotonic() - began,
        )


@dataclass(kw_only=True)
class _Asking:
    """One connection, over which a model is asked."""

    connection: http.client.HTTPConnection
    path: str
    headers: Mapping[str, str]
    answered_by: str = ""

    @classmethod
    @contextlib.contextmanager
    def at(cls, address: Endpoint, model: str) -> Iterator[_Asking]:
        with contextlib.closing(_connection(address.url)) as connection:
            prefix = quote(urlsplit(address.url).path.rstrip("/"), safe="/%")
            path = f"{prefix}/models/{quote(model, safe='')}:predict"
            yield cls(connection=connection, path=path, headers=_headers(address.token))

    def pinned(self, name: str, golden: Golden) -> str:
        """What is wrong with this revision's answers; empty if nothing is."""
        for rows, predictions in _questions(golden):
            difference = self._difference(rows, predictions, {_REVISION: name})
            if difference:
                return f"revision {name!r}: {difference}"
            if self.answered_by != name:
                return f"revision {name!r} was asked, and {self.answered_by!r} answered"
        return ""

    def routed(self, goldens: Mapping[str, Golden]) -> str:
        """What is wrong with the answer of the route; empty if nothing is.

        Rows of one revision say nothing about another one's predictions for them: then only who
        answered is looked at, since that one was asked its own rows by name before.
        """
        name = next((name for name, golden in goldens.items() if golden.rows), None)
        if name is None:
            return ""
        rows, predictions = _questions(goldens[name])[-1]
        status, answer = self._post(rows, {})
        if self.answered_by not in goldens:
            return _stranger(status, answer, self.answered_by, goldens)
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
        self._heed(response.status, answer)
        return response.status, answer

    def _heed(self, status: int, answer: Any) -> None:
        said = f"asking {self._where}: {status} {_error(answer)}"
        if status in _PASSING:
            raise Unreachable(said)
        if status == HTTPStatus.UNAUTHORIZED:
            raise Invalid(f"{said}; set $FAIRLEAD_TOKEN to one (`fairlead token add NAME`)")
        if status == HTTPStatus.FORBIDDEN:
            raise Invalid(said)

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
        return f"it answered something else than {len(predictions)} predictions"
    for at, (came, due) in enumerate(zip(answered, predictions, strict=True)):
        if not _equal(came, due):
            return f"golden row {at + 1}: it predicts {came!r}, and predicted {due!r} when made"
    return ""


def _numbers(answer: Any) -> Sequence[Any] | None:
    """Predictions, or the probabilities of the classes in their order; None for anything else."""
    if not isinstance(answer, dict) or not isinstance(answer.get("predictions"), list):
        return None
    shares = answer.get("probabilities")
    return answer["predictions"] if shares is None else [[*row.values()] for row in shares]


def _equal(came: Any, due: Any) -> bool:
    """Whether both are the same float32, or the same ones: an answer has its shortest digits."""
    import numpy as np

    one, other = _flat(came), _flat(due)
    if len(one) != len(other) or not all(isinstance(each, int | float) for each in one):
        return False
    with np.errstate(over="ignore"):
        return np.array(one, np.float32).tobytes() == np.array(other, np.float32).tobytes()


def _flat(value: Any) -> list[Any]:
    return [*chain.from_iterable([value])] if isinstance(value, list | tuple) else [value]


def _stranger(status: int, answer: Any, name: str, goldens: Mapping[str, Golden]) -> str:
    known = ", ".join(goldens)
    if not name:
        return f"it answered {status} {_error(answer)}, and names no revision"
    return f"revision {name!r} answered, which is none of the route's: {known}"


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
    raise Invalid(f"asking {url!r}: this is no address; give one such as http://host:8080")


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _error(answer: Any) -> str:
    return str(answer.get("error", "")) if isinstance(answer, dict) else "with no JSON"
