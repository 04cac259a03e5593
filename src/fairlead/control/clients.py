"""What comes from clients of a server, and may name nothing of the server's own.

A client's data is in the catalog, at a public https:// address, or in a file that it has uploaded;
its code is in such a file, or installed. A path in its spec names one of its files by the name that
the client gives it, and never a file of the server. Downloads obey the guard whatever the server's
own settings allow, and are cached apart: what was fetched from a private address for somebody at
the server is not given to a client.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath

from fairlead.artifacts import Artifacts
from fairlead.data.catalog import ENTRIES, is_file
from fairlead.errors import Invalid, InvalidSpec, NotFound
from fairlead.families.catalog import file_of
from fairlead.records import Digest
from fairlead.settings import Settings
from fairlead.spec.document import Spec

MOST_FILES = 20
SPEC = "spec.yaml"
"""How messages name the document of a client."""
_NAME = re.compile(r"[\w.-]{1,100}(?:/[\w.-]{1,100}){0,5}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ClientSettings(Settings):
    """An installation's settings as they are for what a client names.

    Clients share what was downloaded, and cannot delete it: its server is asked each time.
    """

    @property
    def downloads(self) -> Path:
        """The folder of what was downloaded for clients."""
        return self.home / "downloads-of-clients"

    @staticmethod
    def of(settings: Settings) -> ClientSettings:
        """Those of an installation; private addresses are never allowed."""
        known = {field.name: getattr(settings, field.name) for field in fields(Settings)}
        return ClientSettings(**{**known, "allow_private_urls": False, "ask_again": True})


def refuse_names(files: Mapping[str, Digest], artifacts: Artifacts) -> None:
    """Refuse files that cannot be laid out, or were not uploaded.

    Raises:
        Invalid: A name is no relative path, or there are too many.
        NotFound: A file was not uploaded.
    """
    if len(files) > MOST_FILES:
        raise Invalid(f"files: there may be {MOST_FILES} of them, not {len(files)}")
    folders = {str(folder) for name in files for folder in PurePosixPath(name).parents}
    for name, digest in files.items():
        if not _NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
            raise Invalid(f"files: {name!r} must be a relative path such as data/rows.csv")
        if name in folders or name == SPEC:
            raise Invalid(f"files: {name!r} cannot be a file here; give it another name")
        if not artifacts.exists(digest):
            raise NotFound(f"files: {name!r}: there is no artefact {digest}; upload it first")


def lay_out(files: Mapping[str, Digest], artifacts: Artifacts, folder: Path) -> None:
    """Put a client's files into a folder, under the names that its spec has for them."""
    for name, digest in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(artifacts.path(digest))


def refuse_paths(spec: Spec, files: Mapping[str, Digest]) -> None:
    """Refuse a spec that names a file of the server.

    Raises:
        InvalidSpec: It does; the message begins with the key.
    """
    refuse_source(spec.data.source, files)
    for index, space in enumerate(spec.search.over):
        where = file_of(space.family)
        if where is not None and _named(where) not in files:
            raise InvalidSpec(
                f"search.over[{index}].family: {where!r} is none of the uploaded files{_of(files)}"
            )


def refuse_source(source: str, files: Mapping[str, Digest]) -> None:
    """Refuse a source that is a path of the server. Raises InvalidSpec."""
    if not is_file(source) or _named(source) in files:
        return
    raise InvalidSpec(
        f"data.source: {source!r} is neither in the catalog ({', '.join(ENTRIES)}) nor an https:// "
        f"address, nor one of the uploaded files{_of(files)}"
    )


def _named(path: str) -> str:
    """As the files are named: `./rows.csv` is `rows.csv`."""
    return path.removeprefix("./")


def _of(files: Mapping[str, Digest]) -> str:
    return f" ({', '.join(files)})" if files else "; upload it and name it in `files`"
