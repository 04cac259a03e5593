"""The mirror in MLflow's registry: versions as model versions, the champion as an alias.

Everything here may be repeated. A crash between a call to MLflow and noting it in the outbox costs
one more call, never a second version: a version is known by the digest of its manifest, which
MLflow keeps as a tag. MLflow numbers versions by itself; its numbers are the ledger's unless
somebody else registers under the same name, and then the tag `fairlead.version` has the ledger's.

MLflow loads a folder with a file `MLmodel`; the artefact store has bare files, named by their
digests. A version's folder has the artefact itself by another name (a hard link, or a copy where
the file system has none), so it stays whole whatever the store collects.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from fairlead import manifest
from fairlead.artifacts import Artifacts
from fairlead.errors import FairleadError
from fairlead.ledger.interface import Ledger
from fairlead.records import Candidate, Version

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
        """Tell MLflow everything it has yet to hear, the oldest first; returns how much it was."""
        told = 0
        while entries := self._ledger.outbox.pending():
            for entry, kind, payload in entries:
                self._tell(kind, payload)
                self._ledger.outbox.sent(entry)
                told += 1
        return told

    def _tell(self, kind: str, payload: dict[str, object]) -> None:
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
