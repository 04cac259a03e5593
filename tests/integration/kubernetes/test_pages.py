"""docs/kubernetes.md and docs/operations.md: their commands, run as they are written.

They are about one installation in the namespace `fairlead`, so they are one test. What is put in:
the names of the images, and a spec with fewer points.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightkube.resources.core_v1 import Namespace
from tests.lacking import lacking
from tests.support import cluster as clusters
from tests.support.installation import IMAGES, LONG
from tests.support.waiting import wait_until

from fairlead.errors import NotFound
from fairlead.kube.client import Cluster

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = "fairlead"
MODELS = "kubectl -n fairlead exec deployment/fairlead-server -- fairlead models --json"
ENDING = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
"""What a page leaves in the background ends with its commands."""


def blocks(page: str, section: str) -> list[str]:
    """The commands of a section, block by block."""
    text = (ROOT / "docs" / page).read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    found: list[str] = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    return found


def of_here(commands: str) -> str:
    """With the images that this cluster has, of which none is made anew."""
    variable = IMAGES["postgresql"]
    official = os.environ.get(variable) or lacking(f"an image of PostgreSQL: set ${variable}")
    lines = [line for line in commands.splitlines(keepends=True) if not line.startswith("make ")]
    written = re.sub(r"registry\.example\.com/fairlead:\d", clusters.image(), "".join(lines))
    own = f"--with postgresql --postgresql-image {official}"
    return written.replace("--with postgresql", own)


def run(commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", ENDING + of_here(commands)],
        cwd=folder,
        env={**os.environ, "PATH": path, "FAIRLEAD_MLFLOW_URI": "none"},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )


def done(commands: str, folder: Path) -> str:
    found = run(commands, folder)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    if "KUBECONFIG" not in os.environ:
        lacking("a Kubernetes cluster: set $KUBECONFIG")
    if shutil.which("kubectl") is None:
        lacking("kubectl")
    with Cluster(namespace=NAMESPACE) as connected:
        if is_there(connected):
            lacking(f"a cluster without a namespace {NAMESPACE!r}")
        try:
            yield connected
        finally:
            fairlead = [sys.executable, "-m", "fairlead"]
            subprocess.run([*fairlead, "uninstall", "--purge"], check=False, capture_output=True)


def is_there(cluster: Cluster) -> bool:
    try:
        cluster.get(Namespace, NAMESPACE)
    except NotFound:
        return False
    return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the commands are given: the examples are there."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    spec = tmp_path / "examples" / "boston.yaml"
    spec.write_text(spec.read_text().replace("[50, 100, 200, 300]", "[20]"))
    return tmp_path


def live(folder: Path) -> Any:
    """What the Endpoint is."""
    command = "kubectl -n fairlead get endpoints.fairlead.dev boston-prices -o json"
    return json.loads(done(command, folder))["status"]


def models(folder: Path) -> Any:
    """What the ledger has of the registry."""
    return json.loads(done(MODELS, folder))


def changed_by(sql: str) -> str:
    """The command that has the ledger's PostgreSQL do it."""
    psql = "kubectl -n fairlead exec postgresql-0 -- psql --username=fairlead -d fairlead"
    return f'{psql} -c "{sql}"\n'


@pytest.mark.timeout(1500)
def test_an_installation_is_made_used_and_restored_as_the_pages_say(
    cluster: Cluster, folder: Path
) -> None:
    is_served(folder)
    a_backup_is_restored(folder)


def is_served(folder: Path) -> None:
    (tour,) = blocks("kubernetes.md", "From a cluster to a served model")
    answer = json.loads(done(tour, folder).strip().splitlines()[-1])
    (value,) = answer["predictions"]
    assert 15 < value < 30


def is_served_again(folder: Path) -> None:
    wait_until(lambda: live(folder).get("ready") == "1/1", seconds=LONG, every=1.0)


def a_backup_is_restored(folder: Path) -> None:
    saving, restoring = blocks("operations.md", "Backup and restore")
    done(saving, folder)
    before = models(folder)
    lost = "sh -c 'rm -r /var/lib/fairlead-artifacts/*'"
    done(
        changed_by("delete from promotions")
        + f"kubectl -n fairlead exec deployment/fairlead-server -- {lost}",
        folder,
    )
    assert "is missing" in run(MODELS, folder).stderr
    done(restoring, folder)
    assert models(folder) == before
    is_served_again(folder)
