"""Artefacts behind an fsspec URL: ab/abcdef... .

What is asked for as a local file is fetched into a folder of local copies (cache.py) and verified
there. Object stores show an upload only once it is whole. Every write uploads, where the server's
protocol does not say what a file holds (s3.py knows one that does).

No call lasts for ever: it ends after PATIENCE and the time that its bytes take at SLOWEST, with all
that the file system's package tries again meanwhile.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

from fairlead.artifacts.backend import Stored, digest_of, digest_of_file, is_digest, missing
from fairlead.artifacts.cache import Cache
from fairlead.artifacts.folder import as_failed
from fairlead.errors import Failed, FairleadError, Invalid, Unreachable
from fairlead.formatting import without_password
from fairlead.records import CacheFolder, Digest

PATIENCE = 60.0  # seconds
SLOWEST = 1e6  # bytes a second
_LISTING = 600e6  # a listing of very many files may take as long as so many bytes
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "adl"}
"""Protocols without folders: to make one would make a bucket of a name that was mistyped."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_SHOWN = 300  # characters of a message that is a server's


class FsspecBackend:
    """An fsspec URL that keeps artefacts, with a cache of local files.

    Args:
        url: Of a folder; fsspec knows its protocol.
        cache: Where local files are kept; without one there are none.

    Raises:
        Invalid: fsspec does not know the URL, or lacks a package for it.
        Unreachable: The server did not answer.
    """

    options: ClassVar[Mapping[str, Any]] = {}
    """Of the file system."""

    def __init__(self, url: str, cache: CacheFolder | None) -> None:
        self._url, self._given = without_password(url), url
        self._opened: tuple[Any, str] | None = None
        self._cache = None if cache is None else Cache(cache, source=self._url)
        self._check()

    def _check(self) -> None:
        """See that there is such a file system."""
        self._open()

    def _open(self) -> tuple[Any, str]:
        """The file system, and the name of the URL's folder in it."""
        if self._opened is None:
            self._opened = _open_url(self._given, self.options)
        return self._opened

    @property
    def _files(self) -> Any:
        return self._open()[0]

    @property
    def _root(self) -> str:
        return self._open()[1]

    def write(self, digest: Digest, content: bytes) -> None:
        """Keep these bytes."""
        with self._answering(digest):
            self._files.pipe_file(self._ready(digest), content, **self._within(len(content)))

    def copy(self, digest: Digest, source: Path) -> None:
        """Keep a copy of this file."""
        with self._answering(digest):
            name, within = self._ready(digest), self._within(source.stat().st_size)
            self._files.put_file(str(source), name, **within)
        with as_failed(f"storing {str(source)!r} as an artefact"):
            found, _ = digest_of_file(source)
        if found != digest:
            self.delete(digest, unless_after=None)
            raise changed(source)

    def adopt(self, digest: Digest, source: Path) -> None:
        """Keep a copy of this file."""
        self.copy(digest, source)

    def read(self, digest: Digest) -> bytes:
        """The bytes as they are there."""
        with self._answering(digest):
            within, name = self._within(self._size(digest)), self._name(digest)
            content: bytes = self._files.cat_file(name, **within)
            if digest_of(content) != digest:  # they may have become others on their way
                content = self._files.cat_file(name, **within)
        return content

    def path(self, digest: Digest) -> Path:
        """The file of this digest in the cache, fetched if it is not there or damaged."""
        if self._cache is None:
            raise Invalid(f"artefact store {self._url!r}: a local file needs a cache folder")
        return self._cache.path(digest, lambda file: self._fetch(digest, file))

    def exists(self, digest: Digest) -> bool:
        """Whether there is an object of this name."""
        with self._answering(digest):
            return bool(self._files.exists(self._name(digest), **self._within()))

    def all(self) -> Iterator[Stored]:
        """Every object that is named as an artefact is."""
        with self._answering():
            listed = self._files.find(self._root, detail=True, **self._within(_LISTING))
        for name, found in listed.items():
            digest = name.rpartition("/")[2]
            if is_digest(digest):
                with self._answering(digest):
                    modified = self._modified(name, found)
                yield Stored(digest=digest, size=found["size"], modified=modified)

    def delete(self, digest: Digest, *, unless_after: float | None) -> None:
        """Remove the object. Servers have no locks: one stored between the two steps is lost."""
        name = self._name(digest)
        with self._answering(digest), suppress(FileNotFoundError):
            if unless_after is not None and self._modified(name, None) > unless_after:
                return
            self._files.rm_file(name, **self._within())
            if self._cache is not None:
                self._cache.forget(digest)

    def stale_temporaries(self, *, older_than: float) -> Iterator[Path]:
        """Those of the cache; the URL has none."""
        if self._cache is not None:
            yield from self._cache.stale_temporaries(older_than=older_than)

    def _name(self, digest: Digest) -> str:
        return f"{self._root}/{digest[:2]}/{digest}"

    def _ready(self, digest: Digest) -> str:
        """The object's name, once its folder is there, where the server has folders."""
        if not _OBJECT_STORES.intersection(_protocols(self._files)):
            self._files.makedirs(f"{self._root}/{digest[:2]}", exist_ok=True)
        return self._name(digest)

    def _fetch(self, digest: Digest, file: Path) -> None:
        with self._answering(digest):
            within, name = self._within(self._size(digest)), self._name(digest)
            self._files.get_file(name, str(file), **within)
            if digest_of_file(file)[0] != digest:  # they may have become others on their way
                self._files.get_file(name, str(file), **within)

    def _size(self, digest: Digest) -> int:
        return int(self._files.info(self._name(digest), **self._within())["size"])

    def _modified(self, name: str, found: Mapping[str, Any] | None) -> float:  # noqa: ARG002 - s3.py needs no other request
        """When the object was last changed, as seconds since the epoch.

        Args:
            name: Of the object.
            found: What a listing has said of it, if there was one.
        """
        return float(self._files.modified(name).timestamp())

    def _within(self, size: float = 0) -> dict[str, float]:
        """The argument that bounds a call which moves so many bytes; others bound themselves."""
        return {"timeout": PATIENCE + size / SLOWEST} if self._files.async_impl else {}

    def _meaning(self, error: Exception) -> FairleadError | None:
        """What an error of the file system means, where that is known better than here."""
        del error
        return None

    @contextmanager
    def _answering(self, digest: Digest | None = None) -> Iterator[None]:
        """Calls of the file system alone: each package has a tree of errors of its own."""
        try:
            yield
        except FairleadError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                raise  # of our own disk
            if meaning := self._meaning(error):
                raise meaning from error
            if isinstance(error, FileNotFoundError) and digest is not None:
                raise missing(digest, self._url) from None
            doing = "artefacts" if digest is None else f"artefact {digest}"
            raise Unreachable(
                f"{doing} in {self._url!r}: {in_a_line(error)}; see that the server answers and "
                "accepts your credentials, and run the command again"
            ) from error


def changed(source: Path) -> Failed:
    """The error of a file that somebody else writes to."""
    return Failed(f"storing {str(source)!r}: it changed while it was read; try again")


def in_a_line(error: Exception) -> str:
    """What an error says, in one line."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return (" ".join(str(error).split()) or type(error).__name__)[:_SHOWN]


def _protocols(files: Any) -> set[str]:
    return {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)


def _open_url(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    import fsspec

    shown = without_password(url)
    try:
        files, root = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
    except (ImportError, ValueError) as error:
        raise Invalid(f"artefact store {shown!r}: {in_a_line(error)}") from error
    except OSError as error:
        raise Unreachable(
            f"artefact store {shown!r}: {error}; see that the server answers"
        ) from error
    return files, root.rstrip("/")
