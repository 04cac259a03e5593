"""A client of the control API (`fairlead server`): requests, their repetition, and its errors.

A request that was not answered is asked again, with waits, for as long as the client has patience:
a server that is restarted is waited for. So each request must be one that may be asked twice, or
carry an Idempotency-Key. Errors come back as problem documents, and are raised here as the same
class of the tree that the server raised.

The token is in `$FAIRLEAD_SERVER_TOKEN` or in the file that `$FAIRLEAD_SERVER_TOKEN_FILE` names,
never in the URL. It is another one than `$FAIRLEAD_TOKEN`, which goes to any endpoint that somebody
tests.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import SplitResult, urlsplit

import msgspec

from fairlead.backoff import Backoff, doubled
from fairlead.errors import (
    Failed,
    FairleadError,
    Invalid,
    NextStep,
    TooLarge,
    Unreachable,
    Value,
)
from fairlead.version import VERSION

if TYPE_CHECKING:
    from urllib3 import HTTPConnectionPool
    from urllib3.response import BaseHTTPResponse

PATIENCE = 60.0  # seconds that a server that is away is waited for
TOKEN = "FAIRLEAD_SERVER_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE = "FAIRLEAD_SERVER_TOKEN_FILE"  # noqa: S105 - the name of a variable
PLAIN = "FAIRLEAD_ALLOW_PLAIN_HTTP"

_PREFIX = "/api/v1"
_CONNECT = 10.0  # seconds
_SERVERS_PATIENCE = 75.0  # seconds that an answer may take: a server waits for its ledger meanwhile
_CONNECTIONS = 32
_MOST = 1 << 30  # bytes of an answer
_WAIT = doubled(0.01, 1.0)
_PROBLEM = "application/problem+json"
_SOON = {"overloaded", "request_in_progress", "too_slow"}  # codes of problems that pass
_CHUNK = 1 << 16  # what a cut costs at most
_AWAY = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}


@dataclass(frozen=True, kw_only=True)
class ApiAnswer:
    """What the server answered."""

    status: int
    headers: Mapping[str, str]  # by their names in small letters
    body: bytes


class ApiStep(msgspec.Struct, frozen=True):
    """A next step as a problem document has it for this client."""

    action: str
    arguments: dict[str, str | int | bool | None] = {}
    effect: str = ""


class ApiProblem(msgspec.Struct, frozen=True):
    """A problem document with what this client needs besides: the error's class and steps."""

    detail: str = ""
    code: str = ""
    kind: str = ""  # the class's own code
    steps: list[ApiStep] = []


