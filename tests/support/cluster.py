"""The Kubernetes cluster that $KUBECONFIG names, and what tests need on it and beside it.

Each module of tests has a namespace of its own, which enforces the Pod Security level `restricted`
and is deleted after it. Pods reach this machine by the address from which it reaches their node.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from lightkube.models.authentication_v1 import TokenRequestSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, Node, ServiceAccount, ServiceAccountToken

from fairlead.kube.client import Cluster
from fairlead.kube.place import KubernetesPlace, PodPlace
from tests.lacking import lacking
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

IMAGE = "FAIRLEAD_TEST_IMAGE"
_LEVEL = {"pod-security.kubernetes.io/enforce": "restricted"}


def image() -> str:
    """The image of Fairlead that the cluster has."""
    return os.environ.get(IMAGE) or lacking(f"an image of Fairlead on the cluster: set ${IMAGE}")


@contextmanager
def namespace() -> Iterator[str]:
    """A new namespace."""
    if "KUBECONFIG" not in os.environ:
        lacking("a Kubernetes cluster: set $KUBECONFIG")
    name = f"fairlead-test-{secrets.token_hex(4)}"
    with Cluster(namespace=name) as cluster:
        cluster.create(Namespace(metadata=ObjectMeta(name=name, labels=_LEVEL)))
        try:
            wait_until(lambda: _has_account(cluster))
            yield name
        finally:
            cluster.delete(Namespace, name)


def _has_account(cluster: Cluster) -> bool:
    """Whether pods can be made there."""
    return bool(cluster.list(ServiceAccount, fields={"metadata.name": "default"}))


def as_account(cluster: Cluster, name: str, path: Path) -> Path:
    """A kubeconfig, written there, by which one is this service account of the namespace."""
    request = ServiceAccountToken(metadata=ObjectMeta(), spec=TokenRequestSpec(audiences=[]))
    token = cluster._client.create(request, name).status.token
    given = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    current = next(one for one in given["contexts"] if one["name"] == given["current-context"])
    named = current["context"]["cluster"]
    (there,) = [one["cluster"] for one in given["clusters"] if one["name"] == named]
    return _kubeconfig(path, there, {"token": token})


@contextmanager
def listening() -> Iterator[str]:
    """The URL of a server that pods reach: it takes connections and answers nothing."""
    host = host_address()
    with socket.create_server((host, 0)) as server:
        yield f"http://{host}:{server.getsockname()[1]}"


@contextmanager
def silent_server(folder: Path) -> Iterator[Path]:
    """The kubeconfig of an API server that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = {"server": f"http://127.0.0.1:{server.getsockname()[1]}"}
        yield _kubeconfig(folder / "silent", there, {})


def _kubeconfig(path: Path, there: Mapping[str, str], user: Mapping[str, str]) -> Path:
    context = {"cluster": "one", "user": "one"}
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "one", "cluster": dict(there)}],
                "users": [{"name": "one", "user": dict(user)}],
                "contexts": [{"name": "one", "context": context}],
                "current-context": "one",
            }
        )
    )
    return path


def place(namespace: str, *, image: str) -> KubernetesPlace:
    """Where tests have workers run: they have little time, and nothing to finish."""
    return KubernetesPlace(
        pods=PodPlace(image=image, pull_policy="IfNotPresent"), namespace=namespace, grace=10
    )


def host_address() -> str:
    """The address of this machine that pods reach."""
    with Cluster() as cluster:
        node = cluster.list(Node)[0]
    assert node.status is not None
    (inside, *_) = [one for one in node.status.addresses or () if one.type == "InternalIP"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((inside.address, 9))  # sends nothing
        return str(probe.getsockname()[0])


@dataclass(frozen=True, kw_only=True)
class Stores:
    """A `fairlead server` that has both stores."""

    url: str
    home: Path
    environ: Mapping[str, str]  # that lets others in, from anywhere


@contextmanager
def server(home: Path) -> Iterator[Stores]:
    """One that pods reach, with a controller, as a process of this machine."""
    host, (port,) = host_address(), free_ports(1)
    program = [sys.executable, "-m", "fairlead", "--home", str(home)]
    token = subprocess.run(
        [*program, "token", "add", "tests", "--role", "admin"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    url = f"http://{host}:{port}"
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*program, "server", "--host", host, "--port", str(port)],
            env={**os.environ, "FAIRLEAD_MLFLOW_URI": "none"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: _accepts(host, port))
        allowed = {"FAIRLEAD_SERVER_TOKEN": token, "FAIRLEAD_ALLOW_PLAIN_HTTP": "1"}
        yield Stores(url=url, home=home, environ=allowed)
    finally:
        process.terminate()
        process.wait(60)


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True
