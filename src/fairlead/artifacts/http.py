"""Artefacts behind the control API of a `fairlead server`: a token instead of a bucket.

What is asked for as a local file is fetched into a folder of local copies, from where it broke off
where the connection was cut. Large files are sent in pieces, and go on after a cut as well. The
server verifies what it takes and what it gives; so does whoever reads here.

Nothing is listed or removed over HTTP: what is not needed any more only who has the database knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, NoReturn

import msgspec

from fairlead.api_client import PATIENCE, ApiClient
from fairlead.artifacts.backend import Stored, damaged, missing
from fairlead.artifacts.cache import Cache
from fairlead.artifacts.folder import as_failed
from fairlead.artifacts.remote import changed
from fairlead.backoff import Backoff, doubled
from fairlead.errors import FairleadError, Invalid, NotFound, Unreachable
from fairlead.records import CacheFolder, Digest

PIECE = 8 << 20
"""Bytes of a piece; a file of no more is sent whole."""

_SETTING = "$FAIRLEAD_ARTIFACTS"
_OCTETS = {"Content-Type": "application/octet-stream"}
_JSON = {"Content-Type": "application/json"}
_ELSEWHERE = {"wrong_offset", "upload_in_progress", "not_found"}
"""Codes of problems where another connection of ours got further."""
_WAIT = doubled(0.01, 1.0)


class _Upload(msgspec.Struct, frozen=True):
    """An upload as the server sees it."""

    upload: str
    size: int
    offset: int


class HttpBackend:
    """A server that keeps artefacts, with a cache of local files.

    Args:
        url: Of the server.
        cache: Where local files are kept; without one there are none.

    Raises:
        Invalid: The URL is none of a server.
    """

    def __init__(self, url: str, cache: CacheFolder | None) -> None:
        self._client = ApiClient(url, setting=_SETTING)
        self._url = self._client.url
        self._cache = None if cache is None else Cache(cache, source=self._url)

    def write(self, digest: Digest, content: bytes) -> None:
        """Keep these bytes."""
        self._client.ask("PUT", _path(digest), content, headers=_OCTETS)

    def copy(self, digest: Digest, source: Path) -> None:
        """Keep a copy of this file."""
        try:
            with as_failed(f"storing {str(source)!r} as an artefact"), source.open("rb") as file:
                if source.stat().st_size <= PIECE:
                    self.write(digest, file.read())
                else:
                    self._send(digest, source.stat().st_size, file)
        except Invalid as error:
            raise changed(source) if error.code == "wrong_digest" else error from error

    def adopt(self, digest: Digest, source: Path) -> None:
        """Keep a copy of this file."""
        self.copy(digest, source)

    def read(self, digest: Digest) -> bytes:
        """The bytes as they are there."""
        try:
            return self._client.ask("GET", _path(digest)).body
        except FairleadError as error:
            raise self._meant(digest, error) from error

    def path(self, digest: Digest) -> Path:
        """The file of this digest in the cache, fetched if it is not there or damaged."""
        if self._cache is None:
            raise Invalid(f"artefact store {self._url!r}: a local file needs a cache folder")
        return self._cache.path(digest, lambda file: self._fetch(digest, file))

    def exists(self, digest: Digest) -> bool:
        """Whether the server has anything of this name."""
        answer = self._client.ask("HEAD", _path(digest), accepted=[HTTPStatus.NOT_FOUND])
        return answer.status == HTTPStatus.OK

    def all(self) -> Iterator[Stored]:
        """Refused."""
        self._refuse()

    def delete(self, digest: Digest, *, unless_after: float | None) -> None:
        """Refused."""
        del digest, unless_after
        self._refuse()

    def stale_temporaries(self, *, older_than: float) -> Iterator[Path]:
        """Those of the cache; the server sees to its own."""
        if self._cache is not None:
            yield from self._cache.stale_temporaries(older_than=older_than)

    def _refuse(self) -> NoReturn:
        raise Invalid(
            f"artefact store {self._url!r}: a server has it, and lists and removes nothing for "
            "others; do this where the server runs",
            code="behind_api",
        )

    def _fetch(self, digest: Digest, file: Path) -> None:
        try:
            self._client.download(_path(digest), file)
        except FairleadError as error:
            raise self._meant(digest, error) from error

    def _meant(self, digest: Digest, error: FairleadError) -> FairleadError:
        """What an error of the server means of an artefact."""
        if isinstance(error, NotFound):
            return missing(digest, self._url)
        if error.code == "artefact_damaged":
            return damaged(digest, self._url, None)
        return error

    def _send(self, digest: Digest, size: int, file: BinaryIO) -> None:
        """Send a file in pieces, until the server has it."""
        backoff = Backoff(PATIENCE, _WAIT)
        upload = self._begin(digest, size)
        while True:
            before = upload.offset
            try:
                upload = self._append(upload, file)
                if upload.offset == size:
                    return
            except FairleadError as error:
                if not (isinstance(error, Unreachable) or error.code in _ELSEWHERE):
                    raise
                if not backoff.wait():
                    raise
                found = self._look(upload)
                if found is None and self.exists(digest):
                    return
                upload = found or self._begin(digest, size)
            if upload.offset > before:
                backoff = Backoff(PATIENCE, _WAIT)

    def _begin(self, digest: Digest, size: int) -> _Upload:
        body = msgspec.json.encode({"digest": digest, "size": size})
        return _read(self._client.ask("POST", "/uploads", body, headers=_JSON).body)

    def _append(self, upload: _Upload, file: BinaryIO) -> _Upload:
        file.seek(upload.offset)
        headers = {**_OCTETS, "Upload-Offset": str(upload.offset)}
        answer = self._client.ask(
            "PATCH",
            f"/uploads/{upload.upload}",
            file.read(min(PIECE, upload.size - upload.offset)),
            headers=headers,
            patience=0.0,  # how many of the bytes have arrived is looked up first
        )
        return _read(answer.body)

    def _look(self, upload: _Upload) -> _Upload | None:
        """How far the upload is; None where it is finished, or no more."""
        try:
            return _read(self._client.ask("GET", f"/uploads/{upload.upload}").body)
        except NotFound:
            return None


def _path(digest: Digest) -> str:
    return f"/artifacts/{digest}"


def _read(body: bytes) -> _Upload:
    return msgspec.json.decode(body, type=_Upload)
