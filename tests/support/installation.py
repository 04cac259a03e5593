"""An installation in a namespace of its own on the cluster, and what tests ask of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightkube.resources.core_v1 import Pod

from fairlead.errors import NotFound
from fairlead.kube.client import Cluster
from fairlead.kube.kinds import API_VERSION, STUDIES
from tests.lacking import lacking
from tests.support import cluster as clusters
from tests.support.waiting import wait_until

IMAGES = {
    "postgresql": "FAIRLEAD_TEST_POSTGRESQL_IMAGE",
    "rabbitmq": "FAIRLEAD_TEST_RABBITMQ_IMAGE",
}
LONG = 300.0
"""Seconds: pods start, and share two cores."""
OVER = {"Finished", "Failed", "Cancelled", "Refused"}
_HURRY = "FAIRLEAD_TEST_HURRY"
_OFTEN = 0.2
"""Seconds between two looks at a Study."""

_FILES = """
import json
import os
import sys

from fairlead.registry.registry import Registry
from fairlead.settings import from_environment
from fairlead.stores import open_stores

with open_stores(from_environment(os.environ)) as stores:
    registry = Registry(ledger=stores.ledger, artifacts=stores.artifacts)
    candidate = registry.candidate(registry.version(sys.argv[1], int(sys.argv[2])))
    print(json.dumps({name: file.digest for name, file in candidate.files.items()}))
"""
"""Prints the digest of each file of a version, for the home or the stores of the environment."""

_FITS = """
import json
import os
import sys
from dataclasses import asdict

from fairlead.control import submitted
from fairlead.settings import from_environment
from fairlead.stores import open_stores

with open_stores(from_environment(os.environ)) as stores:
    study = submitted.find(stores.ledger, sys.argv[1]).study
    print(json.dumps([asdict(one) for one in stores.ledger.fits.reports(study)]))
"""
"""Prints what the fits of a run's study told."""

SLOW = f"""
import os
import time
from sklearn.tree import DecisionTreeRegressor

class Slow(DecisionTreeRegressor):
    def __init__(self, max_depth=None, seconds=0.2):
        super().__init__(max_depth=max_depth)
        self.seconds = seconds

    def fit(self, X, y):
        if "{_HURRY}" not in os.environ:
            time.sleep(self.seconds)
        return super().fit(X, y)
"""
SMALL: Mapping[str, Any] = {
    "workers": {"max": 2},
    "resources": {"cpu": "50m", "memory": "400Mi"},
}


def slow(trials: int, *, seed: int, seconds: float = 0.5) -> dict[str, Any]:
    """Of another seed it is another study, whatever it is called.

    Args:
        trials: How many.
        seed: Of the data.
        seconds: That each of the two fits of a trial takes on the cluster.
    """
    space = {
        "family": "./slow.py:Slow",
        "params": {"max_depth": {"low": 1, "high": 1000}, "seconds": seconds},
    }
    search = {"method": "random", "folds": 2, "trials": trials, "over": [space]}
    return {
        "data": {"source": "diabetes", "seed": seed},
        "search": search,
        "promote": {"when": "never"},
        "files": {"slow.py": SLOW},
        **SMALL,
    }


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An installation, and what is asked of it."""

    cluster: Cluster

    @property
    def namespace(self) -> str:
        return self.cluster.namespace

    def apply(self, name: str, spec: Mapping[str, Any]) -> None:
        study = {"apiVersion": API_VERSION, "kind": "Study", "metadata": {"name": name}}
        self.cluster.apply(STUDIES.resource.from_dict({**study, "spec": dict(spec)}))

    def status(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.cluster.get(STUDIES.resource, name).status or {}
        return found

    def phase(self, name: str) -> str:
        return str(self.status(name).get("phase", ""))

    def message(self, name: str) -> str:
        return str(self.status(name).get("message") or "")

    def ended(self, name: str) -> Mapping[str, Any]:
        wait_until(lambda: self.phase(name) in OVER, seconds=LONG, every=_OFTEN)
        return self.status(name)

    def done(self, name: str) -> int:
        return int(str(self.status(name).get("trials", "0/0")).split("/")[0])

    def fairlead(self, *words: str) -> Any:
        """What a command in the server's pod prints as JSON."""
        return self._printed("fairlead", *words, "--json")

    def files(self, model: str, version: int) -> Mapping[str, str]:
        """The digest of each file of a version."""
        found: Mapping[str, str] = self._printed("python", "-c", _FILES, model, str(version))
        return found

    def fits(self, run: str) -> list[dict[str, Any]]:
        """What the fits of a run's study told, the oldest first."""
        found: list[dict[str, Any]] = self._printed("python", "-c", _FITS, run)
        return found

    def _printed(self, *words: str) -> Any:
        return json.loads(self.kubectl("exec", "deploy/fairlead-server", "--", *words))

    def kubectl(self, *words: str) -> str:
        kubectl = shutil.which("kubectl") or lacking("kubectl")
        return done([kubectl, "-n", self.namespace, *words], os.environ, seconds=120)

    def trials(self, study: str) -> list[list[Any]]:
        return told(self.fairlead("trials", study))

    def workers(self) -> list[Pod]:
        pods = self.cluster.list(Pod, labels={"app.kubernetes.io/component": "worker"})
        return [one for one in pods if one.metadata and one.metadata.deletionTimestamp is None]

    def remove(self, name: str) -> None:
        self.cluster.delete(STUDIES.resource, name)
        wait_until(lambda: not self._is_there(name), seconds=LONG, every=_OFTEN)

    def _is_there(self, name: str) -> bool:
        try:
            self.cluster.get(STUDIES.resource, name)
        except NotFound:
            return False
        return True


