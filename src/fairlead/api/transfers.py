"""Artefacts over HTTP: whole files up and down, and uploads in pieces that go on after a cut.

A file is never in memory as a whole: it passes in pieces, each written and read by a thread. Only
so many files arrive at once. What has arrived is verified, and put into the store under its digest
alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from pathlib import Path as File
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Header, Path, Request
from starlette.responses import Response, StreamingResponse

from fairlead.api import bodies, pages, schemas
from fairlead.api.installation import BEARER, ONCE, By, Installation, On
from fairlead.api.uploads import Upload, Uploads
from fairlead.artifacts import Artifacts
from fairlead.artifacts.folder import as_failed
from fairlead.errors import NotFound
from fairlead.records import Digest

OCTETS = "application/octet-stream"
ARTIFACTS = "/api/v1/artifacts/"
UPLOADS = "/api/v1/uploads"
_PIECE = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def is_streamed(method: str, path: str) -> bool:
    """Whether the route reads the body itself, piece by piece."""
    return (method == "PUT" and path.startswith(ARTIFACTS)) or (
        method == "PATCH" and path.startswith(f"{UPLOADS}/")
    )


DigestOf = Annotated[
    Digest,
    Path(
        pattern="^[0-9a-f]{64}$",
        description="The SHA-256 of the file, in hexadecimal digits.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
]
UploadId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="An upload that was begun.")]
Offset = Annotated[
    int,
    Header(
        alias="Upload-Offset",
        ge=0,
        le=2**53,
        description="Bytes that are there already: where these begin.",
        examples=[0],
    ),
]
_BYTES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}},
    }
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {OCTETS: {}}},
    206: {"description": "The part that was asked for.", "content": {OCTETS: {}}},
    304: {"description": "The client has it."},
}

router = APIRouter(prefix="/api/v1", dependencies=BEARER)


# ---- artefacts ------------------------------------------------------------------------------


@router.get("/artifacts/{digest}", response_class=Response, responses=_FILE, tags=["artifacts"])
@router.head("/artifacts/{digest}", response_class=Response, responses=_FILE, tags=["artifacts"])
async def get_artifact(
    request: Request,
    on: On,
    digest: DigestOf,
    if_none_match: pages.IfNoneMatch = None,
    wanted: Annotated[str | None, Header(alias="Range", max_length=200)] = None,
) -> Response:
    """The bytes of an artefact, or the range of them that is asked for; HEAD: that it is there."""
    await on.arrivals.in_thread(lambda: _refuse_missing(on.stores.artifacts, digest))
    headers = {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
    if if_none_match is not None and digest in if_none_match:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if request.method == "HEAD":  # whose size is not worth fetching it from a bucket
        head = Response(headers=headers, media_type=OCTETS)
        del head.headers["Content-Length"]
        return head
    file = await on.arrivals.in_thread(lambda: _opened(on.stores.artifacts, digest))
    size = file.seek(0, os.SEEK_END)
    begin, end = _range(wanted, size)
    if begin >= end and (begin or size):
        file.close()
        headers["Content-Range"] = f"bytes */{size}"
        return Response(status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
    status = HTTPStatus.OK
    if (begin, end) != (0, size):
        status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - begin)
    return StreamingResponse(
        _read(on, file, begin, end), status_code=status, headers=headers, media_type=OCTETS
    )


@router.put(
    "/artifacts/{digest}",
    response_model=schemas.StoredArtifact,
    openapi_extra=_BYTES,
    tags=["artifacts"],
)
async def put_artifact(request: Request, on: On, digest: DigestOf) -> Response:
    """Store a file of this digest in one piece; asked again, it is there already."""
    bodies.refuse_announced(request.scope, on.settings.max_upload)
    size = 0
    with on.arrivals.one(), _uploads(on).temporary() as path:
        file = await on.arrivals.in_thread(lambda: _created(path))
        with file:
            async for piece in bodies.pieces(request.receive, on.settings.max_upload):
                await on.arrivals.in_thread(partial(_written, file, piece))
                size += len(piece)
            await on.arrivals.in_thread(lambda: _flushed(file))
        await on.arrivals.in_thread(lambda: on.stores.artifacts.put_file(path, wanted=digest))
    return pages.answer({"digest": digest, "size": size})


# ---- uploads in pieces ----------------------------------------------------------------------


@router.post("/uploads", response_model=schemas.UploadRow, tags=["artifacts"], dependencies=ONCE)
def begin_upload(on: On, by: By, body: schemas.UploadBody) -> Response:
    """Begin an upload in pieces, or find the one of this file that the caller has not finished."""
    if body.size > on.settings.max_upload:
        raise bodies.too_large(on.settings.max_upload)
    return _row(_uploads(on).begin(body.digest, body.size, by.identity))


@router.get("/uploads/{upload}", response_model=schemas.UploadRow, tags=["artifacts"])
def get_upload(on: On, by: By, upload: UploadId) -> Response:
    """How many bytes of an upload are there; one that is finished is there no more."""
    return _row(_uploads(on).get(upload, by.identity))


@router.patch(
    "/uploads/{upload}",
    response_model=schemas.UploadRow,
    openapi_extra=_BYTES,
    tags=["artifacts"],
)
async def append_upload(
    request: Request, on: On, by: By, upload: UploadId, offset: Offset
) -> Response:
    """Append the next bytes; with the last of them, the file is verified and stored."""
    found = await on.arrivals.in_thread(lambda: _uploads(on).get(upload, by.identity))
    left = max(0, found.size - offset)
    bodies.refuse_announced(request.scope, left)
    with on.arrivals.one():
        file = await on.arrivals.in_thread(lambda: _uploads(on).opened(found, offset))
        try:
            async for piece in bodies.pieces(request.receive, left):
                await on.arrivals.in_thread(partial(_written, file, piece))
                offset += len(piece)
            if offset == found.size:
                await on.arrivals.in_thread(lambda: _finished(_uploads(on), found, file))
        finally:
            await on.arrivals.in_thread(lambda: _closed(file))
    return pages.answer(_upload(found, offset))


@router.delete("/uploads/{upload}", status_code=HTTPStatus.NO_CONTENT, tags=["artifacts"])
def delete_upload(on: On, by: By, upload: UploadId) -> Response:
    """Delete what is there of an upload."""
    _uploads(on).forget(_uploads(on).get(upload, by.identity).id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _uploads(on: Installation) -> Uploads:
    return Uploads(on.settings.uploads, on.stores.artifacts)


def _row(upload: Upload) -> Response:
    return pages.answer(_upload(upload, upload.offset))


def _upload(upload: Upload, offset: int) -> dict[str, Any]:
    return {
        "upload": upload.id,
        "digest": upload.digest,
        "size": upload.size,
        "offset": offset,
    }


def _finished(uploads: Uploads, upload: Upload, file: BinaryIO) -> None:
    file.flush()
    uploads.finish(upload)


def _closed(file: BinaryIO) -> None:
    """What has arrived is kept."""
    with file, as_failed("appending to an upload"):
        file.flush()
        os.fsync(file.fileno())


def _created(path: File) -> BinaryIO:
    with as_failed("receiving an artefact"):
        return path.open("xb")


def _written(file: BinaryIO, piece: bytes) -> None:
    with as_failed("receiving a file"):
        file.write(piece)


def _flushed(file: BinaryIO) -> None:
    with as_failed("receiving a file"):
        file.flush()


def _refuse_missing(artifacts: Artifacts, digest: Digest) -> None:
    if not artifacts.exists(digest):
        raise NotFound(f"there is no artefact {digest}")


def _opened(artifacts: Artifacts, digest: Digest) -> BinaryIO:
    """The artefact, verified and opened: it may be deleted from a cache while it is sent."""
    with as_failed("reading an artefact"):
        return artifacts.path(digest).open("rb")


def _range(wanted: str | None, size: int) -> tuple[int, int]:
    """Where to begin, and where to end; all of it where no single range of bytes is asked for."""
    found = _RANGE.fullmatch(wanted or "")
    if found is None or found[0] == "bytes=-":
        return 0, size
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1 if last else size)


async def _read(on: Installation, file: BinaryIO, begin: int, end: int) -> AsyncIterator[bytes]:
    with file:
        file.seek(begin)
        while begin < end:
            most = min(_PIECE, end - begin)
            piece = await on.arrivals.in_thread(partial(file.read, most))
            if not piece:
                return
            begin += len(piece)
            yield piece
