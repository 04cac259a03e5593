"""A download: one file over https within bounds of size and time, with redirects and retries.

What came is kept, and not asked for again unless `Settings.ask_again` says so. Then the request is
conditional where the answer that is kept had a strong entity tag, or a date of change that leaves
no doubt (RFC 9110, 8.8): a server that says 304 sends nothing, one that is away is an error.
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias
from urllib.parse import urljoin

from fairlead import atomic
from fairlead.data import address
from fairlead.data.address import Url
from fairlead.errors import Failed, InvalidData, Unreachable
from fairlead.records import Digest
from fairlead.settings import Settings

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse
    from urllib3.connection import HTTPConnection


Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with the bytes that are here and how many there will be, where that is known."""

_ATTEMPTS = 4
_FIRST_PAUSE = 0.25  # seconds, doubled with each attempt
_SILENCE = 30.0  # seconds without a byte after which a connection counts as broken
_REDIRECTS = 5
_PIECE = 1 << 16
_IN_MEMORY = 1 << 24
_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT}


@dataclass(frozen=True, kw_only=True)
class _Bounds:
    size: int  # bytes
    seconds: float
    ends: float  # by the monotonic clock
    private: bool

    @property
    def left(self) -> float:
        return self.ends - time.monotonic()


def download(
    url: str, *, settings: Settings, digest: Digest | None = None, progress: Progress | None = None
) -> bytes:
    """The content of a URL, from the cache where it is there.

    A URL that was downloaded once is not asked again, unless `settings.ask_again` is set.

    Args:
        url: An https:// address.
        settings: The limits, and where downloads are kept.
        digest: SHA-256 that the content must have.
        progress: Called after every piece.

    Raises:
        InvalidSpec: The address, or one it redirects to, is not allowed.
        InvalidData: The server says no, or the answer is too large, too slow or another file.
        Unreachable: The server could not be reached or failed, several times over.
    """
    parsed = address.parse(url, private=settings.allow_private_urls)
    kept = _kept(settings.downloads, url, None if settings.ask_again else digest)
    if kept is not None and not settings.ask_again:
        return kept.content
    known = None if kept is None else kept.version
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as body:
        version = _fetch(parsed, body, _bounds(settings), progress or _ignore, known)
        body.seek(0)
        content = body.read() if version or kept is None else kept.content
    check_digest(content, url, digest)
    if version is not None:
        _keep(settings.downloads, url, content, version)
    return content


def check_digest(content: bytes, name: str, digest: Digest | None) -> None:
    """Refuse bytes that are not the expected ones.

    Raises:
        InvalidData: Says what was expected and what came.
    """
    found = hashlib.sha256(content).hexdigest()
    if digest is not None and found != digest:
        raise InvalidData(
            f"data.digest: {name!r} is sha256:{found}, not sha256:{digest}", code="other_digest"
        )


def _ignore(_done: int, _total: int | None) -> None: ...


def _bounds(settings: Settings) -> _Bounds:
    return _Bounds(
        size=settings.max_download,
        seconds=settings.download_seconds,
        ends=time.monotonic() + settings.download_seconds,
        private=settings.allow_private_urls,
    )


