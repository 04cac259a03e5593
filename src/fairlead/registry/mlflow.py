"""The process that brings MLflow's registry up to date from the ledger's outbox.

MLflow takes seconds to import and warns, logs and reports home while it does, so no other process
of Fairlead imports it. There is one such process at a time, bounded in time. What it has not sent
waits in the outbox: a registry that is away delays the alias and loses nothing.

    python -m fairlead.registry.mlflow --home DIR
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.errors import FairleadError
from fairlead.formatting import without_password
from fairlead.ledger.interface import Ledger
from fairlead.records import Candidate, Version
from fairlead.settings import Settings, from_environment
from fairlead.stores import Stores, open_stores

# ---- the mirror -------------------------------------------------------------------------------
#
# The mirror in MLflow's registry: versions as model versions, the champion as an alias.
#
# Everything here may be repeated. A crash between a call to MLflow and noting it in the outbox
# costs one more call, never a second version: a version is known by the digest of its manifest,
# which MLflow keeps as a tag. MLflow numbers versions by itself; its numbers are the ledger's
# unless somebody else registers under the same name, and then the tag `fairlead.version` has the
# ledger's.
#
# MLflow loads a folder with a file `MLmodel`; the artefact store has bare files, named by their
# digests. A version's folder has the artefact itself by another name (a hard link, or a copy where
# the file system has none), so it stays whole whatever the store collects.


CHAMPION = "champion"  # the alias
_LOCAL = ("sqlite:", "file:")


class Mirror:
    """MLflow's registry, seen from here.

    Args:
        client: An mlflow.MlflowClient.
        uri: Of its registry.
        ledger: Where versions are looked up.
        artifacts: Where their files are.
        folders: Where a registry on this disk finds models that it can load.
    """

    def __init__(
        self, client: Any, *, uri: str, ledger: Ledger, artifacts: Artifacts, folders: Path
    ) -> None:
        self._client = client
        self._folders = folders
        self._uri = uri
        self._ledger = ledger
        self._artifacts = artifacts

    def catch_up(self) -> int:
        """Report to MLflow what it does not know yet, the oldest first; returns how much it was."""
        reported = 0
        while entries := self._ledger.outbox.pending():
            for entry, kind, payload in entries:
                self._report(kind, payload)
                self._ledger.outbox.sent(entry)
                reported += 1
        return reported

    def _report(self, kind: str, payload: dict[str, object]) -> None:
        model, number = str(payload["model"]), int(str(payload["version"]))
        theirs = self._registered(self._ledger.versions.get(model, number))
        if kind == CHAMPION:
            self._client.set_registered_model_alias(model, CHAMPION, theirs)

    def _registered(self, version: Version) -> str:
        """MLflow's number of the version, which is registered now if it was not."""
        self._have_model(version.model)
        known = self._client.search_model_versions(
            f"name = '{version.model}' and tags.`fairlead.manifest` = '{version.manifest}'"
        )
        if known:
            return str(min(int(found.version) for found in known))
        candidate = self._candidate(version)
        created = self._client.create_model_version(
            version.model,
            source=self._source(version, candidate),
            tags=_tags(version, candidate),
            await_creation_for=0,
        )
        return str(created.version)

    def _have_model(self, model: str) -> None:
        if not self._client.search_registered_models(f"name = '{model}'", max_results=1):
            self._client.create_registered_model(model, tags={"fairlead": "true"})

    def _candidate(self, version: Version) -> Candidate | None:
        """The version's candidate; None where its manifest is damaged.

        MLflow still hears of the version: one damaged file must not hold up all that come after.
        """
        try:
            return manifest.load(self._artifacts.get(version.manifest))
        except FairleadError:
            return None

    def _source(self, version: Version, candidate: Candidate | None) -> str:
        """Where the model is: a folder that MLflow can load, or what the model is known by.

        A server refuses sources on its own disk, and the folder is not there anyway: it gets the
        digest, which `fairlead.` tags explain. So does a version that has no exported form.
        """
        file = candidate.files.get("model.onnx") if candidate else None
        if file and self._uri.startswith(_LOCAL):
            with suppress(FairleadError):  # damaged: it is still known by its digest
                onnx = self._artifacts.path(file.digest)
                return model_folder(self._folders, version, onnx).resolve().as_uri()
        return f"fairlead:///sha256/{file.digest if file else version.manifest}"


def _tags(version: Version, candidate: Candidate | None) -> dict[str, str]:
    tags = {
        "fairlead.version": str(version.number),
        "fairlead.manifest": version.manifest,
        "fairlead.study": version.study,
        "fairlead.trial": str(version.trial),
    }
    if candidate:
        tags["fairlead.family"] = candidate.family
        tags["fairlead.metric"] = candidate.metric
        if candidate.holdout_score is not None:
            tags["fairlead.holdout_score"] = repr(candidate.holdout_score)
    return tags


_MODEL = "model.onnx"
_SAYS_WHAT_IT_IS = "MLmodel"
_READABLE = 0o755


def model_folder(root: Path, version: Version, onnx: Path) -> Path:
    """The version's folder, made where it is not there yet.

    Args:
        root: Where such folders are.
        version: Whose it is.
        onnx: Its exported form.
    """
    folder = root / version.model / f"v{version.number}"
    if not (folder / _SAYS_WHAT_IT_IS).is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=folder.parent) as making:
            whole = Path(making) / folder.name
            _fill(whole, onnx)
            shutil.rmtree(folder, ignore_errors=True)  # what somebody left of it
            whole.rename(folder)
    return folder


