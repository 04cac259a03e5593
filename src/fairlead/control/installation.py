"""Whether an installation can run a spec, and what of its artefacts nothing names any more.

A check changes nothing and takes a few seconds at most; it says what it found in a sentence.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fairlead.errors import FairleadError
from fairlead.machine import SAME_PACKAGES, usable_cores
from fairlead.settings import Settings

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from fairlead.artifacts.garbage import Garbage
    from fairlead.stores import Stores

_OLDEST = (3, 11)
_LITTLE_DISK = 2 << 30  # a forest of the examples takes 175 MB in ONNX, and the same again beside
_NO_DISK = 100 << 20
_LITTLE_MEMORY = 1 << 30
_SKEW = 2.0  # seconds; file systems round times to as much
_PATIENCE = 5.0  # seconds for a server to answer
_HEAVY = ("xgboost", "lightgbm", "catboost", "frames")
_OFF = "none"  # as $FAIRLEAD_MLFLOW_URI: there is no mirror


@dataclass(frozen=True, kw_only=True)
class Check:
    """What one check found; `fail` would stop a run."""

    name: str
    state: Literal["ok", "warn", "fail"]
    text: str


def checks(settings: Settings) -> Iterator[Check]:
    """Every check, the quick ones first."""
    yield _python()
    yield from _packages()
    yield _cores()
    yield _memory()
    yield _home(settings)
    yield _disk(settings)
    yield _clock(settings)
    yield _ledger(settings)
    yield _mlflow(settings)


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, _OLDEST))
    if sys.version_info < _OLDEST:
        return Check(name="python", state="fail", text=f"{found}; {wanted} or newer is needed")
    return Check(name="python", state="ok", text=f"{found} ({sys.executable})")


# ---- packages -------------------------------------------------------------------------------


def _packages() -> Iterator[Check]:
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in importlib.metadata.requires("fairlead") or ()]
    for requirement in wanted:
        if requirement.marker is None:
            yield _package(requirement, missing="fail", install="fairlead")
    heavy = {
        requirement.name: (requirement, extra)
        for extra in _HEAVY
        for requirement in wanted
        if requirement.marker and requirement.marker.evaluate({"extra": extra})
    }
    for requirement, extra in heavy.values():
        yield _package(requirement, missing="warn", install=f"fairlead[{extra}]")


def _package(requirement: Requirement, *, missing: Literal["warn", "fail"], install: str) -> Check:
    name = requirement.name
    advice = f"pip install --upgrade '{install}'"
    found = _version(name) or _version(SAME_PACKAGES.get(name, name))
    if found is None:
        return Check(name=name, state=missing, text=f"not installed: {advice}")
    if not requirement.specifier.contains(found, prereleases=True):
        text = f"{found}, and {requirement.specifier} is needed: {advice}"
        return Check(name=name, state="fail", text=text)
    return Check(name=name, state="ok", text=found)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


# ---- the machine ----------------------------------------------------------------------------


def _cores() -> Check:
    return Check(name="cores", state="ok", text=f"{usable_cores()} usable of {os.cpu_count()}")


def _memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    text = f"{_gib(memory.available)} available of {_gib(memory.total)}"
    little = memory.available < _LITTLE_MEMORY
    return Check(name="memory", state="warn" if little else "ok", text=text)


def _home(settings: Settings) -> Check:
    there = _nearest(settings.home)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        text = f"{str(there)!r} cannot be written ({error.strerror}); choose another $FAIRLEAD_HOME"
        return Check(name="home", state="fail", text=text)
    text = str(settings.home) if there == settings.home else f"{settings.home} (not there yet)"
    return Check(name="home", state="ok", text=text)


def _disk(settings: Settings) -> Check:
    free = shutil.disk_usage(_nearest(settings.home)).free
    state: Literal["ok", "warn", "fail"] = "warn" if free < _LITTLE_DISK else "ok"
    if free < _NO_DISK:
        state = "fail"
    return Check(name="disk", state=state, text=f"{_gib(free)} free")


def _clock(settings: Settings) -> Check:
    """Compare the machine's clock with that of the file system, which may be a server's."""
    try:
        with tempfile.NamedTemporaryFile(dir=_nearest(settings.home)) as file:
            skew = os.fstat(file.fileno()).st_mtime - time.time()
    except OSError:
        return Check(name="clock", state="warn", text="not checked: home cannot be written")
    if abs(skew) > _SKEW:
        text = f"the file system of home is {skew:+.0f} s off; set the clock (NTP)"
        return Check(name="clock", state="warn", text=text)
    return Check(name="clock", state="ok", text=time.strftime("%Y-%m-%d %H:%M:%S %z"))


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.is_dir())


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"


# ---- the ledger and the mirror --------------------------------------------------------------


def _ledger(settings: Settings) -> Check:
    from fairlead.ledger.store import exists

    try:
        if settings.is_behind_api:
            return _behind_api(settings)
        if not exists(settings.ledger_url):
            return Check(name="ledger", state="ok", text="none yet; the first run makes it")
        return _revision(settings)
    except FairleadError as error:
        return Check(name="ledger", state="fail", text=str(error))


def _behind_api(settings: Settings) -> Check:
    from fairlead.ledger.store import open_ledger

    with open_ledger(settings.ledger_url, setting=settings.ledger_setting):
        return Check(name="ledger", state="ok", text=f"the server {settings.ledger} has it")


def _revision(settings: Settings) -> Check:
    """Read the ledger's revision without bringing it up to date."""
    from fairlead.ledger.schema import HEAD
    from fairlead.ledger.store import open_database, revision_of, standing

    with closing(open_database(settings.ledger_url, setting=settings.ledger_setting)) as database:
        found = database.read(lambda connection: revision_of(connection, database.name))
    match standing(found):
        case "current":
            return Check(name="ledger", state="ok", text=f"revision {found}")
        case "newer":
            text = f"revision {found} of a newer Fairlead (this one knows {HEAD}); upgrade Fairlead"
            return Check(name="ledger", state="fail", text=text)
        case "older" if not database.upgrades_on_opening:
            text = f"revision {found} of an older Fairlead; upgrade the ledger to {HEAD}"
            return Check(name="ledger", state="fail", text=text)
    text = f"revision {found or 'none'}; the next command brings it to {HEAD}"
    return Check(name="ledger", state="ok", text=text)


