"""The operator's own cost beside pods that do nothing: processor, memory, and calls of the API.

    .venv/bin/python benchmarks/kubernetes_operator.py BIN [--nodes 500] [--pods 5000]

The operator is a process of this machine, with the rights that an installation gives it, on the
cluster of $KUBECONFIG; its ledger is a private PostgreSQL. It has one Study, whose submission finds
no node, so that it looks at it once a second. The pods are in its namespace, on nodes that kwok
plays (in the folder BIN, README.md); they are nobody's, and never end. Its calls are counted by the
API server, as those of a flow that has only them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from fleet_servers import postgresql
from kubernetes_nodes import kubectl, kwok_stages, until
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace
from timing import ROOT

from fairlead.kube.client import Cluster
from fairlead.kube.install.definitions import definitions
from fairlead.kube.install.installation import Installation
from fairlead.kube.install.rights import OPERATOR, operator_access
from fairlead.kube.kinds import API_VERSION, STUDIES

sys.path.insert(0, str(ROOT))
from tests.support.cluster import as_account
from tests.support.postgres import database

NAMESPACE = "operator-benchmark"
FAKE = "benchmark=nothing"
SETTLED, WINDOW = 20.0, 60.0
"""Seconds before each measurement, and of it."""
FLOW = f"""
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {{name: {NAMESPACE}}}
spec:
  matchingPrecedence: 900
  priorityLevelConfiguration: {{name: workload-low}}
  distinguisherMethod: {{type: ByUser}}
  rules:
    - subjects:
        - kind: ServiceAccount
          serviceAccount: {{namespace: {NAMESPACE}, name: {OPERATOR}}}
      resourceRules:
        - verbs: ["*"]
          apiGroups: ["*"]
          resources: ["*"]
          namespaces: ["*"]
          clusterScope: true
"""
CALLS = rf'apiserver_flowcontrol_dispatched_requests_total{{flow_schema="{NAMESPACE}".*}} (\S+)'
STUDY = {
    "apiVersion": API_VERSION,
    "kind": STUDIES.name,
    "metadata": {"name": "waiting", "namespace": NAMESPACE},
    "spec": {"data": {"source": "diabetes"}, "search": {"over": [{"family": "linear"}]}},
}


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What the operator has taken so far."""

    at: float
    cpu: float  # seconds
    memory: int  # bytes
    calls: float


def taken(operator: psutil.Process) -> Taken:
    times = operator.cpu_times()
    counted = re.findall(CALLS, kubectl("get", "--raw", "/metrics"))
    return Taken(
        at=time.monotonic(),
        cpu=times.user + times.system,
        memory=operator.memory_full_info().uss,
        calls=sum(map(float, counted)),
    )


def measured(operator: psutil.Process, what: str) -> None:
    time.sleep(SETTLED)
    before = taken(operator)
    time.sleep(WINDOW)
    after = taken(operator)
    seconds = after.at - before.at
    print(
        f"{what}: {(after.cpu - before.cpu) / seconds * 1000:.0f} m of a core, "
        f"{after.memory / (1 << 20):.0f} MiB, "
        f"{(after.calls - before.calls) / seconds:.2f} calls a second",
        flush=True,
    )


def node(number: int) -> dict[str, Any]:
    name, size = f"nothing-{number:04d}", {"cpu": "32", "memory": "256Gi", "pods": "110"}
    labels = {"benchmark": "nothing", "kubernetes.io/hostname": name}
    taint = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
        },
        "spec": {"taints": [taint]},
        "status": {"allocatable": size, "capacity": size, "phase": "Running"},
    }


def pod(number: int, nodes: int) -> dict[str, Any]:
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"nothing-{number:05d}", "labels": {"benchmark": "nothing"}},
        "spec": {
            "nodeName": f"nothing-{number % nodes:04d}",
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{"name": "one", "image": "none:1", "securityContext": restricted}],
        },
    }


def created(items: list[dict[str, Any]], *words: str) -> None:
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    kubectl(*words, "create", "--filename", "-", text=content)


@contextmanager
def kwok(programs: Path) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("wb") as log:
        command = [
            str(programs / "kwok"),
            f"--config={kwok_stages(Path(folder))}",
            f"--kubeconfig={os.environ['KUBECONFIG']}",
            "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            "--node-lease-duration-seconds=200",
            "--cidr=10.200.0.1/16",
            "--server-address=127.0.0.1:41248",
        ]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            kubectl(
                "delete", "pods", "-A", "-l", FAKE, "--force", "--grace-period=0", "--wait=false"
            )
            kubectl("delete", "nodes", "-l", FAKE, "--wait=false")
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@contextmanager
def operating(ledger: str, folder: Path) -> Iterator[psutil.Process]:
    """The operator, with the rights of an installation and no others."""
    with Cluster(namespace=NAMESPACE) as cluster:
        cluster.create(Namespace(metadata=ObjectMeta(name=NAMESPACE)))
        rights = operator_access(Installation(namespace=NAMESPACE, ledger=ledger, image="none:1"))
        for one in (*definitions(), *rights):
            cluster.apply(one)
        kubectl("apply", "--filename", "-", text=FLOW)
        environ = {
            "KUBECONFIG": str(as_account(cluster, OPERATOR, folder / "kubeconfig")),
            "FAIRLEAD_LEDGER": ledger,
            "FAIRLEAD_ARTIFACTS": str(folder / "artifacts"),
        }
        command = [sys.executable, "-m", "fairlead", "operator", "--namespace", NAMESPACE]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--image", "none:1"],
                env={**os.environ, **environ},
                stdout=log,
                stderr=log,
            )
            try:
                yield psutil.Process(process.pid)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
                kubectl("delete", "flowschema", NAMESPACE)
                kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def phase() -> str:
    there = ("get", "study", "waiting", "--namespace", NAMESPACE)
    return kubectl(*there, "--output", "jsonpath={.status.phase}")


def ready() -> int:
    running = ("--field-selector=status.phase=Running", "--output", "name")
    return len(kubectl("get", "pods", "-n", NAMESPACE, "-l", FAKE, *running).splitlines())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("programs", type=Path)
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--pods", type=int, default=5000)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        postgresql() as server,
        database(server.url) as ledger,
        operating(ledger, Path(folder)) as operator,
    ):
        until(lambda: kubectl("get", "crd", "studies.fairlead.dev"))
        kubectl("create", "--filename", "-", text=json.dumps(STUDY))
        until(lambda: phase() == "Submitting")
        measured(operator, "no other pods")
        with kwok(asked.programs):
            created([node(number) for number in range(asked.nodes)])
            created([pod(number, asked.nodes) for number in range(asked.pods)], "-n", NAMESPACE)
            many = ready()
            measured(operator, f"{asked.nodes} nodes, {asked.pods} pods, {many} of them ready")
        kubectl("delete", "study", "waiting", "--namespace", NAMESPACE, "--timeout=60s")


if __name__ == "__main__":
    main()
