"""Artefacts in a bucket of S3, or of a server that speaks as S3 does.

Where the server is and who we are it gets as all programs do, from the environment, profiles and
roles that botocore knows; nothing of that stands in the URL.

An upload says the SHA-256 of its bytes, which the server verifies. What an object holds its ETag
tells: it is the MD5 of an object, or of the MD5s of its parts. It is renewed by a copy onto itself.

botocore tries again, with growing pauses, what failed on the way or what the server could not do
now; for how long at most is the caller's bound (remote.py).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from fairlead.artifacts.object_store import PART, ObjectStoreBackend
from fairlead.artifacts.remote import in_a_line
from fairlead.errors import Failed, FairleadError, Unreachable
from fairlead.records import Digest

_AT_ONCE = 4  # parts on their way together
_THERE_ALREADY = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}
_NO_CONDITIONS = {"NotImplemented", "501"}  # a store that has no conditional puts
_KEYS = "see AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_SESSION = "get new credentials, or see AWS_SESSION_TOKEN"
_MAY_NOT = (
    "the server refuses this to whom the credentials belong; see that they are the right ones, "
    "and may list, read, write and delete there"
)
_REGION = "the bucket is in another region; set AWS_DEFAULT_REGION"
_REFUSALS = {
    "InvalidAccessKeyId": f"the server does not know the access key; {_KEYS}",
    "InvalidClientTokenId": f"the server does not know the access key; {_KEYS}",
    "SignatureDoesNotMatch": f"the secret key is not that of the access key; {_KEYS}",
    "ExpiredToken": f"the credentials have expired; {_SESSION}",
    "InvalidToken": f"the server does not accept the session token; {_SESSION}",
    "TokenRefreshRequired": f"the credentials have expired; {_SESSION}",
    "RequestTimeTooSkewed": "this machine's clock is not the server's; set it",
    "NoSuchBucket": "there is no such bucket at that server; make it, or name another",
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "AccountProblem", "403"), _MAY_NOT),
    **dict.fromkeys(("PermanentRedirect", "AuthorizationHeaderMalformed", "301"), _REGION),
}
"""What the server's codes mean where no other try will help."""
_WRONG = range(400, 500)  # the HTTP status of a request that is wrong
_AGAIN = {408, 409, 412, 429}  # ... save these
_ON_THE_WAY = {"BadDigest", "IncompleteBody", "RequestTimeout", "XAmzContentSHA256Mismatch"}
"""What has gone wrong with a request on its way, as a server puts it."""


