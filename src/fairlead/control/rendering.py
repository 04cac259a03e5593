"""A spec as an object of a Kubernetes cluster, with the small files that it names inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fairlead.data.catalog import is_file
from fairlead.errors import Invalid, InvalidData, InvalidSpec
from fairlead.families.catalog import file_of
from fairlead.formatting import size
from fairlead.spec.document import Spec
from fairlead.spec.load import Loaded

MOST = 900_000
"""Bytes of files that an object may hold: etcd takes 1.5 MB, and a ConfigMap 1 MiB."""


@dataclass(frozen=True, kw_only=True)
class ClusterRequest:
    """What a cluster is to give a study, and whether its version is deployed.

    Args:
        workers: At most so many; the operator's default if None.
        cpu: That each of them asks for, as a quantity; the operator's default if None.
        memory: Likewise.
        deploy: Whether the version is deployed if it becomes champion.
    """

    workers: int | None = None
    cpu: str | None = None
    memory: str | None = None
    deploy: bool = False


@dataclass(frozen=True, kw_only=True)
class _Named:
    """A file that a spec names."""

    key: tuple[str | int, ...]
    path: Path
    value: str  # as the spec is to name it
    name: str  # among the files


def study_object(loaded: Loaded, request: ClusterRequest) -> Mapping[str, Any]:
    """The Study of a spec.

    Args:
        loaded: The spec; what it says is kept as it is, without defaults.
        request: What the cluster is to give it.

    Raises:
        InvalidSpec: It names a file that cannot be read.
        InvalidData: Its files are no text, or too large for an object.
    """
    from fairlead.kube.floats import noted
    from fairlead.kube.kinds import API_VERSION, STUDIES

    document, files = packed(loaded)
    name = loaded.spec.name.rstrip("-")
    if name == loaded.spec.name:
        del document["name"]
    return {
        "apiVersion": API_VERSION,
        "kind": STUDIES.name,
        "metadata": {"name": name},
        "spec": {
            **document,
            **noted(document),
            **_asked(request),
            **({"files": files} if files else {}),
        },
    }


def packed(loaded: Loaded) -> tuple[dict[str, Any], Mapping[str, str]]:
    """A spec's document, and the texts of the files that it names, by the names there.

    Args:
        loaded: The spec; what it says is kept as it is, without defaults.

    Raises:
        InvalidSpec: It names a file that cannot be read.
        InvalidData: Its files are no text, or too large for an object.
    """
    with loaded.located():
        named = list(_named(loaded.spec, loaded.base))
        files = _contents(named)
    document = loaded.tree.plain()
    for each in named:
        _replace(document, each.key, each.value)
    for space in document["search"]["over"]:
        if ":" in space["family"]:
            space.pop("model", None)  # part of the family's name now
    return document, files


def _asked(request: ClusterRequest) -> Mapping[str, Any]:
    resources = {"cpu": request.cpu, "memory": request.memory}
    given = {key: value for key, value in resources.items() if value}
    return {
        **({"workers": {"max": request.workers}} if request.workers else {}),
        **({"resources": given} if given else {}),
        **({"deploy": True} if request.deploy else {}),
    }


def _named(spec: Spec, base: Path) -> Iterator[_Named]:
    if is_file(spec.data.source):
        name = _inside(spec.data.source)
        path = base / Path(spec.data.source).expanduser()
        if path.is_dir():
            raise InvalidData(
                f"data.source: {str(path)!r} is a folder, which an object of a cluster does not "
                "hold: run the spec from here with the cluster's stores"
            )
        yield _Named(key=("data", "source"), path=path, value=name, name=name)
    for index, space in enumerate(spec.search.over):
        where = file_of(space.family)
        if where is not None:
            name = _inside(where)
            before, _, attribute = space.family.rpartition(f"{where}:")
            yield _Named(
                key=("search", "over", index, "family"),
                path=base / where,
                value=f"{before}./{name}:{attribute}",
                name=name,
            )


def _inside(path: str) -> str:
    """What the file is called there: as it is here, unless that leads out of the spec's folder."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or {"..", "~"}.intersection(parts.parts):
        return parts.name
    return str(parts)


def _contents(named: list[_Named]) -> Mapping[str, str]:
    paths = {each.name: each.path for each in named}
    for each in named:
        if paths[each.name].resolve() != each.path.resolve():
            raise InvalidSpec(
                f"{_written(each.key)}: {str(each.path)!r} and {str(paths[each.name])!r} would "
                f"both be {each.name!r}; rename one of them"
            )
    many = sum(_size(each) for each in named)
    if many > MOST:
        largest = max(named, key=_size)
        raise InvalidData(
            f"{_written(largest.key)}: {str(largest.path)!r} has {size(_size(largest))}, and an "
            f"object of a cluster holds {size(MOST)} of files: put it at an https:// address, or "
            "run the spec from here with the cluster's stores"
        )
    return {each.name: _text(each) for each in named}


def _size(named: _Named) -> int:
    try:
        return named.path.stat().st_size
    except (OSError, ValueError) as error:
        raise _unreadable(named, error) from error


def _text(named: _Named) -> str:
    try:
        return named.path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidData(
            f"{_written(named.key)}: {str(named.path)!r} is no text in UTF-8, and an object of a "
            "cluster holds text: put it at an https:// address"
        ) from error
    except (OSError, ValueError) as error:
        raise _unreadable(named, error) from error


def _unreadable(named: _Named, error: Exception) -> Invalid:
    why = getattr(error, "strerror", None) or error
    return InvalidSpec(f"{_written(named.key)}: {str(named.path)!r} cannot be read: {why}")


def _written(key: tuple[str | int, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


def _replace(document: Any, key: tuple[str | int, ...], value: str) -> None:
    *way, last = key
    for part in way:
        document = document[part]
    document[last] = value