def _fetch(
    url: Url, body: IO[bytes], bounds: _Bounds, progress: Progress, known: _Version | None
) -> _Version | None:
    """Try until the content is here, the time is over, or the attempts are.

    Returns:
        Which version of the file has come; None where it is the known one and nothing came.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        body.seek(0)
        body.truncate()
        try:
            return _follow(url, body, bounds, progress, known)
        except Unreachable as error:
            _check_time(url, bounds)
            if attempt == _ATTEMPTS:
                raise Unreachable(f"{error} ({attempt} attempts)") from error
        pause = _FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0)
        time.sleep(max(0.0, min(pause, bounds.left)))
    return None


def _follow(
    url: Url, body: IO[bytes], bounds: _Bounds, progress: Progress, known: _Version | None
) -> _Version | None:
    """One attempt: ask, follow redirects, and read the answer."""
    for _ in range(_REDIRECTS + 1):
        unless = known.condition if known is not None and known.url == url.text else {}
        with _answer(url, bounds, unless) as answer:
            onward = answer.headers.get("Location") if answer.status in _MOVED else None
            if onward is None:
                if unless and answer.status == HTTPStatus.NOT_MODIFIED:
                    return None
                _check_status(url, answer)
                _read(url, answer, body, bounds, progress)
                return _version(url, answer.headers)
        url = address.parse(urljoin(url.text, onward), private=bounds.private)
    raise InvalidData(f"data.source: {url.text!r} redirects more than {_REDIRECTS} times")


_MOVED = {
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
}


@dataclass(frozen=True, kw_only=True)
class _Version:
    """How a server names what it sent; of the URL that the redirects ended at."""

    url: str
    condition: Mapping[str, str]  # what a request says that wants it only if it has changed


def _version(url: Url, headers: Mapping[str, str]) -> _Version:
    tag = headers.get("ETag", "")
    changed = headers.get("Last-Modified", "")
    if tag.startswith('"'):  # a weak one may be that of other bytes
        condition = {"If-None-Match": tag}
    elif not tag and _is_older(changed, headers.get("Date", "")):
        condition = {"If-Modified-Since": changed}
    else:
        condition = {}
    return _Version(url=url.text, condition=condition)


def _is_older(changed: str, now: str) -> bool:
    """Whether a date of change is past: within its second a file may change once more."""
    try:
        return (parsedate_to_datetime(now) - parsedate_to_datetime(changed)).total_seconds() >= 1
    except (ValueError, TypeError):  # none, or one without and one with a time zone
        return False


@contextmanager
def _answer(url: Url, bounds: _Bounds, unless: Mapping[str, str]) -> Iterator[BaseHTTPResponse]:
    """Ask for the URL; whatever goes wrong on the wire until the answer is read is Unreachable."""
    import urllib3.exceptions

    connection = _connect(url, bounds)
    sock = connection.sock  # an answer that ends with its connection takes this away
    try:
        with _guard(lambda: sock, bounds):
            connection.request(
                "GET",
                url.target,
                headers={"Host": _host(url), "Accept-Encoding": "identity", **unless},
                preload_content=False,
                decode_content=False,
            )
            with closing(connection.getresponse()) as answer:
                yield answer
        _check_time(url, bounds)  # hanging up looks like the end of an answer without a length
    except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
        _check_time(url, bounds)
        raise Unreachable(f"data.source: {url.text!r} broke off: {_reason(error)}") from error
    finally:
        connection.close()


def _connect(url: Url, bounds: _Bounds) -> HTTPConnection:
    """Connect to an address that was looked up and allowed, never to one looked up again."""
    fault = "it has no address"
    for found in address.resolve(url, private=bounds.private):
        _check_time(url, bounds)
        connection = _connection(url, str(found), min(_SILENCE, bounds.left))
        try:
            return _connected(connection, url, bounds)
        except Unreachable as error:
            fault = str(error)
    _check_time(url, bounds)
    raise Unreachable(f"data.source: {url.text!r} cannot be reached: {fault}")


def _connected(connection: HTTPConnection, url: Url, bounds: _Bounds) -> HTTPConnection:
    import urllib3.exceptions
    from urllib3.util.ssl_match_hostname import CertificateError

    try:
        with _guard(lambda: connection.sock, bounds):
            connection.connect()
    except (ssl.SSLCertVerificationError, CertificateError) as error:
        connection.close()
        raise InvalidData(
            f"data.source: the certificate of {url.host!r} is refused: {_reason(error)}"
        ) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        connection.close()
        raise Unreachable(_reason(error)) from error
    return connection


def _connection(url: Url, host: str, timeout: float) -> HTTPConnection:
    from urllib3.connection import HTTPConnection, HTTPSConnection

    if url.scheme == "http":
        return HTTPConnection(host, url.port, timeout=timeout)
    return HTTPSConnection(
        host, url.port, timeout=timeout, server_hostname=url.host, assert_hostname=url.host
    )


def _host(url: Url) -> str:
    name = f"[{url.host}]" if ":" in url.host else url.host
    return name if url.port in {80, 443} else f"{name}:{url.port}"


@contextmanager
def _guard(connected: Callable[[], socket.socket | None], bounds: _Bounds) -> Iterator[None]:
    """Hang up when the time is over; a socket's own limit begins anew with each byte."""
    timer = threading.Timer(max(0.0, bounds.left), lambda: _hang_up(connected()))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _hang_up(sock: socket.socket | None) -> None:
    if sock is None:
        return
    with suppress(OSError):
        # not SSLSocket.shutdown, which takes the session away from under the reading thread
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _check_status(url: Url, answer: BaseHTTPResponse) -> None:
    says = f"data.source: {url.text!r} answers {answer.status} {answer.reason or ''}".rstrip()
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in _BUSY:
        raise Unreachable(says)
    if answer.status != HTTPStatus.OK:
        raise InvalidData(f"{says}; check the address")