class S3Backend(ObjectStoreBackend):
    """A bucket of S3 that keeps artefacts, under a prefix."""

    package = "s3fs"
    extra = "s3"
    keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    options: ClassVar[Mapping[str, Any]] = {
        "skip_instance_cache": True,  # credentials belong to a store, not to the process
        "max_concurrency": 1,  # a download in one piece goes on where it was cut
        "config_kwargs": {
            "connect_timeout": 5.0,
            "read_timeout": 20.0,
            "response_checksum_validation": "when_required",  # the digest says more
            "retries": {"mode": "standard", "total_max_attempts": 12},
        },
    }

    def _tag(self, parts: Iterable[bytes]) -> str:
        """The ETag."""
        return _etag(parts)

    def _create(self, digest: Digest, content: bytes, tag: str) -> bool:
        """Make a new object; False if there is one, or the server cannot tell."""
        try:
            self._upload(digest, tag, lambda: self._put(digest, content, "create"))
        except OSError as error:
            if isinstance(error, FileExistsError) or _code(error) in _THERE_ALREADY:
                return False
            if _code(error) in _NO_CONDITIONS:
                return False
            raise
        return True

    def _overwrite(self, digest: Digest, content: bytes, tag: str) -> None:
        """Make the object, or put these bytes in the place of what it is."""
        self._upload(digest, tag, lambda: self._put(digest, content, "overwrite"))

    def _upload_file(self, digest: Digest, source: Path, size: int, tag: str) -> None:
        """Make or overwrite the object, in parts."""
        self._upload(digest, tag, lambda: self._put_file(digest, source, size))

    def _put(self, digest: Digest, content: bytes, mode: str) -> None:
        checksum = base64.b64encode(bytes.fromhex(digest)).decode()
        self._files.pipe_file(
            self._name(digest),
            content,
            mode=mode,
            chunksize=PART,
            max_concurrency=_AT_ONCE,
            ChecksumSHA256=checksum,
            **self._within(len(content)),
        )

    def _put_file(self, digest: Digest, source: Path, size: int) -> None:
        self._files.put_file(
            str(source),
            self._name(digest),
            chunksize=PART,
            max_concurrency=_AT_ONCE,
            **self._within(size),
        )

    def _upload(self, digest: Digest, etag: str, upload: Callable[[], None]) -> None:
        """Upload. The answer to the end of one in parts may be lost: then it is not known again."""
        try:
            upload()
        except FileNotFoundError as error:
            if _code(error) != "NoSuchUpload" or not self._is_sound(digest, etag):
                raise

    def _renew(self, digest: Digest) -> None:
        """Copy the object onto itself."""
        bucket, _, key = self._name(digest).partition("/")
        self._files.call_s3(
            "copy_object",
            Bucket=bucket,
            Key=key,
            CopySource={"Bucket": bucket, "Key": key},
            MetadataDirective="REPLACE",
            **self._within(),
        )

    def _is_sound(self, digest: Digest, tag: str) -> bool:
        """Whether the object is there and has the right bytes."""
        try:
            found = self._files.info(self._name(digest), **self._within())
        except FileNotFoundError:
            return False
        return bool(found.get("ETag", "").strip('"') == tag)

    def _modified(self, name: str, found: Mapping[str, Any] | None) -> float:
        """When the object was last changed, to the second as S3 tells of a single object."""
        found = found or self._files.info(name, **self._within())
        return float(int(found["LastModified"].timestamp()))

    def _meaning(self, error: Exception) -> FairleadError | None:
        if why := _never_asked(error) or _refusal(error):
            return Failed(f"artefact store {self._url!r}: {why}", code="store_refused")
        if _code(error) == "NoSuchUpload":
            return Unreachable(
                f"artefact store {self._url!r}: it has lost an upload; run the command again"
            )
        return None


def _never_asked(error: Exception) -> str | None:
    """Why botocore does not ask the server, and what to do about it."""
    from botocore import exceptions as botocore

    if isinstance(error, botocore.NoCredentialsError | botocore.PartialCredentialsError):
        return "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(error, botocore.ProfileNotFound):
        return f"{error}; see AWS_PROFILE"
    if isinstance(error, ValueError | botocore.ParamValidationError):
        return f"{in_a_line(error)}; see AWS_ENDPOINT_URL and the bucket's name"
    return None


def _refusal(error: Exception) -> str | None:
    """Why the server will never do this, and what to do about it."""
    code, status = _code(error), _answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in _REFUSALS:
        return _REFUSALS[code]
    if isinstance(error, PermissionError):
        return _MAY_NOT
    if isinstance(error, FileNotFoundError) or code in _ON_THE_WAY:
        return None
    wrong = status in _WRONG and status not in _AGAIN
    return f"the server refuses this: {in_a_line(error)} ({code})" if wrong else None


def _code(error: BaseException) -> str:
    """The code that an error of the server has; empty where it is another error."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def _answer(error: BaseException) -> dict[str, Any]:
    """What the server answered, where that is what the error is about."""
    for each in (error, error.__cause__):
        response = getattr(each, "response", None)
        if isinstance(response, dict):
            return response
    return {}


def _etag(parts: Iterable[bytes]) -> str:
    """The ETag of what is uploaded in these parts, the way that `PART` says."""
    sums, size, whole = [], 0, hashlib.md5(usedforsecurity=False)
    for part in parts:
        size += len(part)
        sums.append(hashlib.md5(part, usedforsecurity=False).digest())
        if size < 2 * PART:
            whole.update(part)
    if size < 2 * PART:
        return whole.hexdigest()
    return f"{hashlib.md5(b''.join(sums), usedforsecurity=False).hexdigest()}-{len(sums)}"
