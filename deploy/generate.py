"""Write deploy/kustomize and deploy/helm from the objects of an installation: `make manifests`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import chart
import kustomization

FOLDER = Path(__file__).parent
BY_HAND = frozenset({"helm/fairlead/templates/secrets.yaml", "helm/fairlead/templates/NOTES.txt"})
"""What stands in these folders besides."""


def files() -> Mapping[str, str]:
    """Every file, by its path in this folder."""
    found = {f"kustomize/{name}": text for name, text in kustomization.files().items()}
    return {**found, **{f"helm/fairlead/{name}": text for name, text in chart.files().items()}}


if __name__ == "__main__":
    for name, text in files().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