def _read(
    url: Url, answer: BaseHTTPResponse, body: IO[bytes], bounds: _Bounds, progress: Progress
) -> None:
    length = answer.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    _check_size(url, total or 0, bounds)
    done = 0
    while piece := answer.read1(_PIECE):
        done += len(piece)
        _check_size(url, done, bounds)
        _check_time(url, bounds)
        body.write(piece)
        progress(done, total)
    if total is not None and done != total:
        raise Unreachable(f"data.source: {url.text!r} broke off after {done} of {total} bytes")


def _check_size(url: Url, size: int, bounds: _Bounds) -> None:
    if size > bounds.size:
        raise InvalidData(
            f"data.source: {url.text!r} has more than the {bounds.size} bytes that one download "
            "may bring (FAIRLEAD_MAX_DOWNLOAD)"
        )


def _check_time(url: Url, bounds: _Bounds) -> None:
    if bounds.left <= 0:
        raise InvalidData(
            f"data.source: {url.text!r} took longer than the {bounds.seconds:g} s that one "
            "download may take (FAIRLEAD_DOWNLOAD_SECONDS)"
        )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


# ---- what is kept -----------------------------------------------------------------------------
#
# Files are named by their digest; a note for each URL has the digest of what it gave, and which
# version of it that was.


@dataclass(frozen=True, kw_only=True)
class _Kept:
    content: bytes
    version: _Version | None  # None where no note says


def _kept(folder: Path, url: str, digest: Digest | None) -> _Kept | None:
    """What was downloaded from this URL or with this digest; None if it was damaged since."""
    try:
        note = {} if digest else json.loads(_note(folder, url).read_text())
        name = digest or note["digest"]
        content = (folder / str(name)).read_bytes()
        known = note.get("version")
        version = known and _Version(url=known["url"], condition=dict(known["condition"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    intact = hashlib.sha256(content).hexdigest() == name
    return _Kept(content=content, version=version) if intact else None


def _keep(folder: Path, url: str, content: bytes, version: _Version) -> None:
    """Keep what a URL gave.

    Raises:
        Failed: The disk is full, or the folder cannot be written.
    """
    digest = hashlib.sha256(content).hexdigest()
    note = {"url": url, "digest": digest, "version": asdict(version)}
    try:
        atomic.write(folder / digest, content)
        atomic.write(_note(folder, url), json.dumps(note).encode())
    except OSError as error:
        reason = error.strerror or error
        raise Failed(f"keeping the download of {url!r} in {str(folder)!r}: {reason}") from error


def _note(folder: Path, url: str) -> Path:
    return folder / "urls" / f"{hashlib.sha256(url.encode()).hexdigest()}.json"
