"""Versions as folders that MLflow can load.

Belongs here: writing them. Does not: who is told of them (mirror.py).

MLflow loads a folder with a file `MLmodel` that says what is in it; the artefact store has bare
files, named by their digests. The folder's model is the artefact itself by another name (a hard
link, or a copy where the file system has none), so it stays whole whatever the store collects.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from fairlead.records import Version

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