class ApiClient:
    """One server. Safe to use from several threads, and after a fork.

    Args:
        url: Of the server, with the path prefix of a proxy, if there is one.
        setting: What named it, for advice.
        patience: Seconds that it is waited for while it is away.
        environ: Has the token; that of the process if None.

    Raises:
        Invalid: The URL is none of a server, or a token would be readable on its way.
    """

    def __init__(
        self,
        url: str,
        *,
        setting: str,
        patience: float = PATIENCE,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.url = checked_url(url, setting)
        self._setting = setting
        self._patience = patience
        self._token = _Token(os.environ if environ is None else environ)
        self._token.refuse_readable(urlsplit(self.url))
        self._pool: HTTPConnectionPool | None = None
        self._process = 0

    def ask(  # noqa: PLR0913 - what a request has
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        patience: float | None = None,
        accepted: Iterable[int] = (),
    ) -> ApiAnswer:
        """The server's answer to a request that may be asked twice.

        Args:
            method: Of HTTP.
            path: Below /api/v1.
            body: Sent with it.
            headers: Sent beside those that every request has.
            patience: Seconds that a server which is away is waited for, where it is not the usual.
            accepted: Statuses beyond 2xx that are no errors.

        Raises:
            Unreachable: It did not answer for as long as there is patience.
            FairleadError: As the server raised it.
        """
        backoff = Backoff(self._patience if patience is None else patience, _WAIT)
        while True:
            fault, answer = self._tried(method, path, body, headers or {})
            if answer is not None and not _is_to_repeat(answer):
                break
            if not backoff.wait():
                raise self._unreachable(fault)
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES and answer.status not in accepted:
            raise self._meant(answer)
        return answer

    def download(self, path: str, file: Path) -> None:
        """Write the body of an answer to a file; after a cut, from where it broke off.

        Args:
            path: Below /api/v1.
            file: Made by this.

        Raises:
            Unreachable: Nothing more came for as long as there is patience.
            FairleadError: As the server raised it.
        """
        with file.open("wb") as out:
            while True:
                before = out.tell()
                fault = self._downloaded(path, out)
                if not fault:
                    return
                if before == 0 or out.tell() > before:
                    backoff = Backoff(self._patience, _WAIT)
                if not backoff.wait():
                    raise self._unreachable(fault)

    def _downloaded(self, path: str, out: BinaryIO) -> str:
        """Append the rest of the body; what went wrong, or nothing."""
        import urllib3.exceptions

        try:
            response = self._begun("GET", path, None, {"Range": f"bytes={out.tell()}-"})
            if response.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                answer = self._whole(path, response)
                if not _is_to_repeat(answer):
                    raise self._meant(answer)
                return f"it answers {answer.status}"
            if response.status == HTTPStatus.OK:
                out.truncate(out.seek(0))
            out.writelines(response.stream(_CHUNK))
        except (urllib3.exceptions.HTTPError, ConnectionError) as error:
            return _in_a_line(error)
        return ""

    def close(self) -> None:
        """Close the connections."""
        if self._pool is not None and self._process == os.getpid():
            self._pool.close()
        self._pool = None

    def _tried(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[str, ApiAnswer | None]:
        """What went wrong on the way, and the answer, if there is one."""
        import urllib3.exceptions

        try:
            answer = self._asked(method, path, body, headers)
            if answer.status == HTTPStatus.UNAUTHORIZED and self._token.has_changed():
                answer = self._asked(method, path, body, headers)
        except urllib3.exceptions.SSLError as error:
            raise Invalid(
                f"{self.url}: its certificate is not accepted: {_in_a_line(error)}; name the "
                "authority's in $SSL_CERT_FILE"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return _in_a_line(error), None
        return f"it answers {answer.status}", answer

    def _asked(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> ApiAnswer:
        return self._whole(path, self._begun(method, path, body, headers))

    def _begun(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> BaseHTTPResponse:
        return self._connections().urlopen(
            method,
            f"{urlsplit(self.url).path}{_PREFIX}{path}",
            body=body,
            headers={**headers, **self._token.headers(), "User-Agent": f"fairlead/{VERSION}"},
            redirect=False,
            retries=False,
            preload_content=False,
        )

    def _whole(self, path: str, response: BaseHTTPResponse) -> ApiAnswer:
        content = response.read(_MOST + 1)
        if len(content) > _MOST:
            response.close()
            raise TooLarge(f"{self.url}{_PREFIX}{path}: the answer has more than {_MOST} bytes")
        response.release_conn()
        return ApiAnswer(status=response.status, headers=_small(response), body=content)

    def _connections(self) -> HTTPConnectionPool:
        """The pool of this process: a connection that a fork has copied is not used twice."""
        if self._pool is None or self._process != os.getpid():
            self._pool = _pool(urlsplit(self.url))
            self._process = os.getpid()
        return self._pool

    def _unreachable(self, fault: str) -> Unreachable:
        return Unreachable(
            f"{self.url}: no answer from the server: {fault}; see that it runs, and that "
            f"{self._setting} is right"
        )

    def _meant(self, answer: ApiAnswer) -> FairleadError:
        """The error that an answer stands for."""
        found = _problem(answer)
        kinds = {kind.default_code: kind for kind in _tree(FairleadError)}
        if kind := kinds.get(found.kind or found.code):
            return kind(found.detail, code=found.code, next_steps=_steps(found))
        status, said = answer.status, found.detail or HTTPStatus(answer.status).phrase
        if status == HTTPStatus.UNAUTHORIZED:
            return self._unauthorized()
        if not found.code:
            return Invalid(
                f"{self.url}: it answers {status} ({said}), as no Fairlead server does; see "
                f"{self._setting}"
            )
        failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return (Failed if failed else Invalid)(f"{self.url}: {said}", code=found.code)

    def _unauthorized(self) -> Invalid:
        if not self._token.headers():
            advice = f"it wants a token: set ${TOKEN}, or ${TOKEN_FILE} to the file that has it"
        else:
            advice = f"it does not accept the token in ${self._token.setting}"
        return Invalid(f"{self.url}: {advice}", code="unauthorized")


def checked_url(text: str, setting: str) -> str:
    """The URL of a server, without a slash at its end.

    Raises:
        Invalid: It is none, or has something in it that is sent to nobody.
    """
    try:
        found = urlsplit(text)
        sound = found.scheme in {"http", "https"} and found.hostname and found.port != 0
    except ValueError:  # its port or its address
        sound = False
    if not sound:
        raise Invalid(f"{setting}: it must be a URL such as https://HOST, not {_shown(text)!r}")
    if found.username is not None or found.query or found.fragment:
        host = found.netloc.rpartition("@")[2]
        raise Invalid(
            f"{setting}: a URL of a server has no user, no password and no parameters: "
            f"{found.scheme}://{host}{found.path}; the token belongs into ${TOKEN}"
        )
    return f"{found.scheme}://{found.netloc}{found.path.rstrip('/')}"


def _shown(text: str) -> str:
    """The text without what may be a token or a password before an @, or after a ? or #."""
    scheme, separator, rest = text.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0].partition('#')[0]}"


class _Token:
    """The token that every request carries."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.setting = TOKEN_FILE if environ.get(TOKEN_FILE) else TOKEN
        self._known = self._read()

    def headers(self) -> Mapping[str, str]:
        """What a request has for it."""
        return {"Authorization": f"Bearer {self._known}"} if self._known else {}

    def has_changed(self) -> bool:
        """Whether there is another one since; it is used from now on."""
        before, self._known = self._known, self._read()
        return before != self._known

    def refuse_readable(self, url: SplitResult) -> None:
        """Raise Invalid where it would go over a network in plain text."""
        allowed = self._environ.get(PLAIN) == "1" or _is_this_machine(url.hostname or "")
        if url.scheme == "http" and self._known and not allowed:
            raise Invalid(
                f"http://{url.netloc}: everybody on the way could read the token; use https://, or "
                f"allow it with ${PLAIN}=1 where the network is yours alone"
            )

    def _read(self) -> str:
        if self.setting == TOKEN:
            return _checked_token(self._environ.get(TOKEN, ""), TOKEN)
        path = Path(self._environ[TOKEN_FILE])
        try:
            return _checked_token(path.read_text(encoding="utf-8"), TOKEN_FILE)
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise Invalid(f"${TOKEN_FILE}: reading {str(path)!r}: {why}") from error


def _checked_token(text: str, setting: str) -> str:
    token = text.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise Invalid(f"${setting}: what it has is no token: one word of ASCII")
    return token


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _pool(url: SplitResult) -> HTTPConnectionPool:
    import urllib3

    kind = urllib3.HTTPSConnectionPool if url.scheme == "https" else urllib3.HTTPConnectionPool
    return kind(
        str(url.hostname),
        url.port,
        maxsize=_CONNECTIONS,
        block=True,
        timeout=urllib3.Timeout(connect=_CONNECT, read=_SERVERS_PATIENCE),
    )


def _small(response: BaseHTTPResponse) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _is_to_repeat(answer: ApiAnswer) -> bool:
    """Whether to ask again soon.

    Something else answered in the server's place, it takes no more requests at this moment, or it
    still carries out the same request, whose connection was lost.
    """
    if _is_problem(answer):
        return _problem(answer).code in _SOON
    return answer.status in _AWAY


def _is_problem(answer: ApiAnswer) -> bool:
    return answer.headers.get("content-type", "").startswith(_PROBLEM)


def _problem(answer: ApiAnswer) -> ApiProblem:
    if not _is_problem(answer):
        return ApiProblem()
    try:
        return msgspec.json.decode(answer.body, type=ApiProblem)
    except msgspec.DecodeError:
        return ApiProblem()


def _steps(found: ApiProblem) -> list[NextStep]:
    steps: list[NextStep] = []
    for step in found.steps:
        arguments: dict[str, Value] = {**step.arguments}
        steps.append(NextStep(step.action, arguments, step.effect))
    return steps


def _tree(kind: type[FairleadError]) -> Iterator[type[FairleadError]]:
    """The classes of errors.py; what other modules make of them is their own affair."""
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == kind.__module__:
            yield from _tree(below)


def _in_a_line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
