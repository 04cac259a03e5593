"""An installation on a cluster with versions of a model, and clients of its Endpoints in a pod."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Pod, Secret

from fairlead.kube.client import Cluster
from fairlead.kube.kinds import API_VERSION, ENDPOINTS
from tests.lacking import lacking
from tests.support import cluster as clusters
from tests.support.certificates import self_signed
from tests.support.waiting import wait_until

LONG = 300.0  # seconds: pods start, and share two cores
MODEL = "line"
COLUMNS = ("a", "b", "c")
SMALL = {"cpu": "50m", "memory": "512Mi"}
SERVING = {"app.kubernetes.io/component": "serving"}
_POSTGRESQL = "FAIRLEAD_TEST_POSTGRESQL_IMAGE"
_CLIENT = Path(__file__).with_name("steady_client.py")


@dataclass(kw_only=True)
class Seen:
    """What clients saw, once they have ended.

    Args:
        revisions: How many answers each gave.
        failures: What went wrong, with the time.
        slowest: Seconds of the slowest answer.
    """

    revisions: Mapping[str, int] = field(default_factory=dict)
    failures: Sequence[str] = ()
    slowest: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An installation, and what is asked of it."""

    cluster: Cluster

    def kubectl(self, *words: str, given: str = "", check: bool = True) -> str:
        """What kubectl prints."""
        done = subprocess.run(
            [*self._kubectl, *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stderr + done.stdout
        return done.stdout

    def fairlead(self, *words: str, fails: bool = False) -> str:
        """What a command prints here; it ends with a fault if that is said."""
        done = subprocess.run(
            [sys.executable, "-m", "fairlead", *words],
            capture_output=True,
            text=True,
            timeout=2 * LONG,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stderr + done.stdout
        return done.stderr + done.stdout

    def deploy(self, *words: str, fails: bool = False) -> str:
        """`fairlead deploy MODEL --on kubernetes --wait`, with these options."""
        place = ("--on", "kubernetes", "--namespace", self.cluster.namespace)
        timed = ("--wait", "--timeout", str(LONG))
        return self.fairlead("deploy", MODEL, *place, *words, *timed, fails=fails)

    def apply(self, **spec: Any) -> None:
        """Have the Endpoint be this."""
        kind = {"apiVersion": API_VERSION, "kind": "Endpoint", "metadata": {"name": MODEL}}
        body = {**kind, "spec": {"model": MODEL, "resources": SMALL, **spec}}
        self.cluster.apply(ENDPOINTS.resource.from_dict(body))

    def change(self, **spec: Any) -> None:
        """Have these fields of the Endpoint be so, or not be there, and leave all others."""
        self.cluster.merge(ENDPOINTS.resource, MODEL, {"spec": spec})

    def remove(self) -> None:
        """Delete the Endpoint: without its operator it would keep the namespace."""
        self.cluster.delete(ENDPOINTS.resource, MODEL)
        wait_until(lambda: not self.cluster.list(ENDPOINTS.resource), seconds=LONG)

    def status(self) -> Mapping[str, Any]:
        """Of the Endpoint."""
        found: Mapping[str, Any] = self.cluster.get(ENDPOINTS.resource, MODEL).status or {}
        return found

    def is_live(self, version: int, ready: str) -> bool:
        """Whether the Endpoint serves it with so many replicas."""
        status = self.status()
        told = {one["type"]: one["status"] for one in status.get("conditions", ())}
        is_up = (status.get("version"), status.get("ready")) == (version, ready)
        return is_up and told == {"Ready": "True", "Deployed": "True"}

    def replicas(self) -> list[Pod]:
        """Those that are not about to end."""
        found = self.cluster.list(Pod, labels=SERVING)
        return [one for one in found if one.metadata and one.metadata.deletionTimestamp is None]

    def token(self) -> str:
        """Of clients of Endpoints."""
        secret = self.cluster.get(Secret, "fairlead-tokens")
        return base64.b64decode((secret.data or {})["endpoint-token"]).decode()

    def predicted(self, url: str) -> Mapping[str, Any]:
        """What the Endpoint answers to this machine at this address."""
        body = json.dumps({"rows": [dict.fromkeys(COLUMNS, 0.01)]}).encode()
        asked = urllib.request.Request(url, body)
        asked.add_header("authorization", f"Bearer {self.token()}")
        with urllib.request.urlopen(asked, timeout=60) as answer:
            found: Mapping[str, Any] = json.load(answer)
        return found

    @contextlib.contextmanager
    def clients(self, *, connections: int = 8, pause: float = 0.05) -> Iterator[Seen]:
        """Clients in a pod that ask all the time; what they saw is filled in at the end."""
        each = {
            "host": f"{MODEL}.{self.cluster.namespace}.svc",
            "port": 80,
            "path": f"/models/{MODEL}:predict",
            "pause": pause,
            "token": self.token(),
            "columns": COLUMNS,
        }
        program = ["python", "-c", _CLIENT.read_text()]
        seen = Seen()
        with subprocess.Popen(
            [*self._kubectl, "exec", "-i", "deploy/fairlead-server", "--", *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps({"connections": connections, "each": each}) + "\n")
            child.stdin.flush()
            assert child.stdout.readline() == "asking\n"
            yield seen
            found = json.loads(child.communicate(timeout=LONG)[0])
        seen.revisions = sum((Counter(one["revisions"]) for one in found), Counter())
        seen.failures = [text for one in found for text in one["failures"]]
        seen.slowest = max(one["slowest"] for one in found)

    @property
    def _kubectl(self) -> list[str]:
        kubectl = shutil.which("kubectl") or lacking("kubectl")
        return [kubectl, "-n", self.cluster.namespace]


@contextlib.contextmanager
def installed() -> Iterator[Installed]:
    """An installation in a namespace of its own, with a PostgreSQL."""
    image = os.environ.get(_POSTGRESQL) or lacking(f"an image of PostgreSQL: set ${_POSTGRESQL}")
    with (
        clusters.namespace() as name,
        Cluster(namespace=name) as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        found = Installed(cluster=cluster)
        files = self_signed(Path(folder), "DNS:fairlead-server", "IP:127.0.0.1")
        content = {one.name: base64.b64encode(one.read_bytes()).decode() for one in files}
        meta = ObjectMeta(name="server-tls", namespace=name)
        cluster.create(Secret(metadata=meta, type="kubernetes.io/tls", data=content))
        images = ("--image", clusters.image(), "--postgresql-image", image)
        parts = ("--with", "postgresql", "--tls-secret", "server-tls")
        found.fairlead("install", "--namespace", name, *parts, *images)
        try:
            yield found
        finally:
            found.remove()


def make_versions(found: Installed, **documents: Mapping[str, Any]) -> None:
    """Versions of the model, numbered in this order, each by a run in the server's pod.

    Args:
        found: Where.
        documents: By the name of their data: what a spec says besides.
    """
    for number, (data, document) in enumerate(documents.items(), start=1):
        folder = f"/tmp/v{number}"
        spec = {
            "name": MODEL,
            "data": {"source": "rows.csv", "target": "y"},
            "search": {
                "method": "random",
                "folds": 2,
                "trials": 1,
                "over": [{"family": "linear", "params": {"alpha": 0.001 * number}}],
            },
            **document,
        }
        files = {"rows.csv": _rows(float(data.partition("_")[2] or 0)), "spec.json": spec}
        unpack = (
            "import json, os, pathlib, sys\n"
            f"os.makedirs({folder!r})\n"
            "for name, text in json.load(sys.stdin).items():\n"
            f"    pathlib.Path({folder!r}, name).write_text(text)\n"
        )
        given = {**files, "spec.json": json.dumps(spec)}
        pod = ("exec", "-i", "deploy/fairlead-server", "--")
        found.kubectl(*pod, "python", "-c", unpack, given=json.dumps(given))
        found.kubectl(*pod, "fairlead", "run", f"{folder}/spec.json", "--workers", "1", "--json")


def _rows(shift: float) -> str:
    """A table of a line with a little noise, by a generator of its own."""
    state, lines = 1, [",".join((*COLUMNS, "y"))]

    def drawn() -> float:
        nonlocal state
        state = state * 48271 % 2147483647
        return state / 2147483647 * 0.2 - 0.1

    for _ in range(300):
        a, b, c = drawn(), drawn(), drawn()
        y = 3 * a - 2 * b + c + drawn() / 10 + shift
        lines.append(f"{a:.6f},{b:.6f},{c:.6f},{y:.6f}")
    return "\n".join((*lines, ""))


def rolled_out(found: Installed) -> None:
    """Wait until the replicas are those of the Deployment as it is now."""
    timed = f"--timeout={LONG:.0f}s"
    found.kubectl("rollout", "status", f"deployment/{MODEL}", timed)
    wait_until(lambda: len(found.cluster.list(Pod, labels=SERVING)) == 2, seconds=LONG)