def told(trials: list[Mapping[str, Any]]) -> list[list[Any]]:
    """What must be the same wherever a study is searched."""
    keys = ("number", "family", "params", "state", "scores")
    return [[trial[key] for key in keys] for trial in trials]


@contextmanager
def installation(*parts: str, image: str | None = None) -> Iterator[Installed]:
    """Installed with servers of its own, PostgreSQL if none is named.

    Studies that are left are removed.

    Args:
        parts: Of `fairlead install --with`.
        image: Of Fairlead; that of the tests if None.
    """
    parts = parts or ("postgresql",)
    servers = [part for part in parts if part in IMAGES]
    images = [word for part in servers for word in (f"--{part}-image", _image(part))]
    with clusters.namespace() as name, Cluster(namespace=name) as cluster:
        command = [sys.executable, "-m", "fairlead", "install", "--namespace", name]
        command += ["--with", ",".join(parts), "--image", image or clusters.image(), *images]
        done(command, os.environ, seconds=400)
        try:
            yield Installed(cluster=cluster)
        finally:
            with suppress(NotFound):  # the kind itself
                for study in cluster.list(STUDIES.resource):
                    Installed(cluster=cluster).remove(str(study.metadata.name))  # type: ignore[union-attr]


def _image(part: str) -> str:
    variable = IMAGES[part]
    return os.environ.get(variable) or lacking(
        f"an image of {part} on the cluster: set ${variable}"
    )


def on_this_machine(folder: Path, name: str, spec: Mapping[str, Any]) -> list[list[Any]]:
    """The trials of the same document, searched by two workers here."""
    return told(run_here(folder / "home", written(folder, name, spec))["trials"])


def written(folder: Path, name: str, spec: Mapping[str, Any]) -> Path:
    """The document of a Study as a spec, with its files beside it."""
    own = {"workers", "resources", "files"}
    document = {"name": name, **{key: each for key, each in spec.items() if key not in own}}
    path = folder / "spec.yaml"
    path.write_text(json.dumps(document))
    for file, text in spec.get("files", {}).items():
        (folder / file).write_text(text)
    return path


def run_here(home: Path, spec: Path, *words: str) -> Any:
    """The outcome of a spec that is run by two workers of this machine."""
    command = [sys.executable, "-m", "fairlead", "--home", str(home), "run", str(spec), *words]
    alone = {**os.environ, "FAIRLEAD_MLFLOW_URI": "none", _HURRY: "1"}
    return json.loads(done([*command, "--workers", "2", "--json"], alone, seconds=600))


def files_here(home: Path, model: str, version: int) -> Mapping[str, str]:
    """As `Installed.files`, of a version in this home."""
    command = [sys.executable, "-c", _FILES, model, str(version)]
    environ = {**os.environ, "FAIRLEAD_HOME": str(home)}
    found: Mapping[str, str] = json.loads(done(command, environ, seconds=120))
    return found


def done(command: Sequence[str], environ: Mapping[str, str], *, seconds: float) -> str:
    """What a command printed that ended well."""
    ended = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