def _fill(folder: Path, onnx: Path) -> None:
    folder.mkdir(mode=_READABLE)
    _link(onnx, folder / _MODEL)
    (folder / _SAYS_WHAT_IT_IS).write_text(json.dumps({"flavors": {"onnx": _flavor()}}, indent=1))


def _flavor() -> dict[str, object]:
    """As `mlflow.onnx.save_model` writes it; MLmodel is YAML, of which JSON is a part."""
    return {
        "data": _MODEL,
        "onnx_version": metadata.version("onnx"),
        "onnx_session_options": None,
        "providers": ["CPUExecutionProvider"],
    }


def _link(source: Path, name: Path) -> None:
    with suppress(OSError):
        os.link(source, name)
        return
    shutil.copyfile(source, name)


# ---- the process ------------------------------------------------------------------------------


OFF = "none"  # as $FAIRLEAD_MLFLOW_URI: there is no mirror
PATIENCE = 60  # seconds that somebody waits for a mirror that they asked for
LIFETIME = 300  # seconds after which a mirror that nobody waits for ends itself
_AWAY = 1
# Without these MLflow waits 2 minutes a request, 7 times over, and reports its use to its makers.
_BOUNDS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}


@dataclass(frozen=True, kw_only=True)
class State:
    """How far MLflow's registry is behind.

    Args:
        uri: Of the registry, without a password.
        pending: Entries that it has yet to hear; at most 100 are counted.
        note: Why they wait; None where nothing does, or it is not known.
    """

    uri: str
    pending: int
    note: str | None = None


def start_mirror(settings: Settings) -> None:
    """Bring the mirror up to date in the background, in a process that outlives this one.

    Its messages go to `mirror.log` in the folder of the logs. Where a server has the ledger, the
    server does it.
    """
    if settings.mlflow == OFF or settings.is_behind_api:
        return
    settings.logs.mkdir(parents=True, exist_ok=True)
    with (settings.logs / "mirror.log").open("ab") as log:
        # The shell goes at once, so that the mirror is nobody's child and is never waited for.
        subprocess.run(  # noqa: S603 - our own program
            ["/bin/sh", "-c", '"$@" &', "sh", *_command(settings)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(settings, os.environ),
            start_new_session=True,
            check=True,
        )


def catch_up(settings: Settings, ledger: Ledger) -> State:
    """Bring the mirror up to date now, and say how that went.

    Args:
        settings: The installation's.
        ledger: Its ledger, for the count of what waits.
    """
    uri = without_password(settings.mlflow_uri)
    if settings.mlflow == OFF or settings.is_behind_api:
        return State(uri=OFF, pending=0)
    note = _run_mirror(settings) if ledger.outbox.pending(1) else None
    return State(uri=uri, pending=len(ledger.outbox.pending()), note=note)


def _run_mirror(settings: Settings) -> str | None:
    try:
        ended = subprocess.run(  # noqa: S603 - our own program
            _command(settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=_environment(settings, os.environ),
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"MLflow's registry took longer than {PATIENCE} s"
    lines = ended.stderr.strip().splitlines()
    return lines[-1] if ended.returncode and lines else None


def _command(settings: Settings) -> list[str]:
    # -W ignore: MLflow's own warnings are nothing that a user of Fairlead can act on.
    home = str(settings.home.resolve())
    return [sys.executable, "-W", "ignore", "-m", "fairlead.registry.mlflow", "--home", home]


def _environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    stores = {"FAIRLEAD_LEDGER": settings.ledger, "FAIRLEAD_ARTIFACTS": settings.artifacts}
    return {**_BOUNDS, **environ, **stores, "FAIRLEAD_MLFLOW_URI": settings.mlflow}


def main(args: Sequence[str] | None = None) -> int:
    """Bring the mirror up to date; one process a home folder at a time.

    Returns:
        The exit status: 0 up to date, 1 MLflow's registry could not be brought up to date.
    """
    parser = argparse.ArgumentParser(prog="python -m fairlead.registry.mlflow")
    parser.add_argument("--home", type=Path, required=True)
    home: Path = parser.parse_args(args).home
    settings = from_environment(os.environ, home=home.resolve())
    signal.alarm(LIFETIME)  # its default action ends the process; the entries stay where they are
    with _alone(settings), open_stores(settings) as stores:
        if not stores.ledger.outbox.pending(1):
            return 0
        return _report(settings, stores)


def _report(settings: Settings, stores: Stores) -> int:
    uri = settings.mlflow_uri
    if not settings.mlflow:
        os.chdir(settings.home)  # where MLflow's own database is, its `mlruns` shall be too
    try:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        mirror = Mirror(
            client,
            uri=uri,
            ledger=stores.ledger,
            artifacts=stores.artifacts,
            folders=settings.home / "mlflow",
        )
        reported = mirror.catch_up()
    except Exception as error:  # noqa: BLE001 - MLflow's stores raise whatever their drivers raise
        _log(f"MLflow's registry at {without_password(uri)!r} is behind: {_first_line(error)}")
        return _AWAY
    entries = "1 entry" if reported == 1 else f"{reported} entries"
    _log(f"MLflow's registry at {without_password(uri)!r} received {entries}")
    return 0


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Holds the home folder's lock: others wait their turn.

    Besides reporting nothing twice, this keeps two processes from creating MLflow's tables at once,
    which its stores do not survive.
    """
    with (settings.home / "mlflow.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _first_line(error: Exception) -> str:
    lines = without_password(str(error)).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


def _log(text: str) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    sys.stderr.write(f"{stamp} {text}\n")


if __name__ == "__main__":
    sys.exit(main())