def _mlflow(settings: Settings) -> Check:
    uri = settings.mlflow_uri
    if uri == _OFF:
        return Check(name="mlflow", state="ok", text="off")
    if settings.is_behind_api:
        return Check(name="mlflow", state="ok", text="the server sees to it")
    if not uri.startswith(("http://", "https://")):
        return Check(name="mlflow", state="ok", text=_without_password(uri))
    shown = _without_password(uri)  # what answers the asker does not matter, so none is sent
    problem = _bounded(lambda: _answers(shown))
    if problem:
        text = f"{shown}: {problem}; versions are registered here and reported to it later"
        return Check(name="mlflow", state="warn", text=text)
    return Check(name="mlflow", state="ok", text=f"{shown} answers")


def _answers(uri: str) -> str:
    """Empty where the server answers, else why not; any answer counts, even a refusal."""
    try:
        urllib.request.urlopen(uri, timeout=_PATIENCE).close()  # noqa: S310 - http(s), by the caller
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, ValueError) as error:
        return f"no answer ({getattr(error, 'reason', None) or error})"
    return ""


def _bounded(ask: Callable[[], str]) -> str:
    """What `ask` says; a server that sends a byte at a time is given up all the same."""
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(ask()), daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return said[0] if said else f"no answer within {_PATIENCE:g} s"


def _without_password(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    host = rest.partition("/")[0]
    return f"{scheme}{separator}{rest.removeprefix(host.rpartition('@')[0] + '@')}"


# ---- artefacts ------------------------------------------------------------------------------


def unused_artefacts(stores: Stores, settings: Settings, *, older_than: float) -> Garbage:
    """The artefacts that nothing names and that are older than so many seconds.

    Raises:
        Corrupt: What an artefact names cannot be told, so nothing may go.
    """
    from fairlead.artifacts.garbage import collect
    from fairlead.rollout.verification import CheckCache

    kept = CheckCache(settings.checked).artifacts()
    return collect(stores.ledger.roots, stores.artifacts, older_than=older_than, besides=kept)


def remove_artefacts(stores: Stores, garbage: Garbage) -> None:
    """Remove them, but for what was named or stored again since."""
    from fairlead.artifacts.garbage import remove

    remove(garbage, stores.ledger.roots, stores.artifacts)
