"""deploy/ is what `make manifests` writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).parents[3] / "deploy"
SAYS = "import generate, json; print(json.dumps([generate.files(), sorted(generate.BY_HAND)]))"


def test_each_manifest_is_up_to_date() -> None:
    said = subprocess.run(
        [sys.executable, "-c", SAYS], cwd=DEPLOY, check=True, capture_output=True, text=True
    )
    wanted, by_hand = json.loads(said.stdout)
    found = {
        str(path.relative_to(DEPLOY)): path.read_text()
        for folder in ("kustomize", "helm")
        for path in (DEPLOY / folder).rglob("*")
        if path.is_file() and "secrets" not in path.parent.parts
    }
    assert {name: text for name, text in found.items() if name not in by_hand} == wanted
    assert {*by_hand} <= found.keys()
