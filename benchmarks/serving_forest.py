"""What is served: one forest, trained once by `fairlead run`, in the form that each server reads.

Its predictions by scikit-learn itself are what every server's answers are compared with.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timing import ROOT, python

SPEC = ROOT / "benchmarks" / "serving.yaml"
MODEL = "boston-prices"


@dataclass(frozen=True, kw_only=True)
class Forest:
    """The forest in a folder of its own.

    Args:
        home: Fairlead's, where it is the champion.
        joblib: The fitted scikit-learn model, as joblib writes it.
        onnx: Its exported form, the same bytes that Fairlead serves.
        rows: What is asked [64 rows, 13 columns], in numbers that float32 holds exactly.
        expected: What scikit-learn predicts for them.
    """

    home: Path
    joblib: Path
    onnx: Path
    rows: Sequence[Sequence[float]]
    expected: Sequence[float]


def made(folder: Path) -> Forest:
    """Train the forest in an empty folder and write its forms."""
    home = folder / "home"
    trained(home, SPEC)
    model = _fitted(home)
    rows = _rows(home)
    return Forest(
        home=home,
        joblib=_written(folder / "forest.joblib", _dumped(model)),
        onnx=_written(folder / "forest.onnx", model_file(home, MODEL, "model.onnx")),
        rows=rows.tolist(),
        expected=model.predict(rows).tolist(),
    )


def trained(home: Path, spec: Path, *changes: str) -> None:
    """Run the spec in this home, with these changes of its keys."""
    sets = [part for change in changes for part in ("--set", change)]
    subprocess.run(
        python("-m", "fairlead", "--home", str(home), "run", str(spec), *sets),
        cwd=ROOT,
        check=True,
        capture_output=True,
    )


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def model_file(home: Path, model: str, name: str) -> bytes:
    """A file of the model's champion."""
    from fairlead.artifacts import Artifacts
    from fairlead.ledger.store import open_ledger
    from fairlead.registry.registry import Registry
    from fairlead.settings import Settings

    settings = Settings(home=home)
    artifacts = Artifacts(settings.artifacts_url)
    with open_ledger(settings.ledger_url) as ledger:
        registry = Registry(ledger, artifacts)
        files = registry.candidate(registry.version(model)).files
    return artifacts.get(files[name].digest)


def _fitted(home: Path) -> Any:
    """The champion as scikit-learn fitted it."""
    from fairlead.families.family import Saved
    from fairlead.families.forest import RANDOM_FOREST

    saved = Saved(name="model.skops", content=model_file(home, MODEL, "model.skops"))
    return RANDOM_FOREST.load(saved, classes=None).model


def _dumped(model: Any) -> bytes:
    import io

    import joblib

    content = io.BytesIO()
    joblib.dump(model, content)
    return content.getvalue()


def _rows(home: Path) -> Any:
    """The first 64 rows of Boston, rounded to float32 as every server rounds them."""
    import numpy as np

    from fairlead.data.read import read
    from fairlead.settings import Settings
    from fairlead.spec.document import Data

    table = read(Data(source="boston"), base=Path(), settings=Settings(home=home))
    return table.features.numbers[:64].astype(np.float32).astype(float)
